"""Words of a line, as reports count and compare them: the same in every language, and whatever the tokenizer."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and Han
CHUNK = re.compile(rf"(\s*)([{UNSPACED}]|[^\s{UNSPACED}]+)")


class Unit(NamedTuple):
    """A word or a mark."""

    text: str
    spaced: bool  # whether a space is before it, as before the first of a line
    is_word: bool


class TrainingWords(NamedTuple):
    """How often the training text has each word, and where they were counted."""

    src: Counter[str]
    tgt: Counter[str]
    counted: str


def units(line: str) -> list[Unit]:
    """The words and the marks (punctuation, symbols) of a line.

    Words are what is between spaces, without marks at either end; Chinese and Japanese characters are words of
    their own: "Don't go, 行く." has "Don't", "go", ",", "行", "く", ".".
    """
    found = []
    for match in CHUNK.finditer(line):
        chunk, spaced = match[2], bool(match[1]) or match.start() == 0
        parts = _peeled(chunk)
        found += [Unit(part, spaced and i == 0, not _is_mark(part[0])) for i, part in enumerate(parts)]
    return found


def words(line: str) -> list[str]:
    """The words of a line, without its marks."""
    return [unit.text for unit in units(line) if unit.is_word]


def counted(lines: Iterable[str]) -> Counter[str]:
    """How often ``lines`` have each word."""
    counts: Counter[str] = Counter()
    for chunk, number in Counter(chunk for line in lines for chunk in line.split()).items():
        for word in words(chunk):
            counts[word] += number
    return counts


def _peeled(chunk: str) -> list[str]:
    start, end = 0, len(chunk)
    while start < end and _is_mark(chunk[start]):
        start += 1
    while start < end and _is_mark(chunk[end - 1]):
        end -= 1
    return [*chunk[:start], *filter(None, [chunk[start:end]]), *chunk[end:]]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
