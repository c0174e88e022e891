"""What the machine can do, and how it is used."""

import logging
import sys
from pathlib import Path

import pytest
from reversals import new_trainer, overrides, reported, write_reversals

from seq2seq import machine
from seq2seq.machine import keep_freed_memory


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
