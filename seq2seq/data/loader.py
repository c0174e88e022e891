"""Batches of similar length under a budget of padded tokens, in an order that the seed and epoch fix."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from seq2seq.data.batch import Batch, TokenizedPairs, collate


def bucket(pairs: TokenizedPairs, max_tokens: int, rng: random.Random | None = None) -> list[list[int]]:
    """Indices of ``pairs`` in batches of at most ``max_tokens`` padded tokens on either side.

    Pairs are sorted by length. With ``rng``, pairs of equal length come in random order, and so do the batches. A
    pair that is longer than the budget is a batch of its own.
    """
    order = list(range(len(pairs)))
    if rng is not None:
        rng.shuffle(order)
    sizes = [(len(pairs.tgt[i]), len(pairs.src[i])) for i in range(len(pairs))]
    order.sort(key=sizes.__getitem__)
    batches: list[list[int]] = []
    widest = 0
    for i in order:
        widest = max(widest, max(sizes[i]) + 1)  # + 1: the sentence end
        if not batches or widest * (len(batches[-1]) + 1) > max_tokens:
            batches.append([])
            widest = max(sizes[i]) + 1
        batches[-1].append(i)
    if rng is not None:
        rng.shuffle(batches)
    return batches


class Epoch:
    """The batches of one pass over the data."""

    def __init__(self, pairs: TokenizedPairs, batches: list[list[int]]) -> None:
        self._pairs = pairs
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def lines(self, batch: int) -> list[int]:
        """The lines, in their file, of the pairs of a batch; batches are counted from 0."""
        return sorted(self._pairs.lines[i] for i in self._batches[batch])

    def largest(self) -> Batch:
        """The batch with most padded tokens."""
        src, tgt = self._pairs.src, self._pairs.tgt

        def size(batch: Sequence[int]) -> int:
            return len(batch) * (max(len(src[i]) for i in batch) + max(len(tgt[i]) for i in batch) + 2)

        return gather(self._pairs, max(self._batches, key=size))

    def after(self, count: int) -> Epoch:
        """The epoch without its first ``count`` batches."""
        return Epoch(self._pairs, self._batches[count:])

    def __iter__(self) -> Iterator[Batch]:
        return (gather(self._pairs, indices) for indices in self._batches)


class BatchLoader:
    """The training split, epoch by epoch: ``(seed, epoch)`` fixes the batches and their order."""

    def __init__(self, pairs_of: Callable[[int], TokenizedPairs], max_tokens: int, seed: int) -> None:
        """``pairs_of(epoch)`` gives the tokenized split; if pieces are sampled, segmented anew in each epoch."""
        self._pairs_of = pairs_of
        self._max_tokens = max_tokens
        self._seed = seed
        self._last: tuple[int, Epoch] | None = None

    def epoch(self, epoch: int) -> Epoch:
        """The batches of ``epoch``, counted from 0."""
        if self._last is None or self._last[0] != epoch:
            pairs = self._pairs_of(epoch)
            batches = bucket(pairs, self._max_tokens, random.Random(f"{self._seed}/{epoch}"))
            self._last = epoch, Epoch(pairs, batches)
        return self._last[1]


def gather(pairs: TokenizedPairs, indices: Sequence[int]) -> Batch:
    """The batch of the pairs with these indices."""
    return collate([pairs.src[i] for i in indices], [pairs.tgt[i] for i in indices])
