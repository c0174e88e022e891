"""Segmentations of a word into pieces, drawn at random: the same in every process for the same generator.

SentencePiece can draw them too, but it seeds its generator from the system when a process starts, so no seed gives
the same run twice. Pieces do not cross spaces, so a line is drawn word by word.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import random
from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import NamedTuple

REMEMBERED = 2**14  # words whose segmentations are cached
LONG = 24  # characters; so long a word is not likely to come again
UNKNOWN_PENALTY = 10.0  # nats below the rarest piece, as in SentencePiece, for a character that is not a piece


class LastPiece(NamedTuple):
    """Pieces that the segmentations of a word's beginning may end in."""

    pieces: list[str]
    weights: list[float]  # cumulative, of all segmentations that end in this piece or in one before it
    log_total: float  # of all segmentations, ln


class Unigram:
    """Draws a segmentation x of a word with probability ∝ P(x)^α (Kudo, 2018, section 3.2).

    P(x) is the product of the probabilities of its pieces. With α = 0 all segmentations are equally likely; a
    large α makes the best one certain. The algorithm filters forwards and samples backwards.
    """

    def __init__(self, scores: Mapping[str, float], alpha: float) -> None:
        """``scores`` are the pieces' log-probabilities."""
        self._scores = {piece: alpha * score for piece, score in scores.items()}
        self._unknown = alpha * (min(scores.values()) - UNKNOWN_PENALTY)
        self._longest = max(map(len, scores))
        self._filtered = functools.lru_cache(REMEMBERED)(self._filter)

    def draw(self, word: str, rng: random.Random) -> Sequence[str]:
        """The pieces of ``word``; a character that is not a piece stands alone."""
        filtered = self._filtered(word) if len(word) < LONG else self._filter(word)
        pieces, end = [], len(word)
        while end:
            last = filtered[end - 1]
            pieces.append(last.pieces[bisect(last.weights, rng.random() * last.weights[-1])])
            end -= len(pieces[-1])
        return pieces[::-1]

    def _filter(self, word: str) -> list[LastPiece]:
        """For each beginning of ``word``, its possible last pieces."""
        filtered: list[LastPiece] = []
        for end in range(1, len(word) + 1):
            starts = range(max(0, end - self._longest), end)
            pieces = [word[i:end] for i in starts if word[i:end] in self._scores or i == end - 1]
            before = [filtered[end - len(piece) - 1].log_total if len(piece) < end else 0.0 for piece in pieces]
            logs = [
                log + self._scores.get(piece, self._unknown) for log, piece in zip(before, pieces, strict=True)
            ]
            highest = max(logs)
            weights = list(itertools.accumulate(math.exp(log - highest) for log in logs))
            filtered.append(LastPiece(pieces, weights, highest + math.log(weights[-1])))
        return filtered


class BpeDropout:
    """Byte-pair merges; at each step each is dropped with probability p (Provilkov et al., 2020, algorithm 1)."""

    def __init__(self, scores: Mapping[str, float], rate: float) -> None:
        """``scores`` fall with the order in which the pieces were learned."""
        self._scores = scores
        self._rate = rate

    def draw(self, word: str, rng: random.Random) -> Sequence[str]:
        """The pieces of ``word``, merged from its characters until a step drops every merge that is possible."""
        pieces = list(word)  # "" once merged into the piece on its left
        following = list(range(1, len(word) + 1))
        preceding = list(range(-1, len(word) - 1))
        merges: list[tuple[float, int, str]] = []  # a heap, the first learned on top; some are outdated
        left_out: list[tuple[float, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right < len(word):
                both = pieces[left] + pieces[right]
                if both in self._scores:
                    heapq.heappush(merges, (-self._scores[both], left, both))

        for i in range(len(word) - 1):
            offer(i, i + 1)
        while merges:
            merge = heapq.heappop(merges)
            _, left, both = merge
            right = following[left]
            if not pieces[left] or right == len(word) or pieces[left] + pieces[right] != both:
                continue
            if rng.random() < self._rate:
                left_out.append(merge)
                continue
            pieces[left], pieces[right] = both, ""
            following[left] = right = following[right]
            if right < len(word):
                preceding[right] = left
            offer(preceding[left], left)
            offer(left, right)
            while left_out:  # each step draws anew
                heapq.heappush(merges, left_out.pop())
        return [piece for piece in pieces if piece]
