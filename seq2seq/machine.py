"""The machine's devices, threads and memory, and how to use them."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from seq2seq.errors import ConfigError
from seq2seq.neighbours import give_way

logger = logging.getLogger(__name__)

# mallopt(3): parameters of glibc's allocator, and the values that keep freed memory for the next tensor
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**26}


def prepare(num_threads: int | None = None, processes: int = 1) -> None:
    """Set up this process for computing: set its number of threads, make it keep freed memory and share the cores.

    Several ``processes`` on this host share the cores: torchrun sets OMP_NUM_THREADS=1 whatever there are.
    """
    keep_freed_memory()
    if num_threads is None and processes > 1 and os.environ.get("OMP_NUM_THREADS", "1") == "1":
        num_threads = max(1, usable_cores() // processes)
    torch.set_num_threads(threads(num_threads))
    give_way(torch.get_num_threads())


def threads(given: int | None = None) -> int:
    """The threads of a process: as ``given``, or OMP_NUM_THREADS, or torch's own number up to the usable cores."""
    if given is not None:
        return given
    own = torch.get_num_threads()
    return own if "OMP_NUM_THREADS" in os.environ else min(own, usable_cores())


def usable_cores(root: Path = Path("/")) -> int:
    """How many cores this process may use, not counting hyperthreads; at least 1.

    It is bound to a set of processors (affinity) and to a share of their time (the quota of a container's cgroup).
    ``root`` has the system's proc/ and sys/.
    """
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return os.cpu_count() or 1
    cores = {_core(root, processor) for processor in os.sched_getaffinity(0)}
    return max(1, min([len(cores), *map(math.floor, _quotas(root))]))


def _core(root: Path, processor: int) -> str:
    """The processors that are threads of the same core, as a text."""
    try:
        return (root / f"sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(processor)


def _quotas(root: Path) -> Iterator[float]:
    """The limits on this process's time, in processors: those of its cgroup and of all that this is in."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:  # version 2
                mount, files = root / "sys/fs/cgroup", ["cpu.max"]
            elif "cpu" in controllers.split(","):
                mount, files = root / "sys/fs/cgroup/cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            else:
                continue
            inner = Path(path.lstrip("/"))
            for group in {inner, *inner.parents}:
                with suppress(OSError, ValueError):  # none there, or none set: max or -1
                    text = " ".join((mount / group / file).read_text() for file in files)
                    quota, period = map(int, text.split())
                    if quota > 0:
                        yield quota / period


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory instead of returning it to the kernel after each large tensor.

    Each update allocates and frees the same large tensors; fetching them from the kernel again costs a page fault
    for every 4 kB. Returns whether the C library accepts all of these settings, as glibc does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    taken = [mallopt(parameter, value) == 1 for parameter, value in KEPT.items()]  # all, even if one is refused
    if not all(taken):
        logger.info("the C library accepts %d of 3 settings that keep freed memory; it may be slower", sum(taken))
    return all(taken)


def memory() -> float:
    """Bytes of main memory; infinite where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows; another name
        return math.inf


def resolve_device(name: str) -> torch.device:
    """The device that ``machine.device`` names; auto takes a GPU if torch has one.

    Raises:
        ConfigError: there is no such device.
    """
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"machine.device={name}: torch sees no CUDA device here; use machine.device=cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"machine.device={name}: torch sees cuda:0 to cuda:{torch.cuda.device_count() - 1} only")
    if device.type == "mps" and not has_mps:
        raise ConfigError("machine.device=mps: torch sees no Apple GPU here; use machine.device=cpu")
    return device


def synchronize(device: torch.device) -> None:
    """Wait until ``device`` has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
