"""What the machine can do, and how it is used."""

import logging
import sys
from pathlib import Path

import pytest
import torch
from reversals import new_trainer, overrides, reported, write_reversals

from seq2seq import machine
from seq2seq.errors import ConfigError
from seq2seq.machine import choose_precision, keep_freed_memory

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
