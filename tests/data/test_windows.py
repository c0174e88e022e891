"""Windows of a computed shuffle: a permutation, shared out; and how corpora are mixed."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import windows
from seq2seq.data.windows import Windows, drawn_of, permuted, stretches


@given(st.integers(1, 3000), st.integers(0, 2**63 - 1))
def test_a_permutation(size: int, seed: int) -> None:
    assert sorted(permuted(np.arange(size), size, seed).tolist()) == list(range(size))


def test_the_permutation_looks_random_and_depends_on_the_seed() -> None:
    size = 100_000
    one, other = (permuted(np.arange(size), size, seed) for seed in (1, 2))
    places = np.arange(size)
    for numbers in (one, other):
        assert abs(np.corrcoef(places, numbers)[0, 1]) < 0.015  # 5 standard deviations of a random order
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.015
        in_parts = np.bincount(numbers[: size // 10] * 100 // size, minlength=100)
        assert in_parts.min() > 50 < in_parts.max() < 150  # of 100 in each hundredth
    assert (one == other).sum() < 10
    assert permuted(np.array([5, 77]), size, 1).tolist() == one[[5, 77]].tolist()


@pytest.mark.parametrize(("pairs", "number"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3), (100, 13)])
def test_windows_share_out_all_pairs_evenly(monkeypatch: pytest.MonkeyPatch, pairs: int, number: int) -> None:
    monkeypatch.setattr(windows, "WINDOW", 8)
    shared = Windows([pairs], [pairs], seed=3)
    members = [shared.members(i).tolist() for i in range(len(shared))]
    assert len(members) == number
    assert max(map(len, members)) - min(map(len, members)) <= 1
    assert all(window == sorted(window) for window in members)
    assert sorted(chain.from_iterable(members)) == list(range(pairs))
    if number > 2:
        other = Windows([pairs], [pairs], seed=4)
        assert members != [other.members(i).tolist() for i in range(number)]


def test_sampled_windows_are_smaller_from_the_second_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW", 8)
    monkeypatch.setattr(windows, "SAMPLED_WINDOW", 3)
    assert [len(Windows([size], [size], 1, sampled=True)) for size in (8, 9, 10)] == [1, 3, 4]


def test_a_corpus_no_larger_than_a_window_stays_in_its_order() -> None:
    assert Windows([1000], [1000], seed=3).members(0).tolist() == list(range(1000))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30)), min_size=1, max_size=4), st.integers(1, 40))
def test_repeated_pairs_are_evenly_spread(corpora: list[tuple[int, int]], window: int) -> None:
    sizes, drawn = [size for size, _ in corpora], [size + more for size, more in corpora]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW", window)
        mixed = Windows(sizes, drawn, seed=1)
        counts = Counter(pair for i in range(len(mixed)) for pair in mixed.members(i).tolist())
    first = 0
    for size, number in zip(sizes, drawn, strict=True):
        times = [counts[pair] for pair in range(first, first + size)]
        assert sum(times) == number
        assert max(times) - min(times) <= 1
        first += size
    assert set(counts) == set(range(first))


@pytest.mark.parametrize(
    ("sizes", "weights", "temperature", "drawn"),
    [
        ([1000, 10], [], 1, [1000, 10]),
        ([1000, 10], [], 2, [1000, 100]),  # shares as 31.6 : 3.16
        ([1000, 10], [], 1e9, [1000, 1000]),
        ([1000, 10], [3, 1], 1, [1000, 333]),
        ([1000, 10], [1, 3], 1, [1000, 3000]),
        ([1000, 10], [1000, 1], 1, [10_000, 10]),  # of the other, every pair at least once
        ([7], [], 5, [7]),
        ([10**9, 3 * 10**9, 1], [], 1, [10**9, 3 * 10**9, 1]),
    ],
)
def test_shares_of_corpora(sizes: list[int], weights: list[float], temperature: float, drawn: list[int]) -> None:
    assert drawn_of(sizes, weights, temperature) == drawn


def test_stretches_cover_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW", 4)
    parts = [part.tolist() for part in stretches(3, 13)]
    assert list(chain.from_iterable(parts)) == list(range(3, 13))
    assert max(map(len, parts)) == 4
