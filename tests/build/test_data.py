"""Batches of the training split: in windows, sampled, of several corpora, and in bounded memory."""

from __future__ import annotations

import random
import signal
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from inprocess import error_line
from reversals import new_trainer, overrides, rows, settings_of, write_reversals
from safetensors.torch import load_file

from seq2seq.build.data import batches, read_split, read_training_text, tokenizers
from seq2seq.build.training import training
from seq2seq.data import windows
from seq2seq.data.loader import BatchLoader
from seq2seq.runs import directory
from seq2seq.settings.schema import TrainConfig

SAMPLED = ["tokenizer=unigram", "tokenizer.vocab_size=300", "tokenizer.sample=true"]
SMALL = ["trainer.batch_tokens=150", "trainer.max_epochs=2", "trainer.log_every=3", "schedule=linear"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_reversals(tmp_path, {"train": 100, "valid": 4, "test": 4})


def loader_of(settings: TrainConfig) -> BatchLoader:
    text = read_training_text(settings.data)
    return batches(settings, text, *tokenizers(settings, text)[:2])[0]


def sentences(loader: BatchLoader, epoch: int, after: int = 0) -> list[list[tuple[int, ...]]]:
    """The target ids of each batch."""
    return [[(*row,) for row in batch.tgt_out.tolist()] for batch in loader.epoch(epoch).after(after)]


def test_a_small_corpus_has_the_batches_that_it_always_had(data: Path) -> None:
    settings = settings_of(*overrides(data, "trainer.batch_tokens=101", "seed=5"))
    text = read_split(settings.data, "train")
    pair = tokenizers(settings, read_training_text(settings.data)).tokenizers
    src, tgt = pair.src.encode(text.src), pair.tgt.encode(text.tgt)
    loader = loader_of(settings)
    for epoch in range(2):
        rng = random.Random(f"5/{epoch}")
        order = list(range(100))
        rng.shuffle(order)
        order.sort(key=lambda i: (len(tgt[i]), len(src[i])))
        expected: list[list[int]] = []
        for i in order:
            if not expected or max(len(tgt[j]) + 1 for j in [*expected[-1], i]) * (len(expected[-1]) + 1) > 101:
                expected.append([])
            expected[-1].append(i)
        rng.shuffle(expected)
        assert [[row[:-1] for row in strip(batch.tgt_out)] for batch in loader.epoch(epoch)] == [
            [tgt[i] for i in indices] for indices in expected
        ]
        assert [[row[:-1] for row in strip(batch.src)] for batch in loader.epoch(epoch)] == [
            [src[i] for i in indices] for indices in expected
        ]


def strip(ids: torch.Tensor) -> list[list[int]]:
    return [[i for i in row if i] for row in ids.tolist()]


@pytest.mark.parametrize("more", [[], SAMPLED], ids=["plain", "sampled"])
def test_windows_have_every_pair_once_and_any_place_is_found_again(
    data: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setattr(windows, "WINDOW", 30)
    monkeypatch.setattr(windows, "SAMPLED_WINDOW", 25)
    settings = settings_of(*overrides(data, "trainer.batch_tokens=101", *more))
    loader, text = loader_of(settings), read_training_text(settings.data)
    for epoch in range(2):
        whole = sentences(loader, epoch)
        assert sum(map(len, whole)) == 100
        lines = [loader.epoch(epoch).lines(number) for number in range(len(whole))]
        assert sorted(chain.from_iterable(lines)) == list(range(1, 101))
        pair = tokenizers(settings, text).tokenizers
        decoded = Counter(pair.tgt.decode(row) for batch in whole for row in batch)
        assert decoded == Counter(text.sides(np.arange(100))[1])
        for count in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
            other = loader_of(settings)
            assert sentences(other, epoch, count) == whole[count:]
    assert sentences(loader, 0) != sentences(loader, 1)


@pytest.mark.parametrize("more", [[], SAMPLED], ids=["plain", "sampled"])
def test_a_stop_in_the_middle_of_a_window_leaves_no_trace(
    data: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setattr(windows, "WINDOW", 30)
    monkeypatch.setattr(windows, "SAMPLED_WINDOW", 25)
    given = [*SMALL, *more, "model.dropout.readout=0.2"]
    whole = new_trainer(*overrides(data, *given, "name=whole"))
    whole.train()
    steps = whole.state.step
    assert len(whole.loader.order(0)) == 4
    for stop in (steps // 3, steps // 2 + 1, steps - 2):
        name = f"name=parts{stop}"
        parts = new_trainer(*overrides(data, *given, name))
        update = parts.update

        def stopped(group, parts=parts, update=update, stop=stop) -> None:  # type: ignore[no-untyped-def]
            update(group)
            if parts.state.step == stop:
                signal.raise_signal(signal.SIGTERM)

        parts.update = stopped  # type: ignore[method-assign]
        assert parts.train()["signal"] == "SIGTERM"
        settings = settings_of(*overrides(data, *given, name))
        with directory.opened(settings):
            rest = training(settings, directory.checkpoint_to_resume(settings))
            rest.train()
        ours, theirs = (load_file(run.path / "last" / "model.safetensors") for run in (whole.run, rest.run))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
        assert rows(whole.run.path) == rows(rest.run.path)


def mixed(data: Path, *more: str) -> list[str]:
    """The data with a second corpus of ten pairs."""
    for side in ("src", "tgt"):
        lines = (data / f"train.{side}").read_text().splitlines()
        (data / f"few.{side}").write_text("".join(f"{line} m\n" for line in lines[:10]))
    files = [f"data.mix.{side}=[{data / 'few'}.{side}]" for side in ("src", "tgt")]
    return overrides(data, *files, "tokenizer.min_frequency=1", *more)


@pytest.mark.parametrize(
    ("more", "times", "said"),
    [
        ([], 1, " 0"),
        (["data.mix.temperature=2"], 3.2, "32 (× 3.20)"),
        (["data.mix.weights=[1,2]"], 20, "200 (× 20.00)"),
    ],
)
def test_a_small_corpus_is_repeated_as_asked_and_that_is_said(
    data: Path, caplog: pytest.LogCaptureFixture, more: list[str], times: float, said: str
) -> None:
    caplog.set_level("INFO")
    trainer = new_trainer(*mixed(data, *more))
    trainer.tracker.close()
    counts = Counter(
        line for number, _ in enumerate(trainer.loader.epoch(0)) for line in trainer.loader.epoch(0).lines(number)
    )
    few = [count for line, count in counts.items() if str(line).startswith(f"{data}/few.src:")]
    assert len(few) == 10
    assert sum(few) == round(10 * times)
    assert max(few) - min(few) <= 1
    assert all(counts[f"{data}/train.src:{number}"] == 1 for number in range(1, 101))
    (table,) = [message for message in caplog.messages if "pairs read" in message]
    (row,) = [line for line in table.splitlines() if "few.src" in line]
    assert row.split()[1:5] == ["10", "0", "0", "10"]
    assert row.endswith(said)
    assert [line.split()[0] for line in table.splitlines()[3:]] == ["train", "valid", "test"]


def test_the_corpora_mixed_in_are_part_of_the_run(data: Path) -> None:
    given = [*mixed(data, "trainer.max_steps=2", "trainer.batch_tokens=150", "schedule.warmup_steps=1"), "name=a"]
    new_trainer(*given).train()
    (data / "few.tgt").write_text("x\n" * 10)
    said = f"{data}/few.tgt: changed since {data}/runs/a began; restore the content, "
    assert error_line("train", *given).startswith(said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["data.mix.tgt=[]"], "data.mix.src=['/few.src'] and data.mix.tgt=[]: each corpus needs a file in both"),
        (["data.mix.weights=[1]"], "data.mix.weights=[1.0]: expected 2 numbers, of data.train and of each"),
        (["data.mix.weights=[1,0]"], "data.mix.weights=[1.0, 0.0]: expected list of numbers, more than 0"),
        (
            ["data.mix.weights=[1,2]", "data.mix.temperature=2"],
            "data.mix.temperature=2: give it or data.mix.weights, not both",
        ),
        (["data.mix.temperature=0.5"], "data.mix.temperature=0.5: expected number, 1"),
        (["data.mix.src=[/nowhere]"], "/nowhere: no such file; check the data.* paths"),
    ],
)
def test_a_mix_that_cant_be_is_explained(data: Path, more: list[str], said: str) -> None:
    assert error_line("train", *mixed(data, *more)).replace(str(data), "").startswith(said)
