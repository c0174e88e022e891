"""Signals that ask training to stop: it finishes the update, saves the run, and has an exit status of its own."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

STOPPED_STATUS = 75
"""Exit status of a run that was asked to stop and can be resumed: EX_TEMPFAIL of sysexits.h, "try again later"."""
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class StopRequest:
    """In its block the first SIGINT, SIGTERM or SIGUSR1 is noted; a SIGINT after it ends the process at once."""

    def __init__(self) -> None:
        self.signal: str | None = None  # its name

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number).name
