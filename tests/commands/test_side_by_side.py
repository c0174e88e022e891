"""Trainings side by side: two at a time, one stops all, and nothing outlives the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from seq2seq.commands.side_by_side import Job, Running, side_by_side
from seq2seq.errors import ConfigError
from seq2seq.signals import STOPPED_STATUS, StopRequest

PATIENCE = 60.0  # seconds


def waited_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def meet(mine: Path, other: Path) -> None:
    """Ends only if another job runs at the same time."""
    mine.write_text(str(os.getpid()))
    waited_for(other)
    print(f"met {other.name}")
    print("in another language: ŷ", file=sys.stderr)


def train(started: Path) -> None:
    """Never ends unless asked to; then it saves, as a training does."""
    with StopRequest() as stop:
        started.write_text(str(os.getpid()))
        end = time.monotonic() + PATIENCE
        while not stop.number and time.monotonic() < end:
            time.sleep(0.01)
    started.with_suffix(".saved").write_text(stop.signal or "")
    sys.exit(STOPPED_STATUS)


def translate(started: Path) -> None:
    """Knows nothing of signals."""
    try:
        started.write_text("")
        time.sleep(PATIENCE)
    finally:
        started.with_suffix(".cleaned").write_text("")


def fail(after: Path) -> None:
    waited_for(after)
    raise ConfigError("data.src=xx: no such language")


def die(after: Path) -> None:
    waited_for(after)
    os.kill(os.getpid(), signal.SIGKILL)


def job(name: str, work: Callable[[], object]) -> Job:
    return Job(name, f"begin {name}", work)


def test_one_at_a_time_is_done_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in "ab"]
    side_by_side([job(file.name, partial(file.write_text, "done")) for file in files], 1)
    assert capsys.readouterr().out == "begin a\nbegin b\n"
    assert [file.read_text() for file in files] == ["done", "done"]


def test_two_at_a_time_and_each_line_tells_whose_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    side_by_side([job("a", partial(meet, a, b)), job("b", partial(meet, b, a))], 2)
    out, err = capfd.readouterr()
    assert out.splitlines()[:2] == ["begin a", "begin b"]
    assert sorted(out.splitlines()[2:]) == ["[a] met b", "[b] met a"]
    assert sorted(err.splitlines()) == ["[a] in another language: ŷ", "[b] in another language: ŷ"]
    assert len({os.getpid(), int(a.read_text()), int(b.read_text())}) == 3


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (fail, "[second] error: data.src=xx: no such language\n"),
        (die, "error: second: its process was killed by SIGKILL\n"),
    ],
)
def test_one_that_fails_stops_the_others(
    ends: Callable[[Path], None], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    started, never = tmp_path / "first", tmp_path / "third"
    jobs = [
        job("first", partial(train, started)),
        job("second", partial(ends, started)),
        job("third", partial(train, never)),
    ]
    with pytest.raises(SystemExit) as end:
        side_by_side(jobs, 2)
    assert end.value.code == 1
    assert capfd.readouterr().err == said
    assert (tmp_path / "first.saved").read_text() == "SIGTERM"
    assert not never.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all(number: signal.Signals, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    started = [tmp_path / name for name in "abc"]

    def interrupt() -> None:
        for file in started[:2]:
            waited_for(file)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(SystemExit) as end:
        side_by_side([job(file.name, partial(train, file)) for file in started], 2)
    thread.join()
    assert end.value.code == STOPPED_STATUS
    assert f"stopping: {number.name}; the same command resumes" in capfd.readouterr().out
    assert [file.with_suffix(".saved").exists() for file in started] == [True, True, False]


def test_what_does_not_train_is_ended_in_order(tmp_path: Path) -> None:
    started = tmp_path / "a"
    with pytest.raises(SystemExit) as end:
        side_by_side([job("a", partial(translate, started)), job("b", partial(fail, started))], 2)
    assert end.value.code == 1
    assert started.with_suffix(".cleaned").exists()


def test_only_a_second_ctrl_c_kills() -> None:
    running = Running()
    running.stop()  # one has failed
    running.stop(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        running.stop(signal.SIGINT)


def test_all_stop_when_the_command_dies(tmp_path: Path) -> None:
    started = [tmp_path / "a", tmp_path / "b"]
    jobs = ", ".join(f"job({file.name!r}, partial(train, Path({str(file)!r})))" for file in started)
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from functools import partial; from pathlib import Path
from test_side_by_side import job, side_by_side, train
if __name__ == "__main__": side_by_side([{jobs}], 2)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, str(script)]) as command:
        for file in started:
            waited_for(file)
        command.kill()
    for file in started:
        waited_for(file.with_suffix(".saved"))
