"""A function of many items, computed by several processes; the results come in order."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from seq2seq.signals import SIGNALS, handled

IGNORED = [number for number in SIGNALS if number != signal.SIGTERM]
"""Sent to all processes of a terminal or a job; the parent decides what they mean."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Generator[Result, None, None]:
    """``function(item)`` for each of ``items``, in order; with more than one process, workers compute it.

    Function, items and results are pickled. At most one item a worker is under way, so memory is bounded. What a
    worker fails at, or dies of, is done here: its error is raised here, or it was a matter of that process. The
    workers end with the generator, or with this process however that ends.
    """
    workers = [_start(function) for _ in range(processes if processes > 1 else 0)]
    try:
        for first in range(min(processes, len(items)) if workers else 0):
            _send(workers[first][1], items[first])
        for number, item in enumerate(items):
            if not workers:
                yield function(item)
                continue
            connection = workers[number % processes][1]
            answer = _received(connection)
            if number + processes < len(items):
                _send(connection, items[number + processes])
            yield function(item) if answer is None else answer[0]
    finally:
        for _, connection in workers:
            connection.close()
        for process, _ in workers:
            process.terminate()
            process.join()


def _start(function: Callable[[Any], Any]) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """A worker. It is spawned: a fork would share the memory of this process, and its threads' locks."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    with handled(signal.SIG_IGN, IGNORED):  # what is ignored here at its start is ignored there
        process.start()
    theirs.close()  # so that the end of either process is the end of the pipe
    return process, ours


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    """The life of a worker."""
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            item = connection.recv()
            try:
                answer: Any = (function(item),)
            except Exception:  # the parent will see it
                answer = None
            connection.send(answer)


def _send(connection: Connection, item: Any) -> None:
    with suppress(OSError):  # a dead worker, as receiving will tell
        connection.send(item)


def _received(connection: Connection) -> Any:
    """The worker's answer; None if it failed or is dead."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None
