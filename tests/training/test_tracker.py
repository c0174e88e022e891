"""What TensorBoard gets: names that sort, sections that it opens, charts of train and validation together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from reversals import settings_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from seq2seq.decoding.translator import EMPTY, Candidate, Translation
from seq2seq.decoding.word_attention import WordAttention
from seq2seq.training.tracker import Tracker, hyperparameters


def read(directory: Path) -> EventAccumulator:
    return EventAccumulator(str(directory), {"tensors": 0, "images": 0}).Reload()


def test_samples_are_numbered_from_1_so_that_they_sort(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    drawn = Candidate("x", 0.0, 0.0, ["x"], torch.ones(1, 1))
    translations = [Translation(f"line {i}", ["a"], [drawn if i == 2 else EMPTY], False) for i in range(1, 11)]
    tracker.samples(translations, ["reference"] * 10, [WordAttention([], [], torch.zeros(0, 0))] * 10, step=7)
    tracker.close()
    tags = read(tmp_path).Tags()
    names = sorted(tag.removesuffix("/text_summary") for tag in tags["tensors"])
    assert names == [f"samples/{i:02}" for i in range(1, 11)]
    text = read(tmp_path).Tensors("samples/02/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "line 2 |" in text
    assert tags["images"] == ["valid_attention/02"]


def test_nothing_comes_before_train_and_validation(tmp_path: Path) -> None:
    """TensorBoard opens the first two sections of its first tab."""
    tracker = Tracker(tmp_path)
    for kind in ("train", "valid", "average"):
        tracker.scalars(kind, {"loss": 2.0}, 5)
    translation = Translation("a", ["a"], [Candidate("x", 0, 0, ["x"], torch.ones(1, 1))], False)
    tracker.samples([translation], ["x"], [WordAttention(["</s>"], ["x"], torch.ones(1, 1))], 5)
    tracker.close()
    tags = read(tmp_path).Tags()
    sections = sorted({tag.partition("/")[0] for tag in tags["scalars"] + tags["images"]})
    assert sections == ["train", "valid", "valid_attention", "valid_average"]
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["train", "valid", "average"]


def test_train_and_validation_share_charts(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.config(settings_of())
    tracker.close()
    (layout,) = read(tmp_path).Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(layout.tensor_proto.string_val[0]).category
    charts = {chart.title: [*chart.multiline.tag] for chart in category.chart}
    assert charts["loss"] == ["train/loss", "valid/loss"]
    assert charts["perplexity"] == ["train/ppl", "valid/ppl"]


def test_hyperparameters_are_the_same_columns_for_every_run() -> None:
    one = hyperparameters(settings_of("attention=luong", "tokenizer=word", "data=files"))
    other = hyperparameters(settings_of("attention=bahdanau", "schedule=plateau", "name=other", "runs_dir=x"))
    assert [*one] == [*other]
    assert (one["attention.size"], other["attention.size"]) == ("null", 512)
    first = [name for name in sorted(one) if re.match("[0-9]", name)]
    assert first == sorted(one)[: len(first)]
    assert [name.partition(" ")[0] for name in first] == ["1"] * 6 + ["2"] * 5 + ["3"]
    paths = {"name", "runs_dir", "data.root", "data.cache_dir", "data.train.src", "tokenizer.src_vectors"}
    assert not paths & {*one}
