"""What signals do while a command starts, and after that."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from inprocess import status_of
from reversals import overrides, write_reversals

from seq2seq.build.data import train_tokenizer
from seq2seq.runs import directory
from seq2seq.settings.schema import SubwordConfig
from seq2seq.signals import SIGNALS, StopRequest, handled, importing
from seq2seq.text.subwords import SubwordTokenizer

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs the signals of a Unix")


@pytest.fixture(autouse=True)
def _same_handlers() -> Iterator[None]:
    """Nothing here leaves a handler behind."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_hangup_asks_to_stop() -> None:
    assert signal.SIGHUP in SIGNALS  # else it would end this process
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
    assert stop.signal == "SIGHUP"


@pytest.mark.parametrize("number", SIGNALS)
def test_what_was_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    """As nohup has SIGHUP, and a script's background jobs SIGINT."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(number)
        assert stop.signal is None
        with importing():
            assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_other_threads_set_no_handlers() -> None:
    entered = []

    def enter() -> None:
        with handled(signal.SIG_DFL):
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


def test_an_interrupt_during_imports_ends_the_process(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises((SystemExit, KeyboardInterrupt)) as ended, importing():
        signal.raise_signal(signal.SIGINT)
    assert ended.value.args == (130,)
    assert capfd.readouterr().err == "interrupted\n"


def test_no_signal_waits_for_sentencepiece(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(lines: list[str], settings: SubwordConfig) -> str:
        assert [signal.getsignal(number) for number in SIGNALS] == [signal.SIG_DFL] * len(SIGNALS)
        return "trained"

    monkeypatch.setattr(SubwordTokenizer, "train", train)
    assert str(train_tokenizer([], SubwordConfig())) == "trained"


@pytest.mark.timeout(60)
def test_a_start_that_waits_for_its_data_is_interrupted(tmp_path: Path) -> None:
    data = write_reversals(tmp_path, {"train": 2, "valid": 2, "test": 2})
    (data / "train.src").unlink()
    os.mkfifo(data / "train.src")
    run = data / "runs" / "a"

    def interrupt() -> None:
        while not (run / directory.LOG).exists():
            time.sleep(0.01)
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    assert status_of("train", *overrides(data, "name=a")) == 130
    thread.join()
    assert not run.exists()
