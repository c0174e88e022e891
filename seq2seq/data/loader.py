"""Batches of similar length under a budget of padded tokens, in an order that the seed and epoch fix."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from seq2seq.data.batch import Batch, Counts, TokenizedPairs, collate
from seq2seq.storage.rows import Integers


def bucket(
    src_lengths: Integers, tgt_lengths: Integers, max_tokens: int, rng: random.Random | None = None
) -> list[Integers]:
    """Indices of pairs of these lengths in batches of at most ``max_tokens`` padded tokens on either side.

    Pairs are sorted by length. With ``rng``, pairs of equal length come in random order, and so do the batches. A
    pair that is longer than the budget is a batch of its own.
    """
    numbers = list(range(len(src_lengths)))
    if rng is not None:
        rng.shuffle(numbers)
    order = np.array(numbers, np.int64)
    order = order[np.lexsort((src_lengths[order], tgt_lengths[order]))]
    widths = np.maximum(src_lengths, tgt_lengths)[order] + 1  # + 1: the sentence end
    batches: list[Integers] = list(np.split(order, _ends(widths, max_tokens))[:-1])
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _ends(widths: Integers, max_tokens: int) -> list[int]:
    """Where each batch ends if every batch takes the next pairs as long as they fit."""
    ends = [0]
    while ends[-1] < len(widths):
        following = widths[ends[-1] : ends[-1] + max_tokens // int(widths[ends[-1]]) + 1]
        sizes = np.maximum.accumulate(following) * np.arange(1, len(following) + 1)
        ends.append(ends[-1] + max(1, int(np.searchsorted(sizes, max_tokens, side="right"))))
    return ends[1:]


class Share(NamedTuple):
    """Every ``size``-th row of a batch, from row ``rank`` on: what one of several processes computes."""

    rank: int = 0
    size: int = 1


WHOLE = Share()


class Window(NamedTuple):
    """Some of the pairs, in memory."""

    pairs: TokenizedPairs
    indices: Integers  # of each pair in the corpus


class Epoch:
    """The batches of one pass over the data, window after window; the first ``begin`` are left out."""

    def __init__(self, loader: BatchLoader, epoch: int, begin: int = 0) -> None:
        self._loader, self._epoch, self._begin = loader, epoch, begin

    def __len__(self) -> int:
        """Exact if there is one window; else an estimate from the windows that are known."""
        return self._loader.num_batches(self._epoch) - self._begin

    def lines(self, batch: int) -> list[int] | list[str]:
        """The lines, in their files, of the pairs of a batch; batches are counted from 0, the last is -1."""
        order = self._loader.order(self._epoch)
        place, number = self._loader.place(self._epoch, self._begin + batch) if batch >= 0 else (-1, batch)
        window, batches = self._loader.window(self._epoch, order[place])
        return self._loader.places(window.indices[batches[number]])

    def largest(self) -> Batch:
        """The batch with most padded tokens, of the first window."""
        for number in self._loader.order(self._epoch):
            (pairs, _), batches = self._loader.window(self._epoch, number)
            if batches:
                break
        src, tgt = pairs.src.all_lengths(), pairs.tgt.all_lengths()
        indices = max(batches, key=lambda batch: len(batch) * (src[batch].max() + tgt[batch].max() + 2))
        return gather(pairs, indices, self._loader.share)

    def after(self, count: int) -> Epoch:
        """The epoch without its first ``count`` batches."""
        return Epoch(self._loader, self._epoch, self._begin + count)

    def __iter__(self) -> Iterator[Batch]:
        place, first = self._loader.place(self._epoch, self._begin)
        for number in self._loader.order(self._epoch)[place:]:
            window, batches = self._loader.window(self._epoch, number)
            for indices in batches[first:]:
                yield gather(window.pairs, indices, self._loader.share)
            first = 0


class BatchLoader:
    """The training split, epoch by epoch: ``(seed, epoch)`` fixes the batches and their order.

    A corpus is bucketed in windows. How many batches each has is remembered and saved, so that a place in the
    middle of an epoch is found again without making the windows before it.
    """

    def __init__(
        self,
        window_of: Callable[[int, int], Window],
        num_windows: int,
        places: Callable[[Integers], list[int] | list[str]],
        max_tokens: int,
        seed: int,
        share: Share = WHOLE,
    ) -> None:
        """``window_of(epoch, number)`` gives a window; if pieces are sampled, segmented anew in each epoch.

        ``places`` tells the lines of pairs in their files. Of each batch, only the rows of ``share`` are made.
        """
        self.share = share
        self._window_of, self._num_windows, self.places = window_of, num_windows, places
        self._max_tokens, self._seed = max_tokens, seed
        self._counts: tuple[int, dict[int, int]] = 0, {}  # an epoch, and the batches of its windows that are known
        self._made: tuple[tuple[int, int], Window, list[Integers]] | None = None  # the last

    def epoch(self, epoch: int) -> Epoch:
        """The batches of ``epoch``, counted from 0."""
        return Epoch(self, epoch)

    def order(self, epoch: int) -> list[int]:
        """The windows in the order of ``epoch``."""
        order = list(range(self._num_windows))
        random.Random(f"{self._seed}/{epoch}").shuffle(order)
        return order

    def window(self, epoch: int, number: int) -> tuple[Window, list[Integers]]:
        """A window and its batches, as indices in it."""
        if self._made is None or self._made[0] != (epoch, number):
            self._made = None  # two windows need not be in memory
            window = self._window_of(epoch, number)
            seed = f"{self._seed}/{epoch}" + f"/{number}" * (self._num_windows > 1)
            lengths = window.pairs.src.all_lengths(), window.pairs.tgt.all_lengths()
            batches = bucket(*lengths, self._max_tokens, random.Random(seed))
            self._made = (epoch, number), window, batches
            self._known(epoch)[number] = len(batches)
        return self._made[1:]

    def _known(self, epoch: int) -> dict[int, int]:
        """The windows of ``epoch`` whose numbers of batches are known, and those."""
        if self._counts[0] != epoch:
            self._counts = epoch, {}
        return self._counts[1]

    def place(self, epoch: int, count: int) -> tuple[int, int]:
        """Where the batch is that comes after ``count`` others: the place of its window, and its number there."""
        for place, number in enumerate(self.order(epoch)):
            if number not in self._known(epoch):
                self.window(epoch, number)
            if count < (batches := self._known(epoch)[number]):
                return place, count
            count -= batches
        return self._num_windows, count

    def num_batches(self, epoch: int) -> int:
        """Of the whole epoch; with several windows, an estimate from those that are known."""
        if not self._known(epoch):
            self.window(epoch, self.order(epoch)[0])
        known = self._known(epoch)
        return round(sum(known.values()) / len(known) * self._num_windows)

    def state_dict(self) -> dict[str, Any]:
        """What is known of the epoch's windows."""
        return {"epoch": self._counts[0], "counts": dict(self._counts[1])}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over what was known."""
        if saved:  # else of a version that saved none
            self._counts = saved["epoch"], dict(saved["counts"])


def gather(pairs: TokenizedPairs, indices: Integers, share: Share = WHOLE) -> Batch:
    """The rows of ``share`` of the batch of the pairs with these indices.

    Pairs are sorted by length, so the shares are alike. A share without a row is a copy of the first row without
    target tokens: its loss is 0 and so are its gradients, but they take part in each exchange.
    """
    own = indices[share.rank :: share.size]
    batch = collate(*pairs.take(own if len(own) else indices[:1]))
    places = batch.places if len(own) else batch.places[:0]
    return batch._replace(places=places, counts=Counts.of(pairs.src.lengths(indices), pairs.tgt.lengths(indices)))


def groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """``size`` batches at a time; the last group may have fewer."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
