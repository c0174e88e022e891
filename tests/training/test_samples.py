"""Samples as plain values: whole words, rounded weights, nothing without a bound."""

from __future__ import annotations

import pytest
import torch

from seq2seq.decoding.translator import EMPTY, Candidate, Translation
from seq2seq.decoding.word_attention import WordAttention
from seq2seq.training.samples import LARGEST, LONGEST, sample

TRANSLATION = Translation("source", [], [Candidate("text", 0, 0, [], torch.zeros(0, 0))], False)
NONE = WordAttention(["</s>"], [], torch.zeros(0, 1))


def test_weights_are_between_words_and_rounded() -> None:
    words = WordAttention(["Hund", "</s>"], ["dog"], torch.tensor([[0.5415, 0.4585]]))
    made = sample(TRANSLATION, "reference", words)
    assert made["attention"] == {"src": ["Hund", "</s>"], "tgt": ["dog"], "weights": [[0.54, 0.46]]}
    assert (made["source"], made["reference"], made["translation"]) == ("source", "reference", "text")


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_a_heatmap_that_nobody_can_read_is_left_out(more: int, kept: bool) -> None:
    src, tgt = ["a"] * (LARGEST // 50), ["b"] * (50 + more)
    words = WordAttention(src, tgt, torch.full((len(tgt), len(src)), 1 / len(src)))
    assert (sample(TRANSLATION, "", words)["attention"] is not None) == kept


def test_an_empty_translation_has_no_heatmap() -> None:
    assert sample(Translation("", [], [EMPTY], False), "", NONE)["attention"] is None


def test_long_texts_are_cut_where_it_shows() -> None:
    made = sample(Translation("x" * 2 * LONGEST, [], [EMPTY], False), "y" * LONGEST, NONE)
    assert made["source"] == "x" * (LONGEST - 1) + "…"
    assert made["reference"] == "y" * LONGEST
