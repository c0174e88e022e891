"""Printing, although the reader of the output may have gone, as `head` may."""

from __future__ import annotations

import os
import sys


def say(message: str) -> None:
    """Print ``message``, if anybody still reads our output."""
    try:
        print(message, flush=True)
    except BrokenPipeError:
        forget_output()


def forget_output() -> None:
    """Send further output to /dev/null instead of a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
