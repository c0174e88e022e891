"""The lexicon: IBM model 1 against plain loops and a known answer, what is kept of it, what bounds it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import alignments
from seq2seq.data.alignments import NULL, count_lexicon, ibm_model_1
from seq2seq.data.batch import TokenizedPairs

ROW = st.lists(st.integers(4, 8), max_size=4)
PAIRS = st.lists(st.tuples(ROW, ROW), min_size=1, max_size=6)
DAS, HAUS, BUCH, EIN = range(4, 8)
THE, HOUSE, BOOK, A = range(4, 8)
KNOWN = TokenizedPairs.of([[DAS, HAUS], [DAS, BUCH], [EIN, BUCH]], [[THE, HOUSE], [THE, BOOK], [A, BOOK]])


def by_loops(pairs: TokenizedPairs, iterations: int) -> dict[tuple[int, int], float]:
    """The algorithm as it is usually printed (Koehn, 2010, figure 4.3), with NULL."""
    t: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        count: dict[tuple[int, int], float] = defaultdict(float)
        total: dict[int, float] = defaultdict(float)
        for src, tgt in zip(pairs.src.tolist(), pairs.tgt.tolist(), strict=True):
            for e in tgt:
                norm = sum(t[f, e] for f in [NULL, *src])
                for f in [NULL, *src]:
                    count[f, e] += t[f, e] / norm
                    total[f] += t[f, e] / norm
        t = defaultdict(float, {(f, e): value / total[f] for (f, e), value in count.items()})
    return t


@given(PAIRS, st.integers(1, 4))
def test_ibm_model_1_is_the_loops(rows: list[tuple[list[int], list[int]]], iterations: int) -> None:
    pairs = TokenizedPairs.of([src for src, _ in rows], [tgt for _, tgt in rows])
    found = ibm_model_1(pairs, 9, iterations)
    table = {(int(s), int(t)): float(p) for s, t, p in zip(*found, strict=True)}
    assert table == pytest.approx(by_loops(pairs, iterations))


def test_the_house() -> None:
    lexicon = count_lexicon(KNOWN, 8, 8)
    best = lexicon.best(1, 3).flatten().tolist()
    assert best == [3, 3, 3, 3, THE, HOUSE, BOOK, A]
    assert lexicon.frequent.tolist() == [THE, BOOK, HOUSE, A]  # those as frequent in the order of their numbers


def test_a_piece_of_the_table_has_its_translations_likeliest_first() -> None:
    found = ibm_model_1(KNOWN, 8)
    table = count_lexicon(KNOWN, 8, 8).best(3, -1)
    for piece in (DAS, HAUS, BUCH, EIN):
        mine = found.src == piece
        order = found.probability[mine].argsort(descending=True, stable=True)
        listed = [target for target in table[piece].tolist() if target >= 0]
        assert listed == found.tgt[mine][order][: len(listed)].tolist()


def test_only_likely_translations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignments, "LEAST_PROBABILITY", 0.3)
    found, lexicon = ibm_model_1(KNOWN, 8), count_lexicon(KNOWN, 8, 8)
    kept = (found.probability >= 0.3) & (found.src != NULL)
    assert 0 < kept.sum() < len(found.src)
    assert lexicon.lengths.tolist() == found.src[kept].bincount(minlength=8).tolist()
    monkeypatch.setattr(alignments, "MOST_TARGETS", 1)
    assert count_lexicon(KNOWN, 8, 8).lengths.max() == 1


def test_long_sentences_and_large_corpora_are_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignments, "LONGEST", 2)
    longer = TokenizedPairs.of(*([[*row, 8] for row in side.tolist()] for side in KNOWN))
    assert all(map(torch.equal, count_lexicon(longer, 9, 9), count_lexicon(KNOWN, 9, 9)))
    monkeypatch.setattr(alignments, "MOST_LINKS", 17)  # of 18
    half = KNOWN.take(np.array([0, 2]))
    assert all(map(torch.equal, count_lexicon(KNOWN, 9, 9), count_lexicon(half, 9, 9)))
