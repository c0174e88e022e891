"""The command itself under torchrun, with a process killed on the way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from killing import Ended, run


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torchrun")


@pytest.fixture(scope="module")
def whole(directory: Path) -> Ended:
    ended = run(directory, "whole")
    assert (ended.status, ended.resumed_from) == (0, None), ended.said
    assert ended.said.count("finished: max_steps=") == 1  # rank 0 alone prints
    return ended


@pytest.mark.system
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(1, 100))])
def test_a_killed_process_is_started_again(directory: Path, whole: Ended, seed: int) -> None:
    ended = run(directory, f"killed{seed}", random.Random(seed), 0.9 * whole.seconds)
    assert ended.status == 0, ended.said
    assert ended.weights == whole.weights
