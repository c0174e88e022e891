"""Samples as plain values: whole words, rounded weights, nothing without a bound."""

from __future__ import annotations

import pytest
import torch

from seq2seq.decoding.translator import EMPTY, Candidate, Translation
from seq2seq.training.samples import LARGEST, LONGEST, sample


def translated(src: list[str], tgt: list[str], weights: torch.Tensor) -> Translation:
    return Translation("source", src, [Candidate("text", 0, 0, tgt, weights)], False)


def test_weights_are_between_words_and_rounded() -> None:
    weights = torch.tensor([[0.111, 0.222, 0.667], [0.5, 0.25, 0.25]])
    made = sample(translated(["▁Hun", "d", "</s>"], ["▁d", "og"], weights), "reference")
    assert made["attention"] == {"src": ["Hund", "</s>"], "tgt": ["dog"], "weights": [[0.54, 0.46]]}
    assert (made["source"], made["reference"], made["translation"]) == ("source", "reference", "text")


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_a_heatmap_that_nobody_can_read_is_left_out(more: int, kept: bool) -> None:
    src, tgt = ["a"] * (LARGEST // 50), ["b"] * (50 + more)
    weights = torch.full((len(tgt), len(src)), 1 / len(src))
    assert (sample(translated(src, tgt, weights), "")["attention"] is not None) == kept


def test_an_empty_translation_has_no_heatmap() -> None:
    assert sample(Translation("", [], [EMPTY], False), "")["attention"] is None


def test_long_texts_are_cut_where_it_shows() -> None:
    made = sample(Translation("x" * 2 * LONGEST, [], [EMPTY], False), "y" * LONGEST)
    assert made["source"] == "x" * (LONGEST - 1) + "…"
    assert made["reference"] == "y" * LONGEST
