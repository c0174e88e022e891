"""Words of lines, and the differences of two lines."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seq2seq.report.differences import marked
from seq2seq.report.words import counted, units, words

TEXTS = st.text(st.sampled_from("ab éあ漢ह ,.!<'-\t"), max_size=30)


def test_words_are_without_the_marks_around_them() -> None:
    assert words("Don't go, it's 3.5 (well-known)!") == ["Don't", "go", "it's", "3.5", "well-known"]
    assert words("他去了 Tokyo。") == ["他", "去", "了", "Tokyo"]
    assert words("हिन्दी में") == ["हिन्दी", "में"]
    assert words(" … – ") == []


@given(TEXTS)
def test_units_spell_the_line(line: str) -> None:
    spelled = "".join(" " * unit.spaced + unit.text for unit in units(line))
    assert spelled.strip() == " ".join(line.split())


@given(st.lists(TEXTS))
def test_words_are_counted_as_they_are_split(lines: list[str]) -> None:
    assert counted(lines) == Counter(word for line in lines for word in words(line))


def test_differences_by_hand() -> None:
    assert marked("The cat sleeps.", "The dog sleeps.") == [
        ("same", "The"),
        ("del", " cat"),
        ("ins", " dog"),
        ("same", " sleeps."),
    ]
    assert marked("The cat", "A cat") == [("del", "The"), ("ins", " A"), ("same", " cat")]
    assert marked("a b", "a b") == [("same", "a b")]
    assert marked("a", "") == [("del", "a")]
    assert marked("", "") == []


@given(TEXTS, TEXTS)
def test_differences_spell_both_lines(reference: str, hypothesis: str) -> None:
    parts = marked(reference, hypothesis)
    ours = "".join(text for kind, text in parts if kind != "del")
    theirs = "".join(text for kind, text in parts if kind != "ins")
    assert ours.strip() == " ".join(hypothesis.split())
    assert "".join(theirs.split()) == "".join(reference.split())
    assert not parts or not parts[0][1].startswith(" ")
