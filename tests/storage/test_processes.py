"""A function of many items in several processes: in order, whatever becomes of a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from seq2seq.storage.processes import mapped


class Task:
    """Squares; in a worker, does what it is told to for some numbers."""

    def __init__(self, deadly: int = -1, failing: int = -1) -> None:
        self.parent, self.deadly, self.failing = os.getpid(), deadly, failing

    def __call__(self, number: int) -> tuple[int, bool]:
        here = os.getpid() == self.parent
        if number == self.deadly and not here:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.failing and not here:
            raise OSError("of this process")
        return number * number, here


def test_results_come_in_order_from_the_workers() -> None:
    for items in ([], [3], list(range(7))):
        assert list(mapped(Task(), items, 2)) == [(i * i, False) for i in items]
    assert list(mapped(Task(), list(range(7)), 1)) == [(i * i, True) for i in range(7)]


def test_what_a_worker_fails_at_or_dies_of_is_done_here() -> None:
    results = list(mapped(Task(deadly=2, failing=3), list(range(8)), 2))
    assert [square for square, _ in results] == [i * i for i in range(8)]
    assert [here for _, here in results] == [False, False, True, True, True, False, True, False]


def fails(number: int) -> int:
    raise ValueError(f"{number} is odd")


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ValueError, match="1 is odd"):
        list(mapped(fails, [1, 3, 5], 2))


def test_workers_end_with_the_generator() -> None:
    results = mapped(pid, list(range(10)), 2)
    pids = set(islice(results, 2))
    results.close()
    for worker in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def pid(number: int) -> int:
    return os.getpid()


PARENT = """\
import multiprocessing, time
from seq2seq.storage.processes import mapped
results = mapped(abs, list(range(9)), 2)
next(results)
print(*[process.pid for process in multiprocessing.active_children()], flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stderr
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(number)
        deadline = time.monotonic() + 30
        while any(map(is_running, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
