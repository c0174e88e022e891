"""Search in several processes: the same as in one, whoever dies, fails or is interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from reversals import new_trainer, overrides, reported, settings_of, write_reversals
from small_models import letters_translator

from seq2seq.decoding import workers
from seq2seq.decoding.search import Hypothesis
from seq2seq.decoding.translator import Translator
from seq2seq.decoding.workers import Found, Task, check_workers, largest_batch, num_workers, searched
from seq2seq.errors import ConfigError, DecodingError
from seq2seq.runs.directory import finished_result
from seq2seq.signals import SIGNALS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked, which is safe on Linux only")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
BATCHES = [[0, 1], [2], [3, 4, 5], [6], [7], [8, 9], [10], [11]]


def doubled(batch: list[int]) -> Found:
    return [[Hypothesis([2 * i], 0.0, 0.0, torch.full((1, 2), float(i)))] for i in batch]


def outcome(task: Task, processes: int = 2) -> list[list[int]]:
    """The batches as they come; each has what ``doubled`` finds."""
    with closing(searched(task, BATCHES, processes)) as found:
        results = list(found)
    for batch, best in results:
        assert [one.tokens for (one,) in best] == [[2 * i] for i in batch]
        assert [one.weights.tolist() for (one,) in best] == [[[i, i]] for i in batch]
    return [batch for batch, _ in results]


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of all workers."""
    pids, fork = [], os.fork

    def noted() -> int:
        pids.append(pid := fork())
        return pid

    monkeypatch.setattr(os, "fork", noted)
    return pids


def alive(pid: int) -> bool:
    """Whether there is such a process, be it dead and not yet waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("beam", [1, 3])
def test_translations_are_those_of_one_process(beam: int, forked: list[int]) -> None:
    rng = random.Random(1)
    lines = [" ".join(rng.choices("abcdefghijkl", k=rng.randint(0, 9))) for _ in range(60)]
    alone = letters_translator(beam_size=beam, num_best=beam, workers="1").translate(lines)
    assert forked == []
    told: list[int] = []
    shared = letters_translator(beam_size=beam, num_best=beam, workers="3").translate(lines, told.append)
    assert len(forked) == 3
    assert not any(map(alive, forked))
    assert len(told) > 10
    assert sum(told) == sum(bool(line) for line in lines)
    for ours, theirs in zip(shared, alone, strict=True):
        assert (ours.source, ours.src_pieces, ours.text) == (theirs.source, theirs.src_pieces, theirs.text)
        for one, other in zip(ours.candidates, theirs.candidates, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            torch.testing.assert_close(one.weights, other.weights)


def test_the_longest_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[list[int]] = []
    search = Translator._search

    def noted(self: Translator, sources: list[list[int]]) -> Found:
        lengths.append([len(ids) for ids in sources])
        return search(self, sources)

    monkeypatch.setattr(Translator, "_search", noted)
    letters_translator(batch_tokens=20).translate([" ".join("abcdefghi"[:n]) for n in (3, 9, 1, 5, 8, 2, 7)])
    longest = [max(batch) for batch in lengths]
    assert longest == sorted(longest, reverse=True)
    assert len(longest) > 2


def test_batches_are_begun_in_their_order() -> None:
    assert outcome(doubled, 1) == BATCHES
    assert sorted(outcome(doubled, 3)) == sorted(BATCHES)
    assert [batch for batch, _ in searched(doubled, [], 2)] == []


def test_a_killed_worker_is_reported_and_its_batch_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, forked: list[int]
) -> None:
    def dying(batch: list[int]) -> Found:
        if batch == [6] and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return doubled(batch)

    assert sorted(outcome(dying)) == sorted(BATCHES)
    (said,) = caplog.messages
    assert said in {
        f"decode.workers: process {pid} was killed by SIGKILL; its batch is translated again" for pid in forked
    }


def test_without_any_worker_left_the_parent_does_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    parent = os.getpid()

    def dying(batch: list[int]) -> Found:
        if os.getpid() != parent and batch[0] > 1:
            os._exit(3)
        return doubled(batch)

    assert sorted(outcome(dying, 3)) == sorted(BATCHES)
    assert [said.partition(" ended ")[2] for said in caplog.messages] == [
        "with status 3; its batch is translated again"
    ] * 3


def test_without_any_worker_at_all(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    assert outcome(doubled) == BATCHES
    assert caplog.messages == ["decode.workers: 0 instead of 2 processes (Resource temporarily unavailable)"]


def test_an_error_in_a_worker_is_raised_here(forked: list[int], caplog: pytest.LogCaptureFixture) -> None:
    translator = letters_translator(workers="2")
    with torch.no_grad():
        translator.model.decoder.output.bias[5] = torch.nan
    with pytest.raises(DecodingError, match="not finite"):
        translator.translate(["a b", "c", "d e f"])
    assert len(forked) == 2
    assert not any(map(alive, forked))
    assert caplog.messages == []  # the error says it


def test_an_error_of_a_worker_alone_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    parent = os.getpid()

    def failing(batch: list[int]) -> Found:
        if os.getpid() != parent and batch == [6]:
            raise MemoryError("no room")
        return doubled(batch)

    assert sorted(outcome(failing)) == sorted(BATCHES)
    assert caplog.messages == [
        "decode.workers: a batch failed in a worker (MemoryError: no room), and was translated again"
    ]


def test_an_interrupted_parent_leaves_no_worker(monkeypatch: pytest.MonkeyPatch, forked: list[int]) -> None:
    def endless(batch: list[int]) -> Found:
        time.sleep(1000)
        return doubled(batch)

    def interrupt(connections: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        outcome(endless)
    assert len(forked) == 2
    assert not any(map(alive, forked))


def test_an_error_of_the_caller_leaves_no_worker(forked: list[int]) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        letters_translator(workers="2", batch_tokens=4).translate(["a b", "c", "d e f"] * 5, stop)
    assert len(forked) == 2
    assert not any(map(alive, forked))


def test_a_worker_is_deaf_and_alone() -> None:
    """One thread, no signals that are the parent's business, and of its files only standard ones and a pipe."""

    def told(batch: list[int]) -> Found:
        ignored = sum(signal.getsignal(number) == signal.SIG_IGN for number in SIGNALS)
        files = [file for file in Path("/proc/self/fd").iterdir() if file.exists()]  # not that of the listing
        null = [str(file.readlink()) for file in files].count(os.devnull)
        tokens = [torch.get_num_threads(), ignored, null, len(files)]
        return [[Hypothesis(tokens, 0.0, 0.0, torch.zeros(0))]]

    with closing(searched(told, [[0]] * 4, 2)) as found:
        seen = [best[0][0].tokens for _, best in found]
    assert seen == [[1, len(SIGNALS), 3, 4]] * 4


def test_validation_in_training(tmp_path: Path, forked: list[int]) -> None:
    data = write_reversals(tmp_path, {"train": 60, "valid": 30, "test": 1})
    scores = {}
    for number in ("1", "2"):
        given = overrides(data, f"decode.workers={number}", f"name=with-{number}", "trainer.max_epochs=2")
        trainer = new_trainer(*given)
        trainer.train()
        assert finished_result(settings_of(*given, "decode.workers=3"))  # the same run, as far as results go
        scores[number] = [(row["bleu"], row["chrf"]) for row in reported(trainer, "valid")]
        assert bool(forked) == (number == "2")
    assert scores["1"] == scores["2"]


@pytest.mark.parametrize(
    ("cores", "threads", "tokens", "number"),
    [(8, 8, 100_000, 8), (2, 8, 100_000, 2), (8, 1, 100_000, 1), (8, 8, 3_999, 3), (8, 8, 0, 1)],
)
def test_auto(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, tokens: int, number: int) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert num_workers("auto", tokens, CPU) == number
    assert num_workers("auto", tokens, CUDA) == 1
    assert [num_workers(text, tokens, CPU) for text in ("0", "1", "5")] == [1, 1, 5]
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.append(num_workers("auto", tokens, CPU)))
    thread.start()
    thread.join()
    assert elsewhere == [1]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert num_workers("auto", tokens, CPU) == 1
    with pytest.raises(
        ConfigError, match=r"^decode\.workers=2: only on CPUs, under Linux; use decode\.workers=auto"
    ):
        check_workers("2", CPU)


def test_workers_where_there_are_none() -> None:
    for fine in ("auto", "0", "1"):
        check_workers(fine, CUDA)
    with pytest.raises(ConfigError, match=r"^decode\.workers=3: only on CPUs"):
        check_workers("3", CUDA)
    check_workers("3", CPU)


def test_each_process_gets_its_share() -> None:
    assert largest_batch(2400, 10_000, 1) == 2400
    assert largest_batch(2400, 100_000, 4) == 2400
    most, shares = largest_batch(2400, 10_000, 2), 2 * workers.SHARES
    assert shares * most >= 10_000 > shares * (most - 2)


PARENT = """\
import os, sys, time
from seq2seq.decoding.workers import searched
def slow(batch):
    time.sleep(0.05)
    return []
print("once", end=" ")
fork = os.fork
def noted():
    pid = fork()
    if pid:
        print(pid, end=" ")
    return pid
os.fork = noted
for batch, _ in searched(slow, [[0]] * 10_000, 2):
    sys.stdout.flush()
"""


@pytest.mark.system
def test_a_killed_parent_leaves_no_worker_and_prints_once() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read(5)
        while said.count(" ") < 3:
            said += process.stdout.read(1)
        pids = [int(word) for word in said.split()[1:]]
        process.kill()
        rest = process.stdout.read()  # until nobody has its standard output
    assert (said + rest).split().count("once") == 1
    deadline = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))
