"""Validation samples as plain values, to see how the translation of a sentence and its attention form."""

from __future__ import annotations

from typing import Any

from seq2seq.decoding.translator import Translation
from seq2seq.decoding.word_attention import WordAttention

LARGEST = 2500  # cells of a heatmap; beyond that nobody can read it
LONGEST = 1000  # characters of a text


def sample(translation: Translation, reference: str, words: WordAttention) -> dict[str, Any]:
    """The texts of a sample, and its attention between words, rounded; None if it is too large or empty."""
    texts = {"source": translation.source, "reference": reference, "translation": translation.text}
    attention = None
    if 0 < words.weights.numel() <= LARGEST:
        rounded = [[round(weight, 2) for weight in row] for row in words.weights.tolist()]
        attention = {"src": words.src, "tgt": words.tgt, "weights": rounded}
    return {**{name: _shortened(text) for name, text in texts.items()}, "attention": attention}


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
