"""The progress of training as saved state, and the check that a saved state has all its parts and no others."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seq2seq.errors import CheckpointError
from seq2seq.settings.schema import LOWER_IS_BETTER, TrainerConfig


def require_keys(state: Mapping[str, Any], keys: Iterable[str], owner: str) -> None:
    """Raise ``CheckpointError`` unless ``state``, saved by ``owner``, has these keys and no others."""
    wanted = set(keys)
    missing, unknown = wanted - set(state), set(state) - wanted
    if missing or unknown:
        parts = [f"lacks {name}" for name in sorted(missing)] + [f"also has {name}" for name in sorted(unknown)]
        raise CheckpointError(f"the saved state of the {owner} {', '.join(parts)}: it comes from another version")


def higher_is_better(metric: str, value: float) -> float:
    """``value`` of a metric, with the sign that makes higher better; NaN is the worst value."""
    if math.isnan(value):
        return -math.inf
    return -value if metric in LOWER_IS_BETTER else value


@dataclass
class TrainState:
    """The progress of training."""

    step: int = 0  # optimizer updates
    epoch: int = 0  # epochs completed
    batch: int = 0  # batches of this epoch that have been used
    waited: int = 0  # validations since the best
    best: dict[str, float] = field(default_factory=dict)  # metrics of the best validation
    best_step: int = 0
    validated: dict[str, float] = field(default_factory=dict)  # metrics of the last validation
    validated_step: int = 0
    seconds: float = 0.0  # spent in earlier starts of this run

    def validated_by(self, metrics: dict[str, float], metric: str) -> bool:
        """Record a validation's ``metrics``; returns whether it is the best so far by ``metric``."""
        self.validated, self.validated_step = metrics, self.step
        better = not self.best or (
            higher_is_better(metric, metrics[metric]) > higher_is_better(metric, self.best[metric])
        )
        if better:
            self.best, self.best_step, self.waited = metrics, self.step, 0
        else:
            self.waited += 1
        return better

    def end(self, settings: TrainerConfig) -> str | None:
        """Why training is over according to ``settings``; None if it is not."""
        if settings.patience is not None and self.waited >= settings.patience:
            return f"no better {settings.metric} in {self.waited} validations"
        if settings.max_steps is not None and self.step >= settings.max_steps:
            return f"max_steps={settings.max_steps}"
        if settings.max_epochs is not None and self.epoch >= settings.max_epochs:
            return f"max_epochs={settings.max_epochs}"
        return None

    def beyond(self, settings: TrainerConfig) -> str | None:
        """The limit in ``settings`` that training has passed; None if it could still have ended there."""
        if settings.max_steps is not None and self.step > settings.max_steps:
            return f"trainer.max_steps={settings.max_steps}"
        if settings.max_epochs is not None and (self.epoch, self.batch) > (settings.max_epochs, 0):
            return f"trainer.max_epochs={settings.max_epochs}"
        if settings.patience is not None and self.waited > settings.patience:
            return f"trainer.patience={settings.patience}"
        return None

    def state_dict(self) -> dict[str, Any]:
        """All fields."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``."""
        require_keys(state, (item.name for item in dataclasses.fields(self)), "trainer")
        vars(self).update(state)
