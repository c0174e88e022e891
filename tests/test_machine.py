"""What the machine can do, and how it is used."""

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from reversals import new_trainer, overrides, reported, write_reversals

from seq2seq import machine
from seq2seq.errors import ConfigError
from seq2seq.machine import choose_precision, keep_freed_memory, usable_cores

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_amx, name in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda found=has_amx: found)
        chosen = choose_precision("auto", CPU)
        assert chosen.name == name
        assert "AMX" in chosen.reason


@pytest.mark.parametrize(
    ("bf16", "capability", "name"), [(True, (9, 0), "bf16"), (False, (7, 5), "fp16"), (False, (6, 1), "fp32")]
)
def test_auto_asks_the_gpu(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, capability: tuple[int, int], name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", CUDA).name == name


def test_what_is_asked_for_is_used() -> None:
    assert [choose_precision(name, CPU).name for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert choose_precision("fp16", CUDA).dtype == torch.float16
    with pytest.raises(ConfigError, match=r"machine.precision=fp16 is for GPUs"):
        choose_precision("fp16", CPU)
    assert choose_precision("int8", CPU).dtype == torch.float32
    with pytest.raises(ConfigError, match=r"machine.precision=int8 is for CPUs"):
        choose_precision("int8", CUDA)


SIBLINGS = {n: f"{n % 4},{n % 4 + 4}" for n in range(8)}  # four cores of two threads


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
@pytest.mark.parametrize(
    ("allowed", "files", "cores"),
    [
        (range(8), {}, 4),
        ({0, 4, 1}, {}, 2),
        ({2}, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "800000 100000"}, 1),
        (range(8), {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, 2),
        (range(8), {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        (range(8), {"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 4),
        (
            range(8),
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
                "sys/fs/cgroup/a/cpu.max": "300000 100000",
            },
            3,
        ),
        (
            range(8),
            {
                "proc/self/cgroup": "4:memory:/d\n3:cpu,cpuacct:/d/e",
                "sys/fs/cgroup/cpu/d/e/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/d/e/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (range(8), {"proc/self/cgroup": "3:cpu:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "nonsense"}, 4),
    ],
)
def test_usable_cores(
    allowed: Iterable[int], files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = {
        f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{SIBLINGS[n]}\n" for n in SIBLINGS
    }
    for name, text in {**topology, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(allowed))
    assert usable_cores(tmp_path) == cores
    assert usable_cores(tmp_path / "nothing") == len(set(allowed))


def test_threads_are_those_that_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(machine, "usable_cores", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    machine.prepare()
    machine.prepare(5)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    machine.prepare()  # as the user wants
    machine.prepare(2)
    assert numbers == [3, 5, 2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an allocator of Linux")
def test_freed_memory_is_kept() -> None:
    assert keep_freed_memory()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an allocator of Linux")
def test_a_refused_setting_of_memory_stops_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked = []

    class Library:
        def __init__(self, name: None) -> None:
            pass

        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            asked.append(parameter)
            return int(parameter != machine.M_MMAP_THRESHOLD)

    monkeypatch.setattr(machine.ctypes, "CDLL", Library)
    assert not keep_freed_memory()
    assert asked == list(machine.KEPT)
    assert "accepts 2 of 3 settings that keep freed memory" in caplog.text


@pytest.mark.usefixtures("undrawn")
def test_training_curves_of_bf16_and_fp32_agree(tmp_path: Path) -> None:
    data = write_reversals(tmp_path, {"train": 600, "valid": 40, "test": 1})
    losses = {}
    for precision in ("fp32", "bf16"):
        trainer = new_trainer(
            *overrides(data, f"machine.precision={precision}", f"name={precision}", "trainer.max_epochs=8")
        )
        assert trainer.precision.name == precision
        trainer.train()
        losses[precision] = [row["loss"] for row in reported(trainer, "valid")]
    assert losses["fp32"] != losses["bf16"]
    assert losses["fp32"][-1] < 0.7 * losses["fp32"][0]
    for exact, rough in zip(losses["fp32"], losses["bf16"], strict=True):
        assert rough == pytest.approx(exact, rel=0.1)
