"""What a signal does: it ends a process that is starting, and asks one that trains to save and stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

STOPPED_STATUS = 75
"""Exit status of a run that was asked to stop and can be resumed: EX_TEMPFAIL of sysexits.h, "try again later"."""
INTERRUPTED_STATUS = 130
"""Exit status after Ctrl-C before that, as shells have it: 128 + SIGINT."""
INTERRUPTED = "interrupted"
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)]

Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@contextmanager
def handled(handler: Handler, numbers: Iterable[int] = tuple(SIGNALS)) -> Iterator[None]:
    """In the block these signals go to ``handler``; ignored ones stay ignored, as nohup and scripts want it."""
    if threading.current_thread() is not threading.main_thread():  # Python lets no other one set handlers
        numbers = ()
    before = {n: signal.signal(n, handler) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def importing() -> AbstractContextManager[None]:
    """In the block Ctrl-C ends the process: libraries swallow an exception that is raised while they load."""
    return handled(end, [signal.SIGINT])


def end(number: int, frame: FrameType | None) -> NoReturn:
    """A handler: the process ends at once, whatever its threads do."""
    with suppress(OSError):
        os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(INTERRUPTED_STATUS)


def not_returning() -> AbstractContextManager[None]:
    """In the block signals end the process without Python, whose handlers wait until a call of C returns."""
    return handled(signal.SIG_DFL)


class StopRequest:
    """In its block the first signal is noted; a SIGINT after it ends the process at once."""

    def __init__(self) -> None:
        self.number = 0  # of the signal; 0: none yet
        self._handled = handled(self._note)

    def __enter__(self) -> StopRequest:
        self._handled.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._handled.__exit__(*exception)

    @property
    def signal(self) -> str | None:
        """The signal's name."""
        return signal.Signals(self.number).name if self.number else None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
