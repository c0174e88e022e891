"""Attention between words: what pieces of words attend to, merged into whole words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from seq2seq.decoding.translator import Candidate, Translation

SPACE = "▁"  # begins a piece that follows a space (SentencePiece)
JOINER = "￭"  # begins a word that does not (seq2seq.text.words)
BYTES = re.compile("(?:<0x[0-9A-F]{2}>)+")


class WordAttention(NamedTuple):
    """Words as they are between spaces, and the attention of each target word.

    Attributes:
        src: the source's words, and the sentence end </s>, to which the model attends too.
        tgt: the words of the translation.
        weights: (target words, source words); each row sums to 1.
    """

    src: list[str]
    tgt: list[str]
    weights: Tensor


def word_attention(translation: Translation, candidate: Candidate | None = None) -> WordAttention:
    """Attention of a translation, the best if no ``candidate`` is given, between words.

    A source word's weight is the sum of its pieces'. A target word's row is the mean of its pieces' rows.
    """
    candidate = candidate or translation.candidates[0]
    src, tgt = spans(translation.src_pieces), spans(candidate.pieces)
    weights = candidate.weights.new_zeros(len(tgt), len(src))
    for t, (_, rows) in enumerate(tgt):
        for s, (_, columns) in enumerate(src):
            weights[t, s] = candidate.weights[rows, columns].sum(1).mean()
    return WordAttention([word for word, _ in src], [word for word, _ in tgt], weights)


def spans(pieces: Sequence[str]) -> list[tuple[str, slice]]:
    """The words that ``pieces`` spell, and where the pieces of each are. A final </s> is a word of its own."""
    subwords = any(piece.startswith(SPACE) for piece in pieces)
    words: list[tuple[str, slice]] = []
    for i, piece in enumerate(pieces):
        joined = not piece.startswith(SPACE) if subwords else piece.startswith(JOINER) and len(piece) > 1
        if not joined or not words or piece == "</s>":
            words.append((piece, slice(i, i + 1)))
        else:
            word, span = words[-1]
            words[-1] = word + piece.removeprefix(JOINER), slice(span.start, i + 1)
    return [(_spelled(word), span) for word, span in words if word != SPACE or len(pieces) == 1]


def _spelled(word: str) -> str:
    text = word.removeprefix(SPACE)
    return BYTES.sub(
        lambda found: bytes.fromhex(found[0].replace("<0x", "").replace(">", "")).decode("utf-8", "replace"), text
    )
