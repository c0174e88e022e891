"""Locks on directories, released when the process that holds them ends or dies."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seq2seq.errors import ConfigError

logger = logging.getLogger(__name__)

try:
    import fcntl
except ImportError:  # on Windows, two processes in one run are not detected
    fcntl = None  # type: ignore[assignment]


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs, after waiting for others; none where there can be none."""
    with ExitStack() as held:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(path.open("a", encoding="utf-8"))
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs.

    Raises:
        ConfigError: another process holds it.
    """
    with path.open("a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read().strip()
                raise ConfigError(
                    f"{path.parent}: process {owner} is training there; stop it or choose another name="
                ) from None
            except OSError as error:  # a file system without locks
                logger.warning(
                    "%s: can't be locked (%s); don't start a second process there", path.parent, error.strerror
                )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
