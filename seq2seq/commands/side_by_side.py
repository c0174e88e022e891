"""The trainings of one command, several at a time, each in a process of its own.

Side by side they use many cores better than one after the other: the batches that suit a small corpus are too
small for many threads.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NamedTuple, NoReturn, TextIO

from seq2seq.commands import frame, output
from seq2seq.settings.schema import TrainConfig
from seq2seq.signals import STOPPED_STATUS, handled
from seq2seq.storage.processes import IGNORED


class Job(NamedTuple):
    """A training, and what follows it."""

    name: str  # of its process, which its lines begin with
    title: str  # printed when it begins
    work: Callable[[], object]  # pickled; a signal stops it as it stops ``train``


def side_by_side(jobs: Sequence[Job], at_once: int) -> None:
    """Do all ``jobs``, begun in their order, ``at_once`` at a time; with 1, in this process.

    A signal stops those that run, as does the failure of one: each saves what it has. A second Ctrl-C kills them.
    They stop too if this process dies.

    Raises:
        SystemExit: not all are done. What failed has printed why.
    """
    if at_once == 1:
        for job in jobs:
            print(job.title, flush=True)
            job.work()
        return
    waiting, running = deque(jobs), Running()
    try:
        with handled(running.stop):
            while running.processes or (waiting and not running.stopping):
                if waiting and len(running.processes) < at_once and not running.stopping:
                    running.start(waiting.popleft())
                else:
                    running.wait()
    finally:
        running.kill()
    if running.status:
        sys.exit(running.status)


class Running:
    """The processes that run now."""

    def __init__(self) -> None:
        self.processes: list[BaseProcess] = []
        self.stopping = False
        self.signalled = False
        self.status = 0  # of the first that did not end well

    def start(self, job: Job) -> None:
        """Begin ``job``."""
        output.say(job.title)
        process = multiprocessing.get_context("spawn").Process(target=_do, args=(job,), name=job.name)
        with handled(signal.SIG_IGN, IGNORED):  # what is ignored here at its start is ignored there
            process.start()
        self.processes.append(process)
        if self.stopping:  # since a moment
            process.terminate()

    def wait(self) -> None:
        """Wait until one has ended, and stop the others if it did not end well."""
        wait([process.sentinel for process in self.processes])
        for process in [process for process in self.processes if process.exitcode is not None]:
            self.processes.remove(process)
            if process.exitcode:
                self.status = self.status or self._status(process.name, process.exitcode)
                self.stop()

    def stop(self, number: int | None = None, frame: FrameType | None = None) -> None:
        """Ask all to save and stop; a handler of signals."""
        if self.signalled and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number is not None and not self.signalled:
            output.say(f"stopping: {signal.Signals(number).name}; the same command resumes")
            self.signalled = True
        self.stopping = True
        for process in self.processes:
            process.terminate()

    def kill(self) -> None:
        """End those that are left, at once."""
        for process in self.processes:
            process.kill()
            process.join()

    def _status(self, name: str, code: int) -> int:
        if code > 0:
            return code
        if self.stopping and code == -signal.SIGTERM:  # it had hardly begun
            return STOPPED_STATUS
        print(f"error: {name}: its process was killed by {signal.Signals(-code).name}", file=sys.stderr)
        return 1


def _do(job: Job) -> None:
    """The life of a process."""
    for stream in ("stdout", "stderr"):
        setattr(sys, stream, Named(job.name, getattr(sys, stream)))
    threading.excepthook = frame.report_thread
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with output.process(), frame.user_errors(TrainConfig), handled(_stop, [signal.SIGTERM]):
        job.work()


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """While nothing trains, which would save first: end, and remove what is half written."""
    sys.exit(STOPPED_STATUS)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class Named(io.TextIOBase):
    """A stream whose lines begin with a name. It is no terminal, so progress comes as lines, too."""

    def __init__(self, name: str, stream: TextIO) -> None:
        super().__init__()
        self._name, self._stream, self._begun = name, stream, ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        self._stream.write("".join(f"[{self._name}] {line}\n" if line else "\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()
