"""OpenMP's threads wait as this package says before torch loads the library, or as the user says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401

from seq2seq.openmp import WAITING, share_cores

ROOT = Path(__file__).parents[1]
LOADING = ("-c", "import seq2seq; seq2seq.load")
SET_BY_USERS = (*WAITING, "OMP_WAIT_POLICY")


def spins(*arguments: str, **environment: str) -> str:
    """The turns that GNU's library says it waits, in a process that imports torch."""
    inherited = {name: value for name, value in os.environ.items() if name not in SET_BY_USERS}
    ended = subprocess.run(
        [sys.executable, *arguments],
        env={**inherited, **environment, "OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return re.findall(r"GOMP_SPINCOUNT = '(\d+)'", ended.stderr)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="torch has another library there")
@pytest.mark.parametrize(
    "arguments",
    [("-m", "seq2seq", "translate", "run=none"), (str(ROOT / "scripts/evaluate.py"), "run=none"), LOADING],
    ids=["command", "script", "load"],
)
def test_it_is_in_force(arguments: tuple[str, ...]) -> None:
    assert spins(*arguments) == WAITING["GOMP_SPINCOUNT"]


@pytest.mark.skipif(sys.platform != "linux", reason="torch has another library there")
def test_the_users_own_value_wins() -> None:
    assert spins(*LOADING, GOMP_SPINCOUNT="77") == "77"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, WAITING),
        ({"GOMP_SPINCOUNT": "5"}, {**WAITING, "GOMP_SPINCOUNT": "5"}),
        ({"KMP_BLOCKTIME": "infinite"}, {**WAITING, "KMP_BLOCKTIME": "infinite"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_what_is_set(given: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    share_cores()  # torch is loaded: too late
    assert os.environ == given
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    share_cores()
    assert os.environ == expected
