"""What is saved comes back, all of it and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from seq2seq.errors import CheckpointError
from seq2seq.settings.schema import PlateauConfig, TrainerConfig
from seq2seq.training.meter import Meter
from seq2seq.training.optim import Plateau
from seq2seq.training.state import TrainState, higher_is_better

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
    with pytest.raises(CheckpointError, match=f"the saved state of the {name} also has more: "):
        OWNERS[name]().load_state_dict({**state, "more": 1})


@pytest.mark.parametrize(
    ("done", "limits", "passed"),
    [
        ({"step": 6, "epoch": 2}, {"max_steps": 6, "max_epochs": 2}, None),
        ({"step": 6, "epoch": 2}, {"max_steps": 5, "max_epochs": None}, "trainer.max_steps=5"),
        ({"step": 6, "epoch": 2}, {"max_steps": None, "max_epochs": 1}, "trainer.max_epochs=1"),
        ({"step": 6, "epoch": 2, "batch": 1}, {"max_epochs": 2}, "trainer.max_epochs=2"),
        ({"step": 6, "epoch": 2, "batch": 1}, {"max_epochs": 3}, None),
        ({"step": 6, "waited": 2}, {"patience": 2}, None),
        ({"step": 6, "waited": 2}, {"patience": 1}, "trainer.patience=1"),
    ],
)
def test_a_limit_that_training_has_passed(
    done: dict[str, int], limits: dict[str, int | None], passed: str | None
) -> None:
    assert TrainState(**done).beyond(TrainerConfig(**limits)) == passed  # type: ignore[arg-type]


def test_the_names_are_those_of_format_2() -> None:
    """What earlier versions saved is to be read."""
    state = "step epoch batch waited best best_step validated validated_step seconds"
    meter = "loss nll norm skipped tokens real padded updates seconds"
    assert [*OWNERS["trainer"]().state_dict()] == state.split()
    assert [*OWNERS["meter"]().state_dict()] == meter.split()
    assert [*OWNERS["schedule"]().state_dict()] == ["current", "best", "waited"]


@pytest.mark.parametrize("name", OWNERS)
def test_a_state_comes_back(name: str) -> None:
    owner, other = OWNERS[name](), OWNERS[name]()
    changed = {
        key: value + 3 if isinstance(value, int | float) else value for key, value in owner.state_dict().items()
    }
    assert changed != owner.state_dict()
    other.load_state_dict(changed)
    assert other.state_dict() == changed


def test_higher_is_better() -> None:
    assert [higher_is_better(metric, 2.0) for metric in ("loss", "ppl", "bleu", "chrf")] == [-2, -2, 2, 2]
    assert higher_is_better("loss", math.nan) == higher_is_better("bleu", math.nan) == -math.inf


def test_the_best_validation_is_kept_and_the_others_are_waited_through() -> None:
    state = TrainState()
    losses = [math.nan, 3.0, 2.0, 2.0, math.nan, 2.5, 1.0]
    better, waited = [], []
    for state.step, loss in enumerate(losses, 1):
        better.append(state.validated_by({"loss": loss}, "loss"))
        waited.append(state.waited)
    assert better == [True, True, True, False, False, False, True]
    assert waited == [0, 0, 0, 1, 2, 3, 0]
    assert (state.best, state.best_step) == ({"loss": 1.0}, 7)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"patience": 3}, "no better bleu in 3 validations"),
        ({"max_steps": 50}, "max_steps=50"),
        ({"max_epochs": 4}, "max_epochs=4"),
        ({"patience": 4, "max_steps": 51, "max_epochs": 5}, None),
    ],
)
def test_training_is_over_at_the_first_limit(limits: dict[str, Any], reason: str | None) -> None:
    settings = TrainerConfig(**{"max_epochs": None, **limits})
    assert TrainState(step=50, epoch=4, waited=3).end(settings) == reason
    assert TrainState(step=49, epoch=3, waited=2).end(settings) is None
