"""OpenMP's threads wait as this package says before torch loads the library, or as the user says."""

from __future__ import annotations

import os
import sys

import pytest
import torch  # noqa: F401

from seq2seq.openmp import WAITING, share_cores


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, WAITING),
        ({"KMP_BLOCKTIME": "infinite"}, {"KMP_BLOCKTIME": "infinite"}),
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
