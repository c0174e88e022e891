"""A command in this process, as its script runs it: torch is imported once for many."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from seq2seq.commands import frame
from seq2seq.commands.evaluate import evaluate
from seq2seq.commands.train import train
from seq2seq.settings.schema import EvaluateConfig, TrainConfig


@contextmanager
def restored() -> Iterator[None]:
    """Put back what commands change in their process."""
    before = sys.argv, threading.excepthook, logging.raiseExceptions
    try:
        yield
    finally:
        sys.argv, threading.excepthook, logging.raiseExceptions = before
        logging.basicConfig(handlers=[], force=True)


def status_of(command: str, *arguments: str) -> int:
    """Run `seq2seq COMMAND ARGUMENTS`; gives its exit status."""
    with restored():
        sys.argv = [command, *arguments]
        try:
            if command == "train":
                frame.run("train", train, TrainConfig)
            else:
                frame.run("evaluate", evaluate, EvaluateConfig)
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
            return 1 if isinstance(ended.code, str) else int(ended.code or 0)
    return 0
