"""The doctor on lines spoiled one way each, and its scan for misaligned stretches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import doctor
from seq2seq.data.checkup import Checkup
from seq2seq.data.doctor import Finding, best_stretch, misalignments


def named(findings: list[Finding]) -> dict[str, list[int]]:
    """The lines of each finding that occurs."""
    return {finding.what: finding.lines for finding in findings if finding.total}


def test_bytes() -> None:
    lines = [b"\xef\xbb\xbfa", b"b\r", b"caf\xe9", b"nul\0", b"fine", b"\xef\xbb\xbfnot at the start"]
    assert named(doctor.examine_bytes(lines)) == {
        "byte order mark": [1],
        "ends in \\r\\n": [2],
        "not UTF-8": [3],
        "NUL": [4],
    }


def test_text() -> None:
    lines = ["ein Hund", " \t", "", "bell\a", "next\u2028line", "Привет, мир", "12 €", "tab\tis fine", "naïve Ωhm"]
    assert named(doctor.examine_text(lines)) == {
        "nothing but space": [2, 3],
        "control characters": [4],
        "U+0085, U+2028, U+2029": [5],
        "not in Latin script": [6],
    }
    assert named(doctor.examine_text(["Привет", "мир", "hello"])) == {"not in Cyrillic script": [3]}
    assert named(doctor.examine_text(["犬が走る", "猫"])) == {}


def test_pairs() -> None:
    src = ["ein Hund", "gleich", "ein Hund", "", "kurz", *["ein Satz wie jeder andere auch"] * 2]
    tgt = ["a dog", "gleich", "a dog", "", "long " * 40, *["a sentence like any other, too"] * 2]
    assert named(doctor.examine_pairs(src, tgt)) == {
        "source = target": [2],
        "duplicate in this split": [3, 7],
        "one side far too long for the other": [5],
    }


def test_only_the_first_lines_are_shown_and_all_are_counted() -> None:
    (finding,) = [candidate for candidate in doctor.examine_text(["a", *[""] * 30]) if candidate.total]
    assert (finding.total, finding.lines) == (30, [2, 3, 4, 5, 6])


def test_overlap() -> None:
    train = [("a", "b"), ("c", "d")]
    assert doctor.shared_with(train, [("a", "d"), ("c", "d")]).lines == [2]


def test_cleaning_keeps_pairs_aligned() -> None:
    src = [b"\xef\xbb\xbfa", b"caf\xe9", b"c\0c\r", b" ", b"e\xe2\x80\xa8e", b"f", b"alone"]
    tgt = [b"A", b"B", b"C", b"D", b"E", b"  F\x07", b""]
    assert doctor.cleaned(src, tgt) == ([("a", "A"), ("c c", "C"), ("e e", "E"), ("f", "F")], 3)


def corpus(size: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Pairs whose lengths go together as those of translations do."""
    rng = random.Random(seed)
    src = ["x" * rng.randint(15, 150) for _ in range(size)]
    return src, ["y" * max(1, round(len(line) * rng.gauss(1.0, 0.15))) for line in src]


@pytest.mark.parametrize("place", [200, 500, 900])
@pytest.mark.parametrize("count", [1, 2])
def test_a_removed_line_is_found(place: int, count: int) -> None:
    src, tgt = corpus(1000)
    (stretch,) = misalignments(src, tgt[:place] + tgt[place + count :])
    assert stretch.shift == -count
    assert abs(stretch.first - place) < 20
    assert stretch.last > 980
    (stretch,) = misalignments(src[:place] + src[place + count :], tgt)
    assert stretch.shift == count
    assert abs(stretch.first - place) < 20


def test_a_stretch_between_two_removed_lines_is_found() -> None:
    src, tgt = corpus(1000)
    (stretch,) = misalignments(src[:700] + src[701:], tgt[:300] + tgt[301:])
    assert stretch.shift == -1
    assert abs(stretch.first - 300) < 20
    assert abs(stretch.last - 700) < 20


@pytest.mark.parametrize("seed", range(10))
def test_no_misalignment_is_found_in_an_aligned_corpus(seed: int) -> None:
    assert misalignments(*corpus(3000, seed)) == []
    assert misalignments(*corpus(5, seed)) == []
    src, _ = corpus(1000, seed)
    assert misalignments(src, corpus(1000, seed + 100)[1]) == []  # no translations at all
    assert misalignments(["same length"] * 500, ["same length"] * 499) == []


@given(st.lists(st.integers(-9, 9), max_size=30))
def test_best_stretch_is_the_best_of_all(gains: list[int]) -> None:
    sums = {(i, j): sum(gains[i:j]) for i in range(len(gains) + 1) for j in range(i, len(gains) + 1)}
    total, first, last = best_stretch(gains)
    assert total == max(sums.values())
    assert sums[first, last] == total


@pytest.mark.parametrize("stops", [True, False])
def test_whether_training_stops_does_not_depend_on_the_wording(stops: bool) -> None:
    finding = Finding("odd", 1, [3], "stops nothing, in spite of this word", stops)
    assert Checkup({"train": [finding]}, {}, {}).stops_training == stops
