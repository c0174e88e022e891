"""Where the time of a run goes, over all of its starts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

OTHER = "other"


class Clock:
    """Counts every second once: as spent on what was going on then."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Count from now on."""
        self._what, self._since = OTHER, time.monotonic()
        self._lap_began = self._since

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count the seconds of the block as spent on ``what``, and not on what the block is a part of."""
        outer = self._turn_to(what)
        try:
            yield
        finally:
            self._turn_to(outer)

    def _turn_to(self, what: str) -> str:
        before, now = self._what, time.monotonic()
        self.spent[before] = self.spent.get(before, 0.0) + now - self._since
        self._what, self._since = what, now
        return before

    def lap(self) -> float:
        """Seconds since the last call."""
        before, self._lap_began = self._lap_began, time.monotonic()
        return self._lap_began - before

    def total(self) -> float:
        """Seconds of this start and of those before it, up to now."""
        return sum(self.state_dict().values())

    def state_dict(self) -> dict[str, float]:
        """Seconds by what they were spent on, up to now."""
        self._turn_to(self._what)
        return dict(self.spent)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Count from the seconds of earlier starts on."""
        self.spent = dict(state)
