"""What is saved comes back, all of it and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seq2seq.errors import CheckpointError
from seq2seq.settings.schema import PlateauConfig
from seq2seq.training.meter import Meter
from seq2seq.training.optim import Plateau
from seq2seq.training.state import TrainState

OWNERS: dict[str, Callable[[], Any]] = {
    "trainer": TrainState,
    "meter": lambda: Meter(torch.device("cpu")),
    "schedule": lambda: Plateau(PlateauConfig(), 1.0, 100),
}


@pytest.mark.parametrize("name", OWNERS)
def test_a_missing_or_unknown_key_is_refused(name: str) -> None:
    state = OWNERS[name]().state_dict()
    key = next(iter(state))
    with pytest.raises(CheckpointError, match=f"the saved state of the {name} lacks {key}: "):
        OWNERS[name]().load_state_dict({k: v for k, v in state.items() if k != key})
    with pytest.raises(CheckpointError, match=f"the saved state of the {name} has also more: "):
        OWNERS[name]().load_state_dict({**state, "more": 1})


@pytest.mark.parametrize("name", OWNERS)
def test_a_state_comes_back(name: str) -> None:
    owner, other = OWNERS[name](), OWNERS[name]()
    changed = {
        key: value + 3 if isinstance(value, int | float) else value for key, value in owner.state_dict().items()
    }
    assert changed != owner.state_dict()
    other.load_state_dict(changed)
    assert other.state_dict() == changed
