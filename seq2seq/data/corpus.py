"""Parallel text: read in step, checked and cleaned pair by pair; every dropped pair is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2seq.data.lines import decoded_chunks, in_memory
from seq2seq.errors import DataError
from seq2seq.storage.rows import Integers
from seq2seq.tables import table

CHUNK = 2**14  # pairs that are read, cleaned and tokenized together


class ParallelText(NamedTuple):
    """Sentence pairs and where they come from."""

    src: list[str]
    tgt: list[str]
    line_numbers: list[int]  # of each pair in its file, from 1

    def __len__(self) -> int:
        return len(self.src)

    def pairs(self) -> list[tuple[str, str]]:
        """(source, target) of each pair."""
        return list(zip(self.src, self.tgt, strict=True))

    def filled(self) -> ParallelText:
        """The pairs with text on both sides."""
        flags = [bool(src.strip() and tgt.strip()) for src, tgt in zip(self.src, self.tgt, strict=True)]
        if all(flags):
            return self
        return ParallelText(*(list(compress(part, flags)) for part in self))  # type: ignore[arg-type]

    def hashes(self) -> Integers:
        """(N,) uint64: a hash of each pair. Two of N different pairs have the same with probability N² / 2⁶⁵."""
        pairs = zip(self.src, self.tgt, strict=True)
        joined = b"".join(blake2b(f"{src}\n{tgt}".encode(), digest_size=8).digest() for src, tgt in pairs)
        return np.frombuffer(joined, dtype="<u8")


def stream(paths: Sequence[Path]) -> Iterator[ParallelText]:
    """The pairs of a source and a target file, or of one TSV, ``CHUNK`` at a time.

    Line i of one file is the translation of line i of the other. A line of a TSV is source, tab, target; further
    columns are ignored.

    Raises:
        DataError: as ``lines.blocks_of_lines``; a line is not UTF-8 or has no tab (with ``path:line``); or the
            files have unequal numbers of lines.
    """
    read = 0
    for src, tgt in _columns(*paths) if len(paths) == 1 else _in_step(*paths):
        yield ParallelText(src, tgt, list(range(read + 1, read + len(src) + 1)))
        read += len(src)


def _columns(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    read = 0
    for lines in decoded_chunks(path, CHUNK):
        fields = [line.split("\t", 2) for line in lines]
        for number, columns in enumerate(fields, read + 1):
            if len(columns) < 2:
                raise DataError(f"{path}:{number}: no tab; a line is source, tab, target")
        yield [columns[0] for columns in fields], [columns[1] for columns in fields]
        read += len(lines)


def _in_step(*paths: Path) -> Iterator[tuple[list[str], list[str]]]:
    sides = [decoded_chunks(path, CHUNK) for path in paths]
    read = 0
    for src, tgt in zip_longest(*sides, fillvalue=[]):
        if len(src) != len(tgt):
            counts = [
                read + len(chunk) + sum(map(len, side)) for chunk, side in zip((src, tgt), sides, strict=True)
            ]
            raise DataError(
                f"{paths[0]} has {counts[0]:,} lines and {paths[1]} has {counts[1]:,}: "
                "parallel files need the same number of lines"
            )
        yield src, tgt
        read += len(src)


def read_parallel(*paths: Path) -> ParallelText:
    """All pairs of a source and a target file, or of one TSV.

    Raises:
        DataError: as ``stream``; or they are larger than memory.
    """
    text = ParallelText([], [], [])
    with in_memory(paths[0]):
        for chunk in stream(paths):
            for whole, part in zip(text, chunk, strict=True):
                whole += part  # type: ignore[operator]
    return text


@dataclass
class SplitReport:
    """Counts of the pairs of a split: read, dropped, kept."""

    name: str
    read: int
    empty_side: int  # dropped
    duplicates: int  # kept: pairs that occur before in the same split
    in_train: int  # kept: pairs that are in the training split too
    over_length: int = 0
    over_length_dropped: bool = True  # else truncated
    times: float | None = None  # that an epoch of training has each pair, in the mean

    @property
    def used(self) -> int:
        """Pairs that are left."""
        return self.read - self.empty_side - self.over_length * self.over_length_dropped


def clean(name: str, text: ParallelText, train_hashes: Integers) -> tuple[ParallelText, SplitReport]:
    """Drop the pairs with an empty side; count these, duplicates and pairs that are in the training split too.

    ``train_hashes`` are those of the training split, sorted.
    """
    kept = text.filled()
    if not kept:
        raise nothing_left(name, len(text))
    hashes = kept.hashes()
    duplicates, in_train = num_repeated(np.sort(hashes)), int(is_in(hashes, train_hashes).sum())
    return kept, SplitReport(name, len(text), len(text) - len(kept), duplicates, in_train)


def nothing_left(name: str, read: int) -> DataError:
    """What to raise if cleaning drops all of the pairs that were read."""
    return DataError(f"{name}: none of the {read:,} pairs has text on both sides; nothing is left")


def num_repeated(ordered: Integers) -> int:
    """How many of the ``ordered`` numbers occur before."""
    return int((ordered[1:] == ordered[:-1]).sum())


def is_in(numbers: Integers, ordered: Integers) -> NDArray[np.bool_]:
    """For each of the ``numbers``, whether it is among the ``ordered`` ones, of which few are read."""
    after = np.searchsorted(ordered, numbers, side="right")
    found: NDArray[np.bool_] = ordered[after - 1] == numbers  # of one below all of them, the last: another
    return found


def report_table(reports: Sequence[SplitReport]) -> str:
    """The reports of all splits as a table, for the log."""
    return "\n".join(table(report_rows(reports), ">"))


def report_rows(reports: Sequence[SplitReport]) -> list[list[str]]:
    """The headings of that table, then its rows."""
    rows = [["split", "pairs read", "empty side", "over length", "used", "duplicates", "also in train"]]
    for report in reports:
        read, empty, over = report.read, report.empty_side, report.over_length
        counts = read, empty, over, report.used, report.duplicates, report.in_train
        rows.append([report.name, *(f"{count:,}" for count in counts)])
    if any(report.times not in (None, 1) for report in reports):
        rows = [[*row, said] for row, said in zip(rows, ["in an epoch", *map(_repeated, reports)], strict=True)]
    return rows


def _repeated(report: SplitReport) -> str:
    """How many pairs an epoch has of those used, and how often it repeats each."""
    return "" if report.times is None else f"{round(report.used * report.times):,} (× {report.times:.2f})"
