"""How far training has come, and the check that all that was saved comes back, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seq2seq.errors import CheckpointError


def require_keys(state: Mapping[str, Any], keys: Iterable[str], owner: str) -> None:
    """Raise ``CheckpointError`` unless ``state``, saved by ``owner``, has these keys and no others."""
    wanted = set(keys)
    missing, unknown = wanted - set(state), set(state) - wanted
    if missing or unknown:
        parts = [f"lacks {name}" for name in sorted(missing)] + [f"has also {name}" for name in sorted(unknown)]
        raise CheckpointError(f"the saved state of the {owner} {', '.join(parts)}: it is of another version")


@dataclass
class TrainState:
    """How far training has come."""

    step: int = 0  # optimizer updates
    epoch: int = 0  # epochs completed
    batch: int = 0  # batches of this epoch that have been used
    waited: int = 0  # validations since the best
    best: dict[str, float] = field(default_factory=dict)  # metrics of the best validation
    best_step: int = 0
    validated: dict[str, float] = field(default_factory=dict)  # metrics of the last validation
    validated_step: int = 0
    seconds: float = 0.0  # spent in earlier starts of this run

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``."""
        require_keys(state, (item.name for item in dataclasses.fields(self)), "trainer")
        vars(self).update(state)
