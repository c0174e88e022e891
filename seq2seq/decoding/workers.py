"""Search in several processes of one thread each, which share the model's memory.

They are forked, so a worker has all that its parent had: the model and the sentences are neither copied nor sent.
It is sent numbers of batches, and answers with what it found.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, NoReturn

import torch

from seq2seq.decoding.search import Hypothesis
from seq2seq.errors import ConfigError
from seq2seq.machine import usable_cores
from seq2seq.signals import SIGNALS

logger = logging.getLogger(__name__)

Found = list[list[Hypothesis]]
"""The hypotheses of each sentence of a batch."""
Task = Callable[[list[int]], Found]
"""Searches for the sentences with these numbers."""

FEWEST_TOKENS = 1000  # source tokens for each worker, from which on it repays the time that a fork takes
SHARES = 3  # batches for each worker: fewer end at different times, and more are too small to be fast


def check_workers(workers: str, device: torch.device) -> None:
    """Raise ``ConfigError`` if there can't be that many: threads of a GPU don't survive a fork."""
    if workers not in ("auto", "0", "1") and not _can_fork(device):
        raise ConfigError(f"decode.workers={workers}: only on CPUs, under Linux; use decode.workers=auto")


def _can_fork(device: torch.device) -> bool:
    return sys.platform == "linux" and device.type == "cpu"


def num_workers(workers: str, num_tokens: int, device: torch.device) -> int:
    """How many processes to share ``num_tokens`` source tokens among; with 1, this one does all."""
    if workers != "auto":
        return max(1, int(workers))
    if not _can_fork(device) or threading.current_thread() is not threading.main_thread():
        return 1  # what other threads of a server hold at a fork, nobody would ever release
    return max(1, min(usable_cores(), torch.get_num_threads(), num_tokens // FEWEST_TOKENS))


def largest_batch(batch_tokens: int, num_tokens: int, processes: int) -> int:
    """Padded tokens of a batch: at most ``batch_tokens``, and fewer so that each process gets its share."""
    return batch_tokens if processes == 1 else min(batch_tokens, num_tokens // (SHARES * processes) + 1)


def searched(task: Task, batches: Sequence[list[int]], processes: int) -> Generator[tuple[list[int], Found]]:
    """``(batch, task(batch))`` for all ``batches``: begun in this order, given as they are done.

    With more than one process all is done by workers. The batch of a worker that dies is done again by another,
    or here if none is left. A batch that fails is done again here, so its error is raised here. The workers end
    when the generator is closed.
    """
    queue = deque(range(len(batches)))
    pids: dict[Connection, int] = {}  # of the workers that live
    at: dict[Connection, int] = {}  # the batches of those that are busy

    def give(connection: Connection) -> None:
        if queue:
            at[connection] = queue.popleft()
            with suppress(OSError):  # a dead worker, as recv will tell
                connection.send(at[connection])

    try:
        if processes > 1:
            _start(min(processes, len(batches)), task, batches, pids)
        while queue or at:
            for connection in pids.keys() - at.keys():
                give(connection)
            if not at:
                batch = batches[queue.popleft()]
                yield batch, task(batch)
                continue
            ready: list[Any] = wait(list(at))
            for connection in ready:
                number = at.pop(connection)
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    queue.appendleft(number)
                    _report(pids.pop(connection))
                    continue
                give(connection)  # before the caller takes its time
                batch = batches[number]
                yield batch, _repeated(task, batch, answer) if isinstance(answer, str) else _unpacked(answer)
    finally:
        for connection, pid in pids.items():
            connection.close()
            with suppress(ProcessLookupError):  # somebody else has waited for it
                os.kill(pid, signal.SIGKILL)
        for pid in pids.values():
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _start(processes: int, task: Task, batches: Sequence[list[int]], pids: dict[Connection, int]) -> None:
    """Start as many workers as the system allows, and add them to ``pids``."""
    with warnings.catch_warnings():
        # Python 3.12 warns that locks which other threads hold stay locked. Search needs none of theirs.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        try:
            for _ in range(processes):
                ours, theirs = Pipe()
                with theirs:
                    if not (pid := os.fork()):
                        _serve(task, batches, theirs)
                pids[ours] = pid
        except OSError as error:
            logger.warning("decode.workers: %d instead of %d processes (%s)", len(pids), processes, error.strerror)


def _serve(task: Task, batches: Sequence[list[int]], connection: Connection) -> NoReturn:
    """The life of a worker: it ends with its parent, and prints nothing."""
    try:
        for number in SIGNALS:  # sent to all processes of a terminal or a job; the parent decides what they mean
            signal.signal(number, signal.SIG_IGN)
        _let_go(connection.fileno())
        torch.set_num_threads(1)  # those of the parent's OpenMP are not here
        while True:
            batch = batches[connection.recv()]
            try:
                answer: Any = _packed(task(batch))
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            connection.send(answer)
    finally:
        os._exit(0)  # nothing of the parent's is written or removed


def _let_go(kept: int) -> None:
    """Close all files but ``kept``: the parent's locks and its ends of the pipes must be released when it dies."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    for number in {int(path.name) for path in Path("/proc/self/fd").iterdir()} - {0, 1, 2, kept}:
        with suppress(OSError):  # that of the listing itself
            os.close(number)


def _packed(found: Found) -> Any:
    """With weights as NumPy's arrays, whose bytes are sent; tensors would be sent as files of shared memory."""
    return [[one._replace(weights=one.weights.numpy()) for one in best] for best in found]  # type: ignore[arg-type]


def _unpacked(packed: Any) -> Found:
    return [[one._replace(weights=torch.from_numpy(one.weights)) for one in best] for best in packed]


def _repeated(task: Task, batch: list[int], failure: str) -> Found:
    """Do here what failed in a worker: it will fail in the same way, or it was a matter of that process."""
    found = task(batch)
    logger.warning("decode.workers: a batch failed in a worker (%s), and was translated again", failure)
    return found


def _report(pid: int) -> None:
    ended = "ended"
    with suppress(ChildProcessError):  # somebody else has waited for it
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    logger.warning("decode.workers: process %d %s; its batch is translated again", pid, ended)
