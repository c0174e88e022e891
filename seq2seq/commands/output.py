"""What is printed, when its reader may have gone, as `head` goes."""

from __future__ import annotations

import os
import sys


def say(message: str) -> None:
    """Print it, if anybody still reads our output."""
    try:
        print(message, flush=True)
    except BrokenPipeError:
        forget_output()


def forget_output() -> None:
    """Nothing more is to be flushed into a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
