"""A toy task for the benchmark, and a run trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarking import training
from reversals import new_trainer, overrides, write_reversals


@pytest.fixture(autouse=True)
def same_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """No precision is left out, on whatever processor the tests run."""
    monkeypatch.setattr(training, "product_rate", lambda *_, **__: 1e9)


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    data = write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 6})
    small = ["sentences=[10]", "batches=2", "rounds=2", f"output={tmp_path / 'out'}"]
    return overrides(data, "schedule.warmup_steps=0", *(f"benchmark.{setting}" for setting in small))


@pytest.fixture
def trained(settings: list[str], tmp_path: Path) -> str:
    training = [setting for setting in settings if not setting.startswith(("benchmark.", "schedule."))]
    new_trainer(*training, "trainer.max_steps=1", "name=r").train()
    return f"benchmark.run={tmp_path / 'runs' / 'r'}"
