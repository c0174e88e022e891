"""Oddities in a corpus: lines that no text should have, pairs that do not look like translations.

Nothing here changes a corpus. A ``Finding`` counts one kind of oddity, and says what training does with it.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from statistics import median
from typing import NamedTuple

from seq2seq.data.lines import BOM

LINE_SEPARATORS = "\u0085\u2028\u2029"
STOPS = "stops with an error"
SHOWN = 5  # line numbers, or characters, of each finding


class Finding(NamedTuple):
    """One kind of oddity in a split."""

    what: str
    total: int
    lines: list[int]  # the first of them, from 1
    training: str  # what training does with these lines
    stops: bool = False  # whether it stops with an error


def finding(what: str, lines: Iterable[int], training: str, stops: bool = False) -> Finding:
    """The finding ``what``, from the numbers, counted from 1, of the ``lines`` that have it."""
    numbers = list(lines)
    return Finding(what, len(numbers), numbers[:SHOWN], training, stops)


def named(characters: Iterable[str]) -> str:
    """The first of the ``characters``, as they are or, if they can't be seen, as U+NNNN."""
    ordered = sorted(characters)
    shown = [char if char.isprintable() and not char.isspace() else f"U+{ord(char):04X}" for char in ordered]
    return " ".join(shown[:SHOWN]) + (" …" if len(shown) > SHOWN else "")


# --- one side --------------------------------------------------------------------------------------------


def examine_bytes(lines: Sequence[bytes]) -> list[Finding]:
    """Oddities in the bytes of a file's lines, before they are decoded."""
    return [
        finding("not UTF-8", _numbers(lines, lambda line: not is_utf8(line)), STOPS, stops=True),
        finding("byte order mark", _numbers(lines[:1], lambda line: line.startswith(BOM)), "removed"),
        finding("ends in \\r\\n", _numbers(lines, lambda line: line.endswith(b"\r")), "\\r removed"),
        finding("NUL", _numbers(lines, lambda line: b"\0" in line), "kept as a character"),
    ]


def is_utf8(line: bytes) -> bool:
    """Whether the line is valid UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def examine_text(lines: Sequence[str]) -> list[Finding]:
    """Oddities in the lines of one language."""
    usual = usual_script(lines)
    return [
        finding("nothing but space", _numbers(lines, lambda line: not line.strip()), "drops the pair"),
        finding("control characters", _numbers(lines, has_control), "kept as characters"),
        finding("U+0085, U+2028, U+2029", _numbers(lines, has_separator), "kept; no line ends there"),
        finding(
            f"not in {usual.title()} script", _numbers(lines, lambda line: script(line) not in (usual, "")), "kept"
        ),
    ]


def has_control(line: str) -> bool:
    """Whether the line has control characters, apart from tabs, NUL and U+0085."""
    return any(unicodedata.category(char) == "Cc" for char in set(line) - set("\t\0\u0085"))


def has_separator(line: str) -> bool:
    """Whether the line has a character at which other tools end a line."""
    return any(char in line for char in LINE_SEPARATORS)


@lru_cache(maxsize=2**16)
def _script(char: str) -> str:
    """The first word of a letter's Unicode name, which is its script; "" for anything but a letter."""
    if not char.isalpha():
        return ""
    return unicodedata.name(char, "unnamed").split()[0]


def script(line: str) -> str:
    """The script that most letters of a line are in; "" without letters."""
    counts = Counter(filter(None, map(_script, line)))
    return counts.most_common(1)[0][0] if counts else ""


def usual_script(lines: Sequence[str]) -> str:
    """The script of most lines."""
    counts = Counter(filter(None, map(script, lines)))
    return counts.most_common(1)[0][0] if counts else "no"


def _numbers(lines: Sequence[str] | Sequence[bytes], odd: Callable[..., bool]) -> Iterator[int]:
    return (number for number, line in enumerate(lines, 1) if odd(line))


# --- pairs -----------------------------------------------------------------------------------------------


def examine_pairs(src: Sequence[str], tgt: Sequence[str]) -> list[Finding]:
    """Oddities in the pairs of a split."""
    pairs = list(zip(src, tgt, strict=False))
    seen: set[tuple[str, str]] = set()
    repeated = [number for number, pair in enumerate(pairs, 1) if pair in seen or seen.add(pair)]  # type: ignore[func-returns-value]
    copies = (number for number, (one, other) in enumerate(pairs, 1) if one.strip() and one == other)
    return [
        finding("source = target", copies, "kept"),
        finding("duplicate in this split", repeated, "kept"),
        finding("one side far too long for the other", length_outliers(src, tgt), "kept"),
    ]


FAR = math.log(3)


def length_ratio(one: str, other: str) -> float:
    """Log of the ratio of two lengths in characters; 10 are added to each, since short lines say little."""
    return math.log((len(one) + 10) / (len(other) + 10))


def length_outliers(src: Sequence[str], tgt: Sequence[str]) -> list[int]:
    """Lines whose length ratio is three times as large, or as small, as the usual one."""
    ratios = [length_ratio(*pair) for pair in zip(src, tgt, strict=False)]
    usual = median(ratios) if ratios else 0.0
    blank = {number for number, pair in enumerate(zip(src, tgt, strict=False), 1) if not all(map(str.strip, pair))}
    return [n for n, ratio in enumerate(ratios, 1) if abs(ratio - usual) > FAR and n not in blank]


def shared_with(train: Iterable[tuple[str, str]], pairs: Iterable[tuple[str, str]]) -> Finding:
    """Pairs of another split that are in the training split too."""
    known = set(train)
    return finding(
        "in train too", (n for n, pair in enumerate(pairs, 1) if pair in known), "kept; raises the scores"
    )


class Misalignment(NamedTuple):
    """A stretch of lines whose translations are ``shift`` lines further down (or up, if negative)."""

    first: int  # approximate line numbers of the source
    last: int
    shift: int
    gain: float  # by how much the lengths fit better, in nats


def misalignments(
    src: Sequence[str], tgt: Sequence[str], most: int = 3, least_gain: float = 50.0, least_mean: float = 0.25
) -> list[Misalignment]:
    """The stretch, if there is one, where translations are up to ``most`` lines off.

    A translation is about as long as its source: log length ratios are taken as normal, as in Gale and Church
    (1993). For each shift, the stretch is the one where the shift explains the lengths best, compared with no
    shift: the subarray with the largest sum of differences of log-likelihoods. It counts if it gains
    ``least_gain`` in all and ``least_mean`` a line, which noise does not.
    """
    ratios = [length_ratio(*pair) for pair in zip(src, tgt, strict=False)]
    if len(ratios) < 20:
        return []
    centre = median(ratios)
    spread = 1.4826 * median(abs(ratio - centre) for ratio in ratios) + 1e-3  # a normal's standard deviation
    stretches = []
    for shift in [*range(-most, 0), *range(1, most + 1)]:
        gains = [_gain(src, tgt, i, shift, centre, spread) for i in range(len(ratios))]
        gain, first, last = best_stretch(gains)
        stretches.append(Misalignment(first + 1, last, shift, gain))
    best = max(stretches, key=lambda stretch: stretch.gain)
    needed = max(least_gain, least_mean * (best.last - best.first))
    return [best] if best.gain > needed else []


def _gain(src: Sequence[str], tgt: Sequence[str], i: int, shift: int, centre: float, spread: float) -> float:
    """How much better line ``i`` fits the target line ``shift`` lines further down than its own."""
    if not 0 <= i + shift < len(tgt) or i >= len(tgt):
        return 0.0
    own, other = ((length_ratio(src[i], tgt[j]) - centre) / spread for j in (i, i + shift))
    return (min(own**2, 16.0) - min(other**2, 16.0)) / 2  # bounded: one odd pair must not decide alone


def best_stretch(gains: Sequence[float]) -> tuple[float, int, int]:
    """The largest sum of neighbours, and where it begins and ends (Kadane's algorithm)."""
    best, begin, end = 0.0, 0, 0
    total, start = 0.0, 0
    for i, gain in enumerate(gains):
        if total <= 0:
            total, start = 0.0, i
        total += gain
        if total > best:
            best, begin, end = total, start, i + 1
    return best, begin, end


# --- a cleaned copy --------------------------------------------------------------------------------------


def cleaned(src: Sequence[bytes], tgt: Sequence[bytes]) -> tuple[list[tuple[str, str]], int]:
    """The cleaned pairs, and how many were left out because a side is blank or not UTF-8."""
    pairs = [(cleaned_line(one), cleaned_line(other)) for one, other in zip(src, tgt, strict=False)]
    kept = [(one, other) for one, other in pairs if one and other]
    return kept, max(len(src), len(tgt)) - len(kept)


def cleaned_line(line: bytes) -> str:
    """The line without byte order mark, control characters and separators; "" if it is not UTF-8."""
    if not is_utf8(line):
        return ""
    text = line.removeprefix(BOM).decode("utf-8")
    odd = {char for char in text if unicodedata.category(char) == "Cc"} | set(LINE_SEPARATORS)
    return " ".join(text.translate(dict.fromkeys(map(ord, odd), " ")).split()) if odd & set(text) else text.strip()
