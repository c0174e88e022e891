"""Which pairs are trained on together: windows of a shuffle that is computed, not stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seq2seq.storage.rows import Integers

WINDOW = 2**18  # pairs, at most: a corpus of no more is bucketed as a whole
SAMPLED_WINDOW = 2**15  # of a larger corpus whose pieces are sampled, which takes 5 s for so many
ROUNDS = 6


def stretches(first: int, last: int) -> Iterator[Integers]:
    """The numbers from ``first`` to before ``last``, not too many at a time."""
    for begin in range(first, last, WINDOW):
        yield np.arange(begin, min(begin + WINDOW, last))


class Windows:
    """The pairs of an epoch, shared out among windows of nearly equal size by a shuffle that ``seed`` fixes.

    The windows are the same in every epoch, and a window is known without the others, so any batch can be found
    again at once, and epochs have equally many.
    """

    def __init__(self, sizes: Sequence[int], drawn: Sequence[int], seed: int, sampled: bool = False) -> None:
        """``sizes`` are the pairs of each corpus, ``drawn`` how many of them an epoch has, repeated or not.

        Windows are smaller if pieces are ``sampled``.
        """
        self._sizes, self._drawn = np.array(sizes, np.int64), np.array(drawn, np.int64)
        self._total, self._seed, self._sampled = int(self._drawn.sum()), seed, sampled

    def __len__(self) -> int:
        return -(-self._total // (SAMPLED_WINDOW if self._sampled and self._total > WINDOW else WINDOW))

    def members(self, window: int) -> Integers:
        """The indices of the pairs of a window, sorted."""
        first, last = (self._total * i // len(self) for i in (window, window + 1))
        places = np.arange(first, last)
        drawn = np.sort(permuted(places, self._total, self._seed)) if len(self) > 1 else places
        return self._pairs(drawn)

    def _pairs(self, drawn: Integers) -> Integers:
        """The pair behind each of the pairs drawn: of a corpus, repeated pairs are evenly spread."""
        if (self._sizes == self._drawn).all():
            return drawn
        ends = np.cumsum(self._drawn)
        corpus = np.searchsorted(ends, drawn, side="right")
        sizes, counts = self._sizes[corpus], self._drawn[corpus]
        place = drawn - (ends[corpus] - counts)
        pairs: Integers = (np.cumsum(self._sizes)[corpus] - sizes) + place * sizes // counts
        return pairs


def permuted(numbers: Integers, size: int, seed: int) -> Integers:
    """Where a permutation of 0, …, ``size`` - 1 takes these ``numbers``; ``seed`` chooses it.

    A generalized Feistel network (Black and Rogaway, 2002): numbers are pairs (left, right), and each round adds
    to one half what a hash makes of the other. A result beyond ``size`` is taken on until it is below.
    """
    width = math.isqrt(size - 1) + 1
    height = -(-size // width)
    values = numbers.astype(np.uint64)
    open_ = np.arange(len(values))
    while len(open_):
        left, right = np.divmod(values[open_], np.uint64(height))
        for number in range(ROUNDS):
            if number % 2:
                left = (left + _mixed(right, seed, number)) % np.uint64(width)
            else:
                right = (right + _mixed(left, seed, number)) % np.uint64(height)
        values[open_] = left * np.uint64(height) + right
        open_ = open_[values[open_] >= size]
    return values.astype(np.int64)


def _mixed(values: NDArray[np.uint64], seed: int, number: int) -> NDArray[np.uint64]:
    """A hash of each value below 2³¹, another for each round of each seed: the finalizer of SplitMix64."""
    key = (seed * 0x9E3779B97F4A7C15 + (number + 1) * 0xD1B54A32D192ED03) % 2**64
    mixed = values + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: NDArray[np.uint64] = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)
    return hashed


def drawn_of(sizes: Sequence[int], weights: Sequence[float], temperature: float) -> list[int]:
    """How many pairs of each corpus an epoch has: every pair at least once, in the given proportions.

    The corpora's shares are as ``weights`` or, if there are none, as their sizes to the power 1 / ``temperature``
    (Arivazhagan et al., 2019): 1 leaves them as they are, and the larger it is, the more equal they become.
    """
    shares = list(weights) or [size ** (1 / temperature) for size in sizes]
    copies = [share / size for share, size in zip(shares, sizes, strict=True)]
    return [round(size * each / min(copies)) for size, each in zip(sizes, copies, strict=True)]
