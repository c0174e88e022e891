"""Other programs on the same cores: OpenMP's waiting threads give way while these need them.

Between two parallel operations, threads wait in a loop. A program that is alone is fast with that: on a virtual
machine, waking threads that sleep costs it a third of its speed. Beside another program it costs several times as
much, since the loop takes the core from whatever else could compute there, its own program included.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import torch

STAT = Path("/proc/stat")  # only Linux has it
SECONDS = 1.0  # between two looks
MISSING = 0.25  # cores, from which on the others are in the way
SET_BY_USERS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
PARALLEL = 2**17  # numbers, which torch shares among all threads of a team


@cache
def give_way(threads: int) -> Thread | None:
    """From now on ``threads`` wait shortly while other programs need the cores, unless users say how they wait."""
    if not os.access(STAT, os.R_OK) or threads == 1 or any(name in os.environ for name in SET_BY_USERS):
        return None
    watch = Thread(target=_watch, args=(threads,), name="neighbours", daemon=True)
    watch.start()
    return watch


def _watch(threads: int) -> None:
    teams, before = IdleTeams(threads), Usage.now()
    while True:
        time.sleep(SECONDS)
        after = Usage.now()
        teams.exist(after.others_since(before) + threads > processors() + MISSING)
        before = after


def processors() -> int:
    """How many this process may use, hyperthreads included."""
    return len(os.sched_getaffinity(0))


class Usage(NamedTuple):
    """Processor time used so far."""

    when: float  # seconds of a clock
    everybody: float  # seconds, of all programs on the processors that this process may use
    own: float  # seconds

    @classmethod
    def now(cls, stat: Path = STAT) -> Usage:
        """As the kernel counts it."""
        usable, ticks = {f"cpu{number}" for number in os.sched_getaffinity(0)}, 0
        for name, *fields in map(str.split, stat.read_text().splitlines()):
            if name in usable:
                user, nice, system, _, _, irq, softirq = map(int, fields[:7])  # without the idle ones
                ticks += user + nice + system + irq + softirq
        return cls(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time())

    def others_since(self, before: Usage) -> float:
        """How many processors the others have used since ``before``, on average."""
        return (self.everybody - before.everybody - self.own + before.own) / (self.when - before.when)


class IdleTeams:
    """Teams of OpenMP threads that do nothing, and by that shorten the waiting of all.

    GNU's library lets a waiting thread loop 300,000 times, but only 100 times while a process has more threads
    than it may use processors (libgomp's manual, GOMP_SPINCOUNT). It has no other way to change this later.
    """

    def __init__(self, threads: int) -> None:
        self._count = max(0, processors() - threads) // (threads - 1) + 1  # each adds threads - 1
        self._members: list[Thread] = []
        self._end = Event()

    def exist(self, wanted: bool) -> None:
        """Let them exist or not; the library ends a team with its first thread."""
        if wanted and not self._members:
            self._end = Event()
            self._members = [Thread(target=_idle, args=(self._end,), daemon=True) for _ in range(self._count)]
            for member in self._members:
                member.start()
        elif not wanted:
            self._end.set()
            for member in self._members:
                member.join()
            self._members = []


def _idle(end: Event) -> None:
    torch.zeros(PARALLEL).add_(1)  # for this the library makes a team
    end.wait()
