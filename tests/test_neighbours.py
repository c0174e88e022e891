"""Threads wait shortly while other programs need the cores, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from seq2seq import neighbours
from seq2seq.neighbours import SET_BY_USERS, IdleTeams, Usage, give_way

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torch has another library there")

WAITING_COSTS = """
import sys, time, torch
from seq2seq.neighbours import IdleTeams
torch.set_num_threads(2)
numbers = torch.zeros(2**17)
def seconds():
    began = time.process_time()
    for _ in range(60):
        numbers.add_(1)  # in two threads, of which one then waits for more to do
        time.sleep(0.01)
    return time.process_time() - began
teams = IdleTeams(2)
figures = [seconds()]
for wanted in (True, False):
    teams.exist(wanted)
    figures.append(seconds())
print(*figures)
"""


def test_idle_teams_shorten_the_waiting_and_their_end_lengthens_it_again() -> None:
    """A thread that loops 300,000 times takes milliseconds, one that sleeps after 100 takes none."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one processor, threads always wait shortly")
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_USERS}
    ended = subprocess.run(
        [sys.executable, "-c", WAITING_COSTS],
        env={**environment, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    before, with_teams, after = map(float, ended.stdout.split())
    assert with_teams < 0.5 * before
    assert with_teams < 0.5 * after


def test_others_are_counted_on_the_processors_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    stat, usages = tmp_path / "stat", []
    for step in (0, 1):
        lines = [
            "cpu 9 9 9 9 9 9 9 0 0 0",
            "cpu0 {} 2 30 900 5 1 7 0 0 0",
            "cpu1 {} 0 0 0 0 0 0 0",
            "cpu2 5 5 5 5 5 5 5",
        ]
        stat.write_text("\n".join(line.format(100 + 150 * step) for line in [*lines, "intr 1 2 3"]))
        usages.append(Usage.now(stat)._replace(when=2.0 * step, own=0.5 * step))
    assert usages[0].everybody == pytest.approx((100 + 2 + 30 + 1 + 7 + 25) / 100)
    assert usages[1].others_since(usages[0]) == pytest.approx((1.5 - 0.5) / 2)


@pytest.mark.parametrize(("others", "teams"), [(0.0, 0), (0.2, 0), (0.5, 1), (1.9, 1)])
def test_teams_exist_while_cores_are_missing(others: float, teams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    class EnoughError(Exception):
        pass

    def sleep(seconds: float) -> None:
        looks.append(threading.active_count())
        if len(looks) == 3:
            raise EnoughError

    monkeypatch.setattr(neighbours, "processors", lambda: 2)
    monkeypatch.setattr(Usage, "others_since", lambda *_: others)
    monkeypatch.setattr(neighbours, "time", SimpleNamespace(sleep=sleep, monotonic=float, process_time=float))
    with pytest.raises(EnoughError):
        neighbours._watch(2)
    assert [count - looks[0] for count in looks] == [0, teams, teams]
    for thread in threading.enumerate():
        if "_idle" in thread.name:
            thread._args[0].set()  # type: ignore[attr-defined]
            thread.join()


def test_there_are_enough_teams_for_any_number_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors in range(2, 20):
        monkeypatch.setattr(neighbours, "processors", lambda count=processors: count)
        for threads in range(2, processors + 1):
            extra = IdleTeams(threads)._count * (threads - 1)
            assert processors < threads + extra <= processors + threads - 1


@pytest.mark.parametrize("name", SET_BY_USERS)
def test_what_users_set_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "passive")
    give_way.cache_clear()
    assert give_way(2) is None
    monkeypatch.delenv(name)
    assert give_way(1) is None
    give_way.cache_clear()
