"""Attention between words: what pieces of words attend to, merged into whole words."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.text.tokenizer import Spelled

Link = tuple[int, int]
"""The number of a source word and of the target word that is aligned with it, both from 0."""


class WordAttention(NamedTuple):
    """Words as they are between spaces, and the attention of each target word.

    Attributes:
        src: the source's words, ``line.split()``, and the sentence end </s>, to which the model attends too.
        tgt: the words of the translation, ``text.split()``.
        weights: (target words, source words); each row sums to 1. Source words that were cut have weight 0.
    """

    src: list[str]
    tgt: list[str]
    weights: Tensor


def word_attention(weights: Tensor, src: Spelled, tgt: Spelled) -> WordAttention:
    """The attention ``weights`` (target pieces, source pieces and </s>) between the words of the two texts.

    A source word's weight is the sum of its pieces'. A target word's row is the mean of its pieces' rows. Of both
    texts, the last pieces may have been cut.
    """
    src_words, tgt_words = src.text.split(), tgt.text.split()
    merged = weights.new_zeros(len(tgt_words) + 1, len(src_words) + 1)
    if weights.numel():
        columns = torch.tensor([*word_numbers(src)[: weights.size(1) - 1], len(src_words)])
        rows = torch.tensor(word_numbers(tgt)[: len(weights)])
        counts = rows.bincount(minlength=len(merged)).clamp(min=1)
        by_src = weights.new_zeros(len(weights), merged.size(1)).index_add_(1, columns, weights)
        merged = merged.index_add_(0, rows, by_src) / counts.unsqueeze(1)
    return WordAttention([*src_words, "</s>"], tgt_words, merged[: len(tgt_words)])


def word_numbers(spelled: Spelled) -> list[int]:
    """For each piece, the number of its word in ``text.split()``.

    That is the word which the piece begins in or, if it begins in a space, the next; of pieces after the last
    word, the number of words.
    """
    ends = [match.end() for match in re.finditer(r"\S+", spelled.text)]
    return [bisect_right(ends, start) for start in spelled.starts]


def links(words: WordAttention) -> list[Link]:
    """Each target word with the source word that it attends to most, by source word.

    A target word that attends most to the source's </s> is not aligned.
    """
    end = len(words.src) - 1
    best = words.weights.numpy().argmax(axis=1).tolist()
    attends = words.weights.any(dim=1).tolist()  # a word that begins inside of a piece has no weights
    return sorted((src, tgt) for tgt, src in enumerate(best) if src != end and attends[tgt])


def pharaoh(words: WordAttention) -> str:
    """The links as "0-0 1-2 …": source word, target word."""
    return " ".join(f"{src}-{tgt}" for src, tgt in links(words))
