"""Printing, although the reader of the output may have gone, as `head` may, or the disk may be full."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from seq2seq.openmp import share_cores
from seq2seq.signals import INTERRUPTED, INTERRUPTED_STATUS


@contextmanager
def process() -> Iterator[None]:
    """The process of a command: it shares the machine, its streams can be used, and what was printed is written.

    Raises:
        SystemExit: with one line, if it can't be written; without, after Ctrl-C or if nobody reads it any more.
    """
    share_cores()
    _open_streams()
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(INTERRUPTED_STATUS)
    except SystemExit:
        try:
            sys.stdout.flush()
        except OSError:
            forget_output()
        raise
    except OSError as error:
        if error.filename is not None:  # not what was printed
            raise
        forget_output()
        sys.exit(1 if isinstance(error, BrokenPipeError) else f"error: the output: {error.strerror}")


def _open_streams() -> None:
    """Make the standard streams take any text, and those that are closed lead nowhere.

    A file opened later would get the number of a closed one, and messages of C libraries.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdout is None:
        sys.exit("error: standard output is closed; give >/dev/null if nobody is to read it")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(message: str) -> None:
    """Print ``message``, if anybody still reads our output."""
    try:
        print(message, flush=True)
    except BrokenPipeError:
        forget_output()


def forget_output() -> None:
    """Send further output to /dev/null instead of a pipe that nobody reads, or a full disk."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
