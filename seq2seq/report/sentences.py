"""The sentences of a test set: what may be wrong with each, and how well kinds of them are translated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from seq2seq.evaluation.metrics import corpus_bleu, sentence_chrf
from seq2seq.report.words import words

LENGTHS = (1, 6, 11, 16, 21, 31, 51)
"""Source words from which on a sentence is in the next bucket."""
COUNTS = (0, 1, 2, 5, 10, 100, 1000)
"""Occurrences in the training text from which on a word is in the next bucket."""
ENOUGH = 10  # sentences of a bucket: an interval from fewer says nothing
UNKNOWN = "<unk>"
STUTTER = re.compile(r"([^\W\d]{1,8}?)\1{3}")  # the same letters four times in a row


@dataclass(frozen=True)
class Sentence:
    """A line of the test set and its translation.

    Attributes:
        number: the line, from 1.
        chrf: of the translation; None if the reference is blank.
    """

    number: int
    source: str
    reference: str
    translation: str
    chrf: float | None

    @cached_property
    def src(self) -> list[str]:
        """The source's words."""
        return words(self.source)

    @cached_property
    def ref(self) -> list[str]:
        """The reference's words."""
        return words(self.reference)

    @cached_property
    def hyp(self) -> list[str]:
        """The translation's words."""
        return words(self.translation)


def sentences_of(src: Sequence[str], ref: Sequence[str], hyp: Sequence[str]) -> list[Sentence]:
    """Each line with its chrF."""
    scores = sentence_chrf(hyp, ref)
    return [
        Sentence(i, source, reference, translation, chrf if reference.strip() else None)
        for i, (source, reference, translation, chrf) in enumerate(zip(src, ref, hyp, scores, strict=True), 1)
    ]


class Cause(NamedTuple):
    """Something that may be why a translation is bad."""

    name: str
    meaning: str
    applies: Callable[[Sentence], bool]


def causes(known: Collection[str] | None) -> list[Cause]:
    """All of them; ``known`` has the source words of the training text, if it is there."""
    return [
        Cause(
            "empty",
            "The translation has no word, though the source has some.",
            lambda s: bool(s.src and not s.hyp),
        ),
        Cause(
            "repeated",
            "Four words come again, or one to three words twice in a row, or in a word some letters four times "
            "in a row; more often than in the reference.",
            lambda s: bool(repeats(s.hyp) - repeats(s.ref)),
        ),
        Cause(
            "copied",
            "A word of four letters or more is in the source and in the translation, but not in the reference.",
            lambda s: any(len(word) > 3 and word.isalpha() for word in {*s.src} & {*s.hyp} - {*s.ref}),
        ),
        Cause(
            "unknown word",
            f"The translation has {UNKNOWN}."
            if known is None
            else f"A word of the source is nowhere in the training text, or the translation has {UNKNOWN}.",
            lambda s: UNKNOWN in s.translation or not all(_is_known(word, known) for word in s.src),
        ),
        Cause(
            "too short",
            "The translation has fewer than half as many words as the reference.",
            lambda s: 0 < 2 * len(s.hyp) < len(s.ref),
        ),
        Cause(
            "too long",
            "The translation has more than twice as many words as the reference.",
            lambda s: len(s.hyp) > 2 * len(s.ref) > 0,
        ),
    ]


def repeats(spoken: Sequence[str]) -> Counter[tuple[str, ...]]:
    """How often one to three words follow themselves at once, four words come again, or letters in a word do."""
    found = Counter(
        tuple(spoken[i : i + n])
        for n in (1, 2, 3)
        for i in range(len(spoken) - 2 * n + 1)
        if spoken[i : i + n] == spoken[i + n : i + 2 * n]
    )
    fours = Counter(zip(*(spoken[i:] for i in range(4)), strict=False))
    stuttered = Counter((match[1],) for word in spoken if (match := STUTTER.search(word)))
    return found + stuttered + Counter({four: count - 1 for four, count in fours.items()})


def _is_known(word: str, known: Collection[str] | None) -> bool:
    """Words without letters, such as numbers, always are; so is the first word of a sentence in lower case."""
    return known is None or word in known or word.lower() in known or not any(map(str.isalpha, word))


class Bucket(NamedTuple):
    """Some sentences, or some words, and how well they are translated."""

    name: str
    number: int
    score: float
    interval: tuple[float, float] | None = None  # 95%


def by_length(sentences: Iterable[Sentence], tgt_language: str, bootstrap: int) -> list[Bucket]:
    """BLEU of the sentences of similar numbers of source words; those with a blank side are left out."""
    members: list[list[Sentence]] = [[] for _ in LENGTHS]
    for sentence in sentences:
        if sentence.src and sentence.chrf is not None:
            members[_place(len(sentence.src), LENGTHS)].append(sentence)
    found = []
    for name, some in zip(_names(LENGTHS), members, strict=True):
        if some:
            hyp, ref = [sentence.translation for sentence in some], [sentence.reference for sentence in some]
            bleu = corpus_bleu(hyp, ref, tgt_language, bootstrap if len(some) >= ENOUGH else 0)
            found.append(Bucket(name, len(some), bleu.value, bleu.interval))
    return found


def by_rarity(sentences: Iterable[Sentence], seen: Counter[str]) -> list[Bucket]:
    """F1 (in %) of the target words that the training text has similarly often; ``number`` counts the references'.

    A word is right as often as it is both in the translation and in the reference of a sentence.
    """
    right, translated, expected = ([0] * len(COUNTS) for _ in range(3))
    for sentence in sentences:
        hyp, ref = Counter(sentence.hyp), Counter(sentence.ref)
        for totals, some in ((right, hyp & ref), (translated, hyp), (expected, ref)):
            for word, number in some.items():
                totals[_place(seen[word], COUNTS)] += number
    rows = zip(_names(COUNTS), expected, translated, right, strict=True)
    return [Bucket(name, ref, 200 * both / (hyp + ref)) for name, ref, hyp, both in rows if ref]


def _place(number: int, starts: Sequence[int]) -> int:
    return sum(number >= start for start in starts) - 1


def _names(starts: Sequence[int]) -> list[str]:
    """Of the buckets: "1–5", "2", "51+"."""
    names = [f"{first:,}" if end == first + 1 else f"{first:,}–{end - 1:,}" for first, end in pairwise(starts)]
    return [*names, f"{starts[-1]:,}+"]


def extremes(sentences: Iterable[Sentence], number: int) -> tuple[list[Sentence], list[Sentence]]:
    """The ``number`` sentences with the lowest chrF, and those of the others with the highest.

    Of equal ones, the longest come first. Those without a reference are in neither.
    """
    scored = [sentence for sentence in sentences if sentence.chrf is not None]
    worst = sorted(scored, key=lambda s: (s.chrf, -len(s.ref)))[:number]
    best = sorted(scored, key=lambda s: (-(s.chrf or 0), -len(s.ref)))
    taken = {sentence.number for sentence in worst}
    return worst, [sentence for sentence in best if sentence.number not in taken][:number]
