"""The training loop, on the real objects and a few small updates."""

from __future__ import annotations

import itertools
import json
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from reversals import new_trainer, overrides, reported, settings_of, write_reversals

from seq2seq.build.data import batches, read_training_text, tokenizers
from seq2seq.data import corpus, loader
from seq2seq.data.batch import Batch
from seq2seq.data.loader import gather
from seq2seq.data.training_text import TrainingText, training_text
from seq2seq.errors import ConfigError, DataError, TrainingError
from seq2seq.runs.checkpoint import read_info, read_weights
from seq2seq.text.tokenizer import PAD
from seq2seq.training.trainer import Trainer
from seq2seq.training.validator import ProgressBar, ValidationResult

SMALL = ["trainer.max_epochs=2", "trainer.batch_tokens=150"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 6})


def text_of(data: Path, src: list[str], tgt: list[str]) -> TrainingText:
    files = [data / "lines.src", data / "lines.tgt"]
    for file, lines in zip(files, (src, tgt), strict=True):
        file.write_text("".join(f"{line}\n" for line in lines))
    return training_text(data / "cache", [files])


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_accumulated_batches_are_one_large_batch(data: Path) -> None:
    once = ["trainer.max_epochs=1", "schedule=constant"]
    whole = new_trainer(*overrides(data, *once, "trainer.batch_tokens=10000", "name=whole"))
    parts = new_trainer(
        *overrides(data, *once, "trainer.batch_tokens=150", "trainer.accumulate=100", "name=parts")
    )
    assert len(parts.loader.epoch(0)) > 2
    for trainer in (whole, parts):
        assert trainer.train()["steps"] == 1
    for one, other in zip(weights(whole).values(), weights(parts).values(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


def test_patience_ends_training(data: Path) -> None:
    still = ["trainer.patience=2", "trainer.metric=loss", "optimizer.lr=1e-30"]
    trainer = new_trainer(*overrides(data, *still, "trainer.validate_unit=steps"))
    result = trainer.train()
    assert (result["stopped"], result["steps"]) == ("no better loss in 2 validations", 3)
    assert result["best_step"] == 1


@pytest.mark.parametrize(("metric", "later"), [("bleu", 0.0), ("loss", 50.0)])
def test_a_first_metric_of_nan_is_beaten(
    data: Path, metric: str, later: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = new_trainer(
        *overrides(data, f"trainer.metric={metric}", "trainer.max_steps=3", "trainer.validate_unit=steps")
    )
    values, validate = iter([math.nan, later, math.nan]), trainer.validator.validate

    def measured(progress: ProgressBar) -> ValidationResult:
        result = validate(progress)
        return result._replace(metrics={**result.metrics, metric: next(values)})

    monkeypatch.setattr(trainer.validator, "validate", measured)
    result = trainer.train()
    assert (result["best_step"], result["best"][metric], trainer.state.waited) == (2, later, 1)
    assert read_info(trainer.run.path / "best").step == 2


def test_end_of_max_steps_is_validated(data: Path) -> None:
    trainer = new_trainer(
        *overrides(data, "trainer.max_steps=3", "trainer.log_every=2", "trainer.validate_every=5")
    )
    assert trainer.train()["stopped"] == "max_steps=3"
    assert [row["step"] for row in reported(trainer, "valid")] == [3]
    assert [row["step"] for row in reported(trainer, "train")] == [2, 3]


def test_plateau_lowers_the_rate(data: Path) -> None:
    plateau = [
        "schedule=plateau",
        "schedule.min_lr=0",
        "schedule.factor=0.5",
        "optimizer.lr=1e-12",
        "schedule.warmup_steps=0",
    ]
    trainer = new_trainer(
        *overrides(data, *plateau, "trainer.max_steps=4", "trainer.validate_unit=steps", "trainer.log_every=1")
    )
    trainer.train()
    rates = [row["lr"] for row in reported(trainer, "train")]
    assert rates == pytest.approx([1e-12, 1e-12, 5e-13, 2.5e-13], rel=1e-6)


def test_mean_of_the_last_checkpoints(data: Path) -> None:
    trainer = new_trainer(*overrides(data, "trainer.average=last", "trainer.keep_last=3", "trainer.max_epochs=4"))
    trainer.train()
    kept = sorted(trainer.run.path.glob("step-*"))
    assert len(kept) == 3
    expected = [read_weights(path)["decoder.readout.weight"] for path in kept]
    torch.testing.assert_close(trainer.model.decoder.readout.weight.data, torch.stack(expected).mean(dim=0))
    assert len(reported(trainer, "average")) == 1


def test_the_moving_average_is_validated_and_saved(data: Path) -> None:
    given = ["trainer.average=ema", "trainer.ema_decay=0.9", "trainer.metric=loss"]
    trainer = new_trainer(*overrides(data, *given, *SMALL))
    trainer.train()
    assert trainer.ema is not None
    state = torch.load(trainer.run.path / "last" / "training.pt", weights_only=True)
    raw = read_weights(trainer.run.path / "last")
    names = [name for name, _ in trainer.model.named_parameters()]
    index = names.index("decoder.readout.weight")
    torch.testing.assert_close(raw["decoder.readout.weight"], trainer.model.decoder.readout.weight.data)
    assert not torch.equal(state["ema"][index], raw["decoder.readout.weight"])
    assert trainer.state.best_step == trainer.state.step  # else best/ holds an earlier average
    best = read_weights(trainer.run.path / "best")["decoder.readout.weight"]
    torch.testing.assert_close(best, state["ema"][index])


@pytest.mark.parametrize(("over_length", "kept"), [("drop", 1), ("truncate", 3)])
def test_over_long_pairs_are_counted(data: Path, over_length: str, kept: int) -> None:
    settings = settings_of(*overrides(data, "data.max_length=4", f"data.over_length={over_length}"))
    text = text_of(data, ["a b c d", "a b c d e", "a"], ["a", "b", "a b c d e f"])
    pair, tokens, _ = tokenizers(settings, text)
    loader, reports = batches(settings, text, pair, tokens)
    assert [report.over_length for report in reports] == [2]
    assert sum(len(batch.src) for batch in loader.epoch(0)) == kept
    assert max(batch.src_mask.sum(dim=1).max() for batch in loader.epoch(0)) == 5  # 4 words and </s>
    used = corpus.report_table(reports).splitlines()[1].split()
    assert used == ["train", "3", "0", "2", str(kept), "0", "0"]


@pytest.mark.parametrize(("over_length", "kept"), [("drop", 30), ("truncate", 31)])
def test_no_pair_is_lost_because_its_pieces_were_sampled(data: Path, over_length: str, kept: int) -> None:
    settings = settings_of(
        *overrides(data, "tokenizer=unigram", "tokenizer.vocab_size=300", "tokenizer.sample=true"),
        *["tokenizer.sampling_alpha=0", "data.max_length=8", f"data.over_length={over_length}"],
    )
    lines = ["abcdef ghijk"] * 30 + ["abcdef ghijk " * 5]
    text = text_of(data, lines, lines)
    pair, tokens, _ = tokenizers(settings, text)
    loader, _ = batches(settings, text, pair, tokens)
    for epoch in range(3):
        drawn = list(loader.epoch(epoch))
        assert sum(len(batch.src) for batch in drawn) == kept
        assert max(batch.src_mask.sum(dim=1).max() for batch in drawn) <= 9
        assert max(batch.tgt_out.ne(PAD).sum(dim=1).max() for batch in drawn) <= 9


@pytest.mark.parametrize(("steps", "reports"), [(1, [1]), (4, [4]), (5, [4]), (6, [4, 6])])
def test_too_few_updates_make_no_point_at_the_end(data: Path, steps: int, reports: list[int]) -> None:
    trainer = new_trainer(
        *overrides(data, "trainer.log_every=4", f"trainer.max_steps={steps}", f"name=few{steps}")
    )
    trainer.train()
    assert [row["step"] for row in reported(trainer, "train")] == reports


def test_nothing_short_enough_is_an_error(data: Path) -> None:
    settings = settings_of(*overrides(data, "data.max_length=1", "tokenizer.min_frequency=1"))
    text = text_of(data, ["a b"], ["a b"])
    with pytest.raises(DataError, match=r"longer than data\.max_length=1 "):
        batches(settings, text, *tokenizers(settings, text)[:2])


def test_pretrained_vectors_reach_the_embeddings(data: Path) -> None:
    path = data / "vectors.txt"
    path.write_text("a " + " ".join(["0.5"] * 32) + "\nb " + " ".join(["-2"] * 32) + "\n")
    trainer = new_trainer(*overrides(data, f"tokenizer.src_vectors={path}"))
    tokens = trainer.validator.translator.tokenizers.src
    for word, value in (("a", 0.5), ("b", -2.0)):
        ((number,),) = tokens.encode([word])
        assert trainer.model.encoder.embedding(torch.tensor(number)).tolist() == pytest.approx([value] * 32)
    assert not trainer.model.decoder.embedding.weight.var(dim=1).eq(0).any()
    trainer.tracker.close()
    with pytest.raises(ConfigError, match=r"model\.embedding_size=16"):
        new_trainer(
            *overrides(data, f"tokenizer.src_vectors={path}", "model.embedding_size=16", "model.readout_size=16")
        )


def test_sampled_epochs_differ_and_repeat(data: Path) -> None:
    settings = settings_of(
        *overrides(data, "tokenizer=unigram", "tokenizer.vocab_size=300", "tokenizer.sample=true")
    )
    text = read_training_text(settings.data)
    pair, tokens, _ = tokenizers(settings, text)

    def lengths(epoch: int) -> list[int]:
        loader, _ = batches(settings, text, pair, tokens)
        return [int(batch.src_mask.sum()) for batch in loader.epoch(epoch)]

    assert lengths(0) == lengths(0)
    assert lengths(0) != lengths(1)


def test_an_update_that_is_not_finite_is_skipped_and_counted(data: Path) -> None:
    trainer = new_trainer(*overrides(data, *SMALL, "trainer.log_every=4"))
    loss = trainer._loss
    epoch = iter(trainer.loader.epoch(0))
    before = []

    def spoiled(batch: Batch) -> torch.Tensor:
        return loss(batch) * (torch.inf if trainer.state.step in (1, 2) else 1)

    trainer._loss = spoiled  # type: ignore[method-assign]
    for _ in range(4):
        before.append(weights(trainer))
        trainer.update([next(epoch)])
    before.append(weights(trainer))
    changed = [any(not torch.equal(a[key], b[key]) for key in a) for a, b in itertools.pairwise(before)]
    assert changed == [True, False, False, True]
    counted = [int(value["step"]) for value in trainer.optimizer.state.values()]  # for the bias correction too
    assert counted == [2] * len(list(trainer.model.parameters()))
    assert trainer._report()["skipped"] == 2
    trainer.tracker.close()


@pytest.mark.parametrize(("max_skipped", "error"), [(2, True), (3, False)])
def test_updates_skipped_at_the_very_end_are_counted(data: Path, max_skipped: int, error: bool) -> None:
    given = [
        "trainer.log_every=8",
        "trainer.max_steps=10",
        "trainer.max_epochs=3",
        f"trainer.max_skipped={max_skipped}",
    ]
    trainer = new_trainer(*overrides(data, *SMALL, *given, f"name=end{max_skipped}"))
    loss = trainer._loss
    trainer._loss = lambda batch: loss(batch) * (torch.inf if trainer.state.step >= 8 else 1)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="in 2 updates in a row, up to 10") if error else nullcontext():
        trainer.train()
    reports = {row["step"]: row["skipped"] for row in reported(trainer, "train")}
    assert reports == ({8: 0} if error else {8: 0, 10: 2})


def test_training_stops_when_nothing_is_finite_any_more(data: Path) -> None:
    diverging = ["schedule=constant", "schedule.warmup_steps=0", "trainer.max_epochs=50"]
    trainer = new_trainer(*overrides(data, *SMALL, *diverging, "trainer.max_skipped=3", "trainer.log_every=1"))
    trainer.optimizer.defaults["lr"] = 1e38  # which the settings refuse
    with pytest.raises(TrainingError) as raised:
        trainer.train()
    said = str(raised.value)
    assert said.startswith("no finite gradient in 3 updates in a row, up to 4; lines of the last batch: ")
    lines = said.partition("batch: ")[2].partition(";")[0].removesuffix(" …").split(", ")
    assert set(map(int, lines)) <= set(range(1, 61))
    assert "largest norm" in said
    assert f"{trainer.run.path / 'last'} is whole" in said
    assert "lower optimizer.lr=1e+38" in said


def test_the_largest_batch_comes_first(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = new_trainer(*overrides(data, *SMALL, "trainer.max_epochs=1"))
    tried = []
    loss = trainer._loss

    def noted(batch: Batch) -> torch.Tensor:
        tried.append(batch.src.numel() + batch.tgt_in.numel())
        return loss(batch)

    trainer._loss = noted  # type: ignore[method-assign]
    trainer.train()
    assert tried[0] == max(tried)
    assert trainer.state.step == len(tried) - 1

    def too_large(batch: Batch) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    trainer = new_trainer(*overrides(data, *SMALL, "name=large"))
    trainer._loss = too_large  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"trainer.batch_tokens: memory is too small for .* \(\d+ sent"):
        trainer.train()


def test_batches_know_their_lines(data: Path) -> None:
    """Of the file, blank and over-long pairs counted."""
    for side in ("src", "tgt"):
        path = data / f"train.{side}"
        path.write_text("\n" + path.read_text())
    trainer = new_trainer(*overrides(data, *SMALL, "data.max_length=7"))
    epoch = trainer.loader.epoch(0)
    sides = [(data / f"train.{side}").read_text().split("\n") for side in ("src", "tgt")]
    pair = trainer.validator.translator.tokenizers
    seen = []
    for number, batch in enumerate(epoch):
        lines = epoch.lines(number)
        texts = sorted(pair.src.decode(row.tolist()) for row in batch.src)
        assert texts == sorted(sides[0][line - 1] for line in lines)
        seen += lines
    trainer.tracker.close()
    assert len(seen) == len(set(seen)) == sum(0 < len(line.split()) <= 7 for line in sides[0])


def test_speed_counts_the_making_of_batches(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = new_trainer(*overrides(data, *SMALL, "trainer.max_epochs=1", "trainer.log_every=4"))
    seconds = 0.05
    tokens = sum(len(batch.places) for batch in itertools.islice(trainer.loader.epoch(0), 4))

    def slow(*arguments: Any) -> Batch:
        time.sleep(seconds)
        return gather(*arguments)

    monkeypatch.setattr(loader, "gather", slow)
    trainer.train()
    lines = (trainer.run.path / "metrics.jsonl").read_text().splitlines()
    first = next(row for row in map(json.loads, lines) if row["kind"] == "train")
    assert first["step"] == 4
    assert 0 < first["tokens_per_second"] < tokens / (4 * seconds)


@pytest.mark.parametrize(("unit", "expected"), [("epochs", [1, 2]), ("steps", [4, 8])])
def test_validations_but_the_last_are_told(data: Path, unit: str, expected: list[int]) -> None:
    every = {"epochs": 1, "steps": 4}[unit]
    given = [f"trainer.validate_unit={unit}", f"trainer.validate_every={every}", "trainer.batch_tokens=150"]
    end = {"epochs": "trainer.max_epochs=3", "steps": "trainer.max_steps=12"}[unit]
    trainer = new_trainer(*overrides(data, *given, end, "trainer.metric=loss"))
    told: list[tuple[int, float]] = []
    trainer.on_validation = lambda when, value: told.append((when, value))
    trainer.train()
    losses = [row["loss"] for row in reported(trainer, "valid")]
    assert told == [*zip(expected, losses[:-1], strict=True)]
