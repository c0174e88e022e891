"""What the report finds in sentences, with known answers."""

from __future__ import annotations

from collections import Counter

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from seq2seq.report.sentences import Sentence, by_length, by_rarity, causes, extremes, repeats, sentences_of


def sentence(source: str, reference: str, translation: str) -> Sentence:
    (only,) = sentences_of([source], [reference], [translation])
    return only


@pytest.mark.parametrize(
    ("source", "reference", "translation", "expected"),
    [
        ("der Hund", "the dog", "the dog", []),
        ("der Hund", "the dog", " ", ["empty"]),
        (" ", "the dog", "", []),
        ("der Hund", "the dog", "the the dog", ["repeated"]),
        ("der Hund", "the very very big dog", "the very very big dog", []),
        ("der Hund", "a b c d e f g h", "a man in a a man in a", ["repeated"]),
        ("der Hund", "a b c d e f g", "a b c d x a b c d", ["repeated"]),
        ("der Hund", "so, so what", "so, so, so what", ["repeated"]),
        ("der Hund", "the dog sleeps", "... ... the dog", []),  # marks are no words
        ("der Hund", "the dog", "the samamamamans", ["repeated"]),
        ("der Hund", "the dog", "the 10000", []),
        ("der Hund", "the dog", "the Hund", ["copied"]),
        ("der Hund", "the Hund", "the Hund", []),
        ("der in Hund", "the dog", "in dog", []),  # too short a word to be sure
        ("der Hund 2024", "the dog", "the 2024", []),
        ("der Igel", "the hedgehog", "the dog", ["unknown word"]),
        ("der 1234 Hund", "the dog", "the dog", []),
        ("Der HUND", "the dog", "the dog", []),  # in lower case, it is known
        ("der Hund", "the dog", "the <unk>", ["unknown word"]),
        ("der Hund", "a b c d e", "a b", ["too short"]),
        ("der Hund", "a b c d", "a b", []),
        ("der Hund", "a b", "a b c d e", ["too long"]),
        ("der Hund", "a b", "a b c d", []),
        ("der Hund", "", "a b c d", []),
    ],
)
def test_causes_by_hand(source: str, reference: str, translation: str, expected: list[str]) -> None:
    given = sentence(source, reference, translation)
    assert [cause.name for cause in causes({"der", "hund", "Hund", "in"}) if cause.applies(given)] == expected


def test_without_training_text_no_word_is_unknown_but_the_one_so_written() -> None:
    (cause,) = [cause for cause in causes(None) if cause.name == "unknown word"]
    assert not cause.applies(sentence("der Igel", "a", "b"))
    assert cause.applies(sentence("der Igel", "a", "<unk>"))
    assert "training" not in cause.meaning


def test_repeats_by_hand() -> None:
    assert repeats(list("abab")) == {("a", "b"): 1}
    assert repeats(list("abcdeabcd")) == {("a", "b", "c", "d"): 1}
    assert repeats(list("abca")) == {}
    assert repeats(list("aaa")) == {("a",): 2}
    assert repeats([]) == {}


def test_chrf_of_a_sentence_is_sacrebleus() -> None:
    found = sentences_of(["x", "y", "z"], ["the dog", "", "a cat"], ["the dogs", "b", ""])
    assert [one.number for one in found] == [1, 2, 3]
    assert found[0].chrf == pytest.approx(CHRF().sentence_score("the dogs", ["the dog"]).score)
    assert found[1].chrf is None
    assert found[2].chrf == 0


def test_buckets_of_length_have_the_bleu_of_their_sentences() -> None:
    short = [("a b", f"the dog number {i} sleeps well", "the dog number 2 sleeps") for i in range(12)]
    long = [("a " * 51, "one two three four five", "one two three four")]
    blank = [("a", " ", "x"), (" ", "the dog", "")]
    texts = [*short, *long, *blank]
    first, last = by_length([sentence(*text) for text in texts], "en", bootstrap=50)
    assert (first.name, first.number, last.name, last.number) == ("1–5", 12, "51+", 1)
    refs, hyps = [ref for _, ref, _ in short], [hyp for *_, hyp in short]
    assert first.score == pytest.approx(BLEU().corpus_score(hyps, [refs]).score)
    assert first.interval is not None
    assert first.interval[0] <= first.score <= first.interval[1]
    assert last.interval is None  # of one sentence


@pytest.mark.parametrize(("number", "name"), [(1, "1–5"), (5, "1–5"), (6, "6–10"), (50, "31–50"), (51, "51+")])
def test_bounds_of_the_buckets_of_length(number: int, name: str) -> None:
    assert [bucket.name for bucket in by_length([sentence("a " * number, "b", "b")], "", 0)] == [name]


def test_words_by_rarity_by_hand() -> None:
    """ "dog" (seen once): 1 of 2 translated is right and 1 of 1 expected, so F1 is 2·1/(2 + 1)."""
    seen = Counter({"the": 1000, "dog": 1, "cat": 3})
    pairs = [
        sentence("x", "the dog", "the dog"),
        sentence("x", "the cat", "the dog hat"),
        sentence("x", "zebra", ""),
    ]
    found = {bucket.name: (bucket.number, bucket.score) for bucket in by_rarity(pairs, seen)}
    assert found == {
        "0": (1, 0),
        "1": (1, pytest.approx(200 / 3)),
        "2–4": (1, 0),
        "1,000+": (2, 100),
    }


def test_a_word_is_right_in_its_own_sentence_only() -> None:
    pairs = [sentence("x", "dog dog", "dog"), sentence("x", "cat", "dog")]
    (bucket,) = by_rarity(pairs, Counter({"dog": 1, "cat": 1}))
    assert (bucket.number, bucket.score) == (3, pytest.approx(200 * 1 / 5))


def test_extremes_are_ordered_and_do_not_overlap() -> None:
    refs = ["a b c", "a b", "x y", "", "long one here"]
    hyps = ["a b c", "a b", "q", "q", "q"]
    worst, best = extremes(sentences_of(["s"] * 5, refs, hyps), 2)
    assert [one.number for one in worst] == [5, 3]  # of equal ones, the longest first
    assert [one.number for one in best] == [1, 2]
    worst, best = extremes(sentences_of(["s"] * 5, refs, hyps), 3)
    assert [one.number for one in worst + best] == [5, 3, 1, 2]
    assert extremes(sentences_of(["s"], [""], ["x"]), 3) == ([], [])
