"""Batches: their padding, their budget, their order."""

import random

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seq2seq.data.batch import TokenizedPairs, collate
from seq2seq.data.loader import BatchLoader, Window, bucket, gather
from seq2seq.storage.rows import Rows
from seq2seq.text.tokenizer import BOS, EOS, PAD

Lengths = list[tuple[int, int]]
LENGTHS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def pairs_of(lengths: Lengths) -> TokenizedPairs:
    """Pair i has the source i+4, i+4, … and the target -(i+4), …, so that each can be recognised."""
    return TokenizedPairs.of(
        [[i + 4] * src for i, (src, _) in enumerate(lengths)],
        [[-i - 4] * tgt for i, (_, tgt) in enumerate(lengths)],
    )


def test_collate() -> None:
    batch = collate(Rows.of([[5, 6, 7], [8]]), Rows.of([[9], [10, 11]]))
    assert batch.src.tolist() == [[5, 6, 7, EOS], [8, EOS, PAD, PAD]]
    assert batch.src_mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.tgt_in.tolist() == [[BOS, 9, PAD], [BOS, 10, 11]]
    assert batch.tgt_out.tolist() == [[9, EOS, PAD], [10, 11, EOS]]
    places, targets = batch.places, batch.targets
    assert places.tolist() == [0, 1, 3, 4, 5]
    assert targets.tolist() == batch.tgt_out[batch.tgt_out != PAD].tolist()
    assert batch.src.dtype == batch.tgt_in.dtype == batch.tgt_out.dtype == torch.int64


def test_an_empty_sentence_still_has_its_end() -> None:
    batch = collate(Rows.of([[]]), Rows.of([[]]))
    assert (batch.src.tolist(), batch.src_mask.tolist()) == ([[EOS]], [[True]])
    assert (batch.tgt_in.tolist(), batch.tgt_out.tolist()) == ([[BOS]], [[EOS]])


def test_gather_takes_both_sides_of_the_pairs_in_order() -> None:
    batch = gather(pairs_of([(1, 2), (3, 1), (2, 2)]), np.array([2, 0]))
    assert batch.src.tolist() == [[6, 6, EOS], [4, EOS, PAD]]
    assert batch.tgt_out.tolist() == [[-6, -6, EOS], [-4, -4, EOS]]


def bucketed(lengths: Lengths, max_tokens: int, rng: random.Random | None = None) -> list[list[int]]:
    src, tgt = np.array(lengths, np.int64).reshape(-1, 2).T
    return [batch.tolist() for batch in bucket(src, tgt, max_tokens, rng)]


def by_loops(lengths: Lengths, max_tokens: int, rng: random.Random | None) -> list[list[int]]:
    """The batches pair by pair: what a run of any version has, and has to have when it is resumed."""
    order = list(range(len(lengths)))
    if rng is not None:
        rng.shuffle(order)
    order.sort(key=lambda i: (lengths[i][1], lengths[i][0]))
    batches: list[list[int]] = []
    widest = 0
    for i in order:
        widest = max(widest, max(lengths[i]) + 1)
        if not batches or widest * (len(batches[-1]) + 1) > max_tokens:
            batches.append([])
            widest = max(lengths[i]) + 1
        batches[-1].append(i)
    if rng is not None:
        rng.shuffle(batches)
    return batches


@settings(deadline=None)
@given(lengths=LENGTHS, max_tokens=st.integers(1, 60), seed=st.none() | st.integers(0, 3))
@example(lengths=[(12, 1), (1, 1), (1, 2)], max_tokens=20, seed=None)  # the longest source is not the last
def test_batches_are_those_of_the_loops(lengths: Lengths, max_tokens: int, seed: int | None) -> None:
    rngs = [None if seed is None else random.Random(seed) for _ in range(2)]
    batches = bucketed(lengths, max_tokens, rngs[0])
    assert batches == by_loops(lengths, max_tokens, rngs[1])
    assert sorted(i for indices in batches for i in indices) == list(range(len(lengths)))
    for indices in batches:
        batch = gather(pairs_of(lengths), np.array(indices))
        over = max(batch.src.numel(), batch.tgt_out.numel()) > max_tokens
        assert not over or len(indices) == 1


def test_similar_lengths_come_together() -> None:
    lengths = [(9, 9), (1, 1), (9, 9), (1, 1), (9, 9), (1, 1)]
    assert bucketed(lengths, max_tokens=20) == [[1, 3, 5], [0, 2], [4]]  # 2 × 4 would fit; 10 × 4 would not


def new_loader(
    seed: int, num_windows: int = 1, made: list[tuple[int, int]] | None = None, growing: bool = False
) -> BatchLoader:
    """60 pairs, each in one of the windows; ``growing``: other lengths in each epoch, as sampling gives."""
    rng = random.Random(0)
    lengths = [(rng.randrange(1, 9), rng.randrange(1, 9)) for _ in range(60)]

    def window_of(epoch: int, number: int) -> Window:
        if made is not None:
            made.append((epoch, number))
        indices = np.arange(number, 60, num_windows)
        longer = [(src + growing * epoch * number, tgt) for src, tgt in lengths]
        return Window(pairs_of(longer).take(indices), indices)

    return BatchLoader(window_of, num_windows, lambda indices: sorted(indices.tolist()), max_tokens=40, seed=seed)


def content(loader: BatchLoader, epoch: int, after: int = 0) -> list[list[list[int]]]:
    return [batch.src.tolist() for batch in loader.epoch(epoch).after(after)]


def test_one_window_has_the_batches_of_the_loops() -> None:
    """As every version had them: a run of an earlier one resumes on the same batches."""
    rng = random.Random(0)
    lengths = [(rng.randrange(1, 9), rng.randrange(1, 9)) for _ in range(60)]
    for epoch in range(3):
        batches = by_loops(lengths, 40, random.Random(f"1/{epoch}"))
        expected = [gather(pairs_of(lengths), np.array(indices)).src.tolist() for indices in batches]
        assert content(new_loader(seed=1), epoch) == expected


@pytest.mark.parametrize("num_windows", [1, 4])
def test_seed_and_epoch_fix_the_order(num_windows: int) -> None:
    loader = new_loader(1, num_windows)
    assert content(loader, 1) == content(new_loader(1, num_windows), 1)
    random.seed(5)  # nobody else's generator matters
    assert content(loader, 0) == content(new_loader(1, num_windows), 0)
    assert content(loader, 0) != content(loader, 1)
    assert content(loader, 0) != content(new_loader(2, num_windows), 0)


def test_batches_do_not_come_by_length() -> None:
    widths = [batch.tgt_out.size(1) for batch in new_loader(seed=1).epoch(0)]
    assert widths != sorted(widths)
    assert widths != sorted(widths, reverse=True)


@pytest.mark.parametrize("num_windows", [1, 4])
def test_an_epoch_has_every_pair_once_and_can_be_read_twice(num_windows: int) -> None:
    loader = new_loader(1, num_windows)
    for epoch in range(2):
        first = content(loader, epoch)
        pairs = sorted(row[0] for batch in first for row in batch)
        assert pairs == [i + 4 for i in range(60)]
        assert content(loader, epoch) == first
        assert len(loader.epoch(epoch)) == len(first) > 5  # all windows are known by now
        assert len(loader.epoch(epoch).after(2)) == len(first) - 2


def test_the_order_of_the_windows_is_another_in_each_epoch() -> None:
    assert len({tuple(new_loader(1, 4).order(epoch)) for epoch in range(9)}) > 5


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("num_windows", [1, 4])
def test_a_place_in_an_epoch_is_found_again_at_once(num_windows: int, growing: bool) -> None:
    """With what was saved there, no window is made but those that are still to come."""
    for epoch in range(2):
        whole = content(new_loader(1, num_windows, growing=growing), epoch)
        loader = new_loader(1, num_windows, growing=growing)
        for count, _ in enumerate(loader.epoch(epoch), 1):
            made: list[tuple[int, int]] = []
            other = new_loader(1, num_windows, made, growing)
            other.load_state_dict(loader.state_dict())
            assert content(other, epoch, after=count) == whole[count:]
            order = other.order(epoch)
            assert made == [(epoch, number) for number in order[len(order) - len(made) :]]
            without = new_loader(1, num_windows, growing=growing)
            without.load_state_dict({})  # as an earlier version saved
            assert content(without, epoch, after=count) == whole[count:]


@pytest.mark.parametrize("num_windows", [1, 4])
def test_the_lines_of_a_batch_are_told(num_windows: int) -> None:
    loader = new_loader(1, num_windows)
    batches = content(loader, 1)
    for number, batch in enumerate(batches):
        assert loader.epoch(1).lines(number) == sorted(row[0] - 4 for row in batch)
    assert loader.epoch(1).lines(-1) == loader.epoch(1).lines(len(batches) - 1)
    assert loader.epoch(1).after(3).lines(2) == loader.epoch(1).lines(5)


def test_the_largest_batch_has_most_padded_tokens() -> None:
    loader = new_loader(1)
    sizes = [batch.src.numel() + batch.tgt_out.numel() for batch in loader.epoch(0)]
    largest = loader.epoch(0).largest()
    assert largest.src.numel() + largest.tgt_out.numel() == max(sizes)


def test_each_epoch_asks_for_its_own_segmentation() -> None:
    made: list[tuple[int, int]] = []
    loader = new_loader(seed=1, made=made)
    for epoch in (0, 7, 7):  # the last is at hand
        content(loader, epoch)
    assert made == [(0, 0), (7, 0)]


LISTS = [[1, 2, 3], [1, 2], [1, 2, 3, 4], [1]], [[5, 6], [5, 6, 7, 8, 9], [5], []]
PAIRS = TokenizedPairs.of(*LISTS)


def test_over_length_is_a_pair_with_either_side_too_long() -> None:
    numbers = np.arange(4)
    assert PAIRS.over_length(numbers, 3).tolist() == [False, True, True, False]
    assert PAIRS.over_length(numbers[1:3], 4).tolist() == [True, False]
    assert not PAIRS.over_length(numbers, 5).any()
    assert PAIRS.over_length(numbers, 0).all()


def test_another_segmentation_stands_in_for_one_that_is_over_length() -> None:
    other = TokenizedPairs.of([[9], [8], [7], [6]], [[1], [2], [3], [4]])
    mixed = PAIRS.unless_over_length(3, other)
    assert (mixed.src.tolist(), mixed.tgt.tolist()) == ([[1, 2, 3], [8], [7], [1]], [[5, 6], [2], [3], []])
    same = PAIRS.unless_over_length(5, other)
    assert (same.src.tolist(), same.tgt.tolist()) == LISTS
