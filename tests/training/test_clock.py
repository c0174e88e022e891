"""Every second is counted once."""

from __future__ import annotations

from contextlib import suppress

import pytest

from seq2seq.training import clock
from seq2seq.training.clock import Clock


class Time:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(clock, "time", stopped)
    return stopped


def test_inner_time_is_not_counted_as_outer_time(time: Time) -> None:
    measured = Clock()
    time.now += 1
    measured.start()  # not from the second before
    time.now += 2
    with measured.on("training"):
        time.now += 4
        with measured.on("validation"):
            time.now += 8
            with measured.on("saving"):
                time.now += 16
            time.now += 32
        time.now += 64
    time.now += 128
    assert measured.state_dict() == {"other": 130, "training": 68, "validation": 40, "saving": 16}
    assert measured.total() == 254


def test_an_error_ends_a_block_too(time: Time) -> None:
    measured = Clock()
    with suppress(ValueError), measured.on("saving"):
        time.now += 1
        raise ValueError
    time.now += 2
    assert measured.state_dict() == {"saving": 1, "other": 2}


def test_earlier_starts_are_counted(time: Time) -> None:
    measured = Clock()
    measured.load_state_dict({"training": 10.0, "other": 1.0})
    measured.start()
    with measured.on("training"):
        time.now += 5
        assert measured.total() == 16  # up to now
    assert measured.state_dict() == {"training": 15, "other": 1}


def test_laps(time: Time) -> None:
    measured = Clock()
    time.now += 3
    assert measured.lap() == 3
    with measured.on("validation"):
        time.now += 1
    assert (measured.lap(), measured.lap()) == (1, 0)
