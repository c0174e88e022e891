"""Batches: their padding, their budget, their order."""

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seq2seq.data.batch import TokenizedPairs, collate
from seq2seq.data.loader import BatchLoader, bucket, gather
from seq2seq.text.tokenizer import BOS, EOS, PAD

Lengths = list[tuple[int, int]]
LENGTHS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def pairs_of(lengths: Lengths) -> TokenizedPairs:
    """Pair i has the source i+4, i+4, … and the target -(i+4), …, so that each can be recognised."""
    return TokenizedPairs(
        [[i + 4] * src for i, (src, _) in enumerate(lengths)],
        [[-i - 4] * tgt for i, (_, tgt) in enumerate(lengths)],
    )


def test_collate() -> None:
    batch = collate([[5, 6, 7], [8]], [[9], [10, 11]])
    assert batch.src.tolist() == [[5, 6, 7, EOS], [8, EOS, PAD, PAD]]
    assert batch.src_mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.tgt_in.tolist() == [[BOS, 9, PAD], [BOS, 10, 11]]
    assert batch.tgt_out.tolist() == [[9, EOS, PAD], [10, 11, EOS]]
    places, targets = batch.places, batch.targets
    assert places.tolist() == [0, 1, 3, 4, 5]
    assert targets.tolist() == batch.tgt_out[batch.tgt_out != PAD].tolist()
    assert batch.src.dtype == batch.tgt_in.dtype == batch.tgt_out.dtype == torch.int64


def test_an_empty_sentence_still_has_its_end() -> None:
    batch = collate([[]], [[]])
    assert (batch.src.tolist(), batch.src_mask.tolist()) == ([[EOS]], [[True]])
    assert (batch.tgt_in.tolist(), batch.tgt_out.tolist()) == ([[BOS]], [[EOS]])


def test_gather_takes_both_sides_of_the_pairs_in_order() -> None:
    batch = gather(pairs_of([(1, 2), (3, 1), (2, 2)]), [2, 0])
    assert batch.src.tolist() == [[6, 6, EOS], [4, EOS, PAD]]
    assert batch.tgt_out.tolist() == [[-6, -6, EOS], [-4, -4, EOS]]


@settings(deadline=None)
@given(lengths=LENGTHS, max_tokens=st.integers(1, 60), seed=st.none() | st.integers(0, 3))
@example(lengths=[(12, 1), (1, 1), (1, 2)], max_tokens=20, seed=None)  # the longest source is not the last
def test_every_pair_once_and_no_batch_over_budget(lengths: Lengths, max_tokens: int, seed: int | None) -> None:
    pairs = pairs_of(lengths)
    batches = bucket(pairs, max_tokens, None if seed is None else random.Random(seed))
    assert sorted(i for indices in batches for i in indices) == list(range(len(lengths)))
    for indices in batches:
        batch = gather(pairs, indices)
        over = max(batch.src.numel(), batch.tgt_out.numel()) > max_tokens
        assert not over or len(indices) == 1


@settings(deadline=None)
@given(lengths=LENGTHS, max_tokens=st.integers(1, 60))
def test_no_batch_could_have_taken_the_next_pair(lengths: Lengths, max_tokens: int) -> None:
    pairs = pairs_of(lengths)
    batches = bucket(pairs, max_tokens)
    for indices, following in pairwise(batches):
        batch = gather(pairs, [*indices, following[0]])
        assert max(batch.src.numel(), batch.tgt_out.numel()) > max_tokens


def test_similar_lengths_come_together() -> None:
    pairs = pairs_of([(9, 9), (1, 1), (9, 9), (1, 1), (9, 9), (1, 1)])
    assert bucket(pairs, max_tokens=20) == [[1, 3, 5], [0, 2], [4]]  # 2 × 4 would fit; 10 × 4 would not


def new_loader(seed: int, epochs: list[int] | None = None) -> BatchLoader:
    rng = random.Random(0)
    pairs = pairs_of([(rng.randrange(1, 9), rng.randrange(1, 9)) for _ in range(60)])

    def of_epoch(epoch: int) -> TokenizedPairs:
        if epochs is not None:
            epochs.append(epoch)
        return pairs

    return BatchLoader(of_epoch, max_tokens=40, seed=seed)


def content(loader: BatchLoader, epoch: int) -> list[list[list[int]]]:
    return [batch.src.tolist() for batch in loader.epoch(epoch)]


def test_seed_and_epoch_fix_the_order() -> None:
    loader = new_loader(seed=1)
    assert content(loader, 1) == content(new_loader(seed=1), 1)
    random.seed(5)  # nobody else's generator matters
    assert content(loader, 0) == content(new_loader(seed=1), 0)
    assert content(loader, 0) != content(loader, 1)
    assert content(loader, 0) != content(new_loader(seed=2), 0)


def test_batches_do_not_come_by_length() -> None:
    widths = [batch.tgt_out.size(1) for batch in new_loader(seed=1).epoch(0)]
    assert widths != sorted(widths)
    assert widths != sorted(widths, reverse=True)


def test_an_epoch_can_be_counted_and_read_twice() -> None:
    epoch = new_loader(seed=1).epoch(0)
    first, second = [batch.src.tolist() for batch in epoch], [batch.src.tolist() for batch in epoch]
    assert len(epoch) == len(first) > 5
    assert first == second


def test_each_epoch_asks_for_its_own_segmentation() -> None:
    epochs: list[int] = []
    loader = new_loader(seed=1, epochs=epochs)
    loader.epoch(0)
    loader.epoch(7)
    loader.epoch(7)  # is at hand
    assert epochs == [0, 7]


PAIRS = TokenizedPairs([[1, 2, 3], [1, 2], [1, 2, 3, 4], [1]], [[5, 6], [5, 6, 7, 8, 9], [5], []])


def test_over_length_counts_pairs_with_either_side_too_long() -> None:
    assert PAIRS.over_length(3) == [False, True, True, False]
    assert sum(PAIRS.over_length(5)) == 0
    assert sum(PAIRS.over_length(0)) == 4


def test_over_length_pairs_are_dropped() -> None:
    assert PAIRS.limited(3, "drop") == TokenizedPairs([[1, 2, 3], [1]], [[5, 6], []])
    assert PAIRS.limited(5, "drop") == PAIRS


def test_over_length_pairs_are_truncated() -> None:
    limited = PAIRS.limited(3, "truncate")
    assert limited == TokenizedPairs([[1, 2, 3], [1, 2], [1, 2, 3], [1]], [[5, 6], [5, 6, 7], [5], []])
    assert limited.over_length(3) == [False] * 4


def test_another_segmentation_stands_in_for_one_that_is_over_length() -> None:
    other = TokenizedPairs([[9], [8], [7], [6]], [[1], [2], [3], [4]])
    assert PAIRS.unless_over_length(3, other) == TokenizedPairs([[1, 2, 3], [8], [7], [1]], [[5, 6], [2], [3], []])
    assert PAIRS.unless_over_length(5, other) == PAIRS


@pytest.mark.parametrize("how", ["drop", "truncate"])
def test_nothing_is_over_length_after_limiting(how: str) -> None:
    for limit in range(6):
        assert not any(PAIRS.limited(limit, how).over_length(limit))
