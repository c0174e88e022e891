"""The bar at a terminal, and the lines without one."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from seq2seq.training.progress import Progress
from seq2seq.training.state import TrainState

VALUES = {"loss": 2.345, "lr": 1.5e-3, "tokens_per_second": 4321.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In the test itself: between fixture and test pytest puts its own stream there."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_the_bar_moves_with_every_update_and_ends_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    with Progress(total=10) as progress:
        for step in range(1, 7):
            progress.advance(step)
            assert progress._bar.n == step
        progress.show(VALUES, TrainState(step=6, epoch=2, best={"bleu": 31.26}))
        progress.finish(6)  # before all ten: no better BLEU for too long
        assert (progress._bar.n, progress._bar.total) == (6, 6)
    bar, values = terminal.getvalue().rstrip("\n").split("\r")[-2:]
    assert "training 100%" in bar
    assert "6/6" in bar
    assert values.rstrip() == "epoch 3 · loss 2.345 · rate 1.5e-03 · best BLEU 31.3 · 4,321 tokens/s"
    assert len(values) < 80


def test_more_updates_than_planned_still_have_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampled pieces may make another batch."""
    terminal = terminal_of(monkeypatch)
    with Progress(total=2) as progress:
        for step in range(1, 4):
            progress.advance(step)
            progress._bar.refresh()
    assert "training 100%" in terminal.getvalue().rstrip("\n").split("\r")[-2]
    assert "3/3" in terminal.getvalue()


def test_resumed_runs_begin_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal_of(monkeypatch)
    with Progress(total=10, done=4) as progress:
        progress.advance(5)
        assert progress._bar.n == 5


def test_validation_has_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    with Progress(total=10) as progress, progress.of_validation(8) as advance:
        advance(3)
        advance(5)
        assert advance.__self__.n == 8  # type: ignore[attr-defined]
        assert progress._bar.n == 0
    assert "validation" in terminal.getvalue()
    assert "0/8" in terminal.getvalue()


def test_without_a_terminal_there_are_lines_from_time_to_time(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Progress(total=10, seconds_between_lines=0.0) as progress, progress.of_validation(3) as advance:
        advance(3)
        progress.show(VALUES, TrainState(step=5))
        progress.finish(5)
    assert "%" not in capsys.readouterr().err  # no bar
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("update 5 of 10 · epoch 1 · loss 2.345 · rate 1.5e-03 · 4,321 tokens/s · ")
    assert line.endswith(" left")
