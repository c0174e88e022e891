"""A command in this process, as its script runs it: torch is imported once for many."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest import mock

from seq2seq import commands


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
            commands.run(command)
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
            return 1 if isinstance(ended.code, str) else int(ended.code or 0)
    return 0


class Ended(NamedTuple):
    """What a command left, as of subprocess.run."""

    returncode: int
    stdout: bytes
    stderr: bytes


def start(command: str, *arguments: str, stdin: bytes = b"") -> Ended:
    """Run `seq2seq COMMAND ARGUMENTS` with standard streams of its own."""
    out, err = io.BytesIO(), io.BytesIO()
    texts = [io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in (out, err)]
    with (
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        redirect_stdout(texts[0]),
        redirect_stderr(texts[1]),
    ):
        status = status_of(command, *arguments)
    return Ended(status, out.getvalue(), err.getvalue())


def error_line(command: str, *arguments: str) -> str:
    """The one line of a command that must fail, after "error: "."""
    ended = start(command, *arguments)
    assert ended.returncode == 1
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")
