"""Several processes that train together, over torch.distributed: gloo between CPUs, NCCL between GPUs.

torchrun starts them, and starts them again after a failure. What is sent as an object is pickled: the processes
trust each other, as torchrun's do.
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from seq2seq.distributed.group import Group
from seq2seq.errors import ConfigError
from seq2seq.signals import STOPPED_STATUS

T = TypeVar("T")
R = TypeVar("R")
CPU = torch.device("cpu")
PREPARATION = timedelta(days=2)  # most that the others wait while rank 0 prepares the data


class Processes(Group):
    """This process among others; see ``Group``."""

    def __init__(self) -> None:
        """Meet the others; ends the process with one line if its environment is not that of a launcher."""
        try:
            store, self.rank, self.size = next(rendezvous("env://"))
            self.local_rank, self.local_size = (
                int(os.environ[f"LOCAL_{name}"]) for name in ("RANK", "WORLD_SIZE")
            )
        except (ValueError, KeyError) as error:
            size = os.environ["WORLD_SIZE"]
            sys.exit(f"error: WORLD_SIZE={size}: start with torchrun, or unset it ({error})")
        self.restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
        self._store = met(store, self.rank, self.size)
        self._seed, self._rounds = 0, 0
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=self._store, rank=self.rank, world_size=self.size)

    def device(self, device: torch.device) -> torch.device:
        if device.type == "cpu":
            return device
        if device.type != "cuda" or device.index is not None:
            raise ConfigError(f"machine.device={device}: several processes take cpu, or cuda: each its own GPU")
        if self.local_rank >= torch.cuda.device_count():
            gpus, count = torch.cuda.device_count(), self.local_size
            raise ConfigError(
                f"machine.device=cuda: {count} processes need as many GPUs, and torch sees {gpus} here"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def seed(self, seed: int) -> None:
        self._seed = seed

    def begin_update(self, step: int) -> None:
        """Each update has its own random numbers on each rank, so that the number of processes may change."""
        torch.manual_seed(random.Random(f"{self._seed}/{step}/{self.rank}").getrandbits(63))

    def parallel(self, module: nn.Module, all_reduce: str) -> nn.Module:
        wrapped = DistributedDataParallel(module, gradient_as_bucket_view=True)
        if all_reduce == "bf16":
            # DDP knows this hook by its name and refuses it without NCCL, though gloo adds up bf16 as well.
            wrapped.register_comm_hook(None, lambda group, bucket: bf16_compress_hook(group, bucket))
        return wrapped

    def exchanging(self, module: nn.Module, now: bool) -> AbstractContextManager[None]:
        assert isinstance(module, DistributedDataParallel)
        return nullcontext() if now else module.no_sync()

    def sum(self, tensor: Tensor) -> Tensor:
        dist.all_reduce(total := tensor.clone())
        return total

    def agreed(self, tensor: Tensor) -> Tensor:
        dist.broadcast(tensor, src=0)
        return tensor

    def largest(self, number: int) -> int:
        dist.all_reduce(largest := torch.tensor(number), op=dist.ReduceOp.MAX)
        return int(largest)

    def once(self, function: Callable[[], T]) -> T:
        result: list[Any] = [function() if self.first else None]
        dist.broadcast_object_list(result, src=0, device=CPU)
        answer: T = result[0]
        return answer

    def shared_out(self, items: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]]) -> list[R]:
        parts: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(work(self.share(items)), parts, dst=0)
        results: list[Any] = [None] * len(items) if parts else []
        for rank, part in enumerate(parts or []):
            results[rank :: self.size] = part
        return results

    def wait(self) -> None:
        self.largest(0)  # a barrier on the CPU, which needs no GPU

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        self._rounds += 1
        done = f"prepared/{self._rounds}"
        if not self.first:
            self._store.wait([done], PREPARATION)
        yield
        self._store.set(done, "")

    def require_same(self, what: str, value: object) -> None:
        if value != self.once(lambda: value):
            raise ConfigError(
                f"{what}: not as on rank 0; start all processes with the same command, on hosts that see the same "
                "files at the same paths"
            )

    def fail(self, error: BaseException) -> NoReturn:
        """End this process because of ``error``, which is printed unless another process failed before.

        The others lose their connections to it, and so end too.
        """
        with suppress(dist.DistError):  # the store is gone with its host
            if self._store.add("failures", 1) > 1:
                raise SystemExit(1) from None
        if self.first or not isinstance(error, SystemExit):
            raise error
        raise SystemExit(f"error: rank {self.rank}: {str(error.code).removeprefix('error: ')}")


def met(store: Store, rank: int, size: int) -> Store:
    """``store`` without what earlier starts have left there, once all processes of this start have come.

    torchrun keeps one store for all of its restarts. Of what a process reads there, only an answer to a word that
    it has just made up itself is sure to be from a living one.
    """
    word = uuid.uuid4().hex
    if rank > 0:
        store.set(f"word/{rank}", word)
        start = store.get(f"start/{rank}/{word}").decode()
        store.set(f"{start}/{rank}", "")
        return PrefixStore(start, store)
    while not store.check([f"{word}/{other}" for other in range(1, size)]):
        for other in range(1, size):
            store.set(f"start/{other}/{store.get(f'word/{other}').decode()}", word)
        time.sleep(0.02)
    return PrefixStore(word, store)


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The group of processes; but for rank 0, they print nothing in this block, and an error only the first."""
    group = Processes()
    try:
        with nullcontext() if group.first else _silence():
            yield group
            group.wait()  # so that none is missing while another still needs it
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code in (None, 0, STOPPED_STATUS):
            raise
        group.fail(error)
    dist.destroy_process_group()


@contextmanager
def _silence() -> Iterator[None]:
    with Path(os.devnull).open("w", encoding="utf-8") as null, redirect_stdout(null), redirect_stderr(null):
        yield
