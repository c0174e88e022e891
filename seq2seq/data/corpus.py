"""Parallel text: read strictly, checked and cleaned pair by pair; every dropped pair is counted."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seq2seq.errors import DataError
from seq2seq.tables import table

GROWTH = 200  # most times that a .gz may expand beyond 64 MB: text expands 4 or 5 times, a bomb 1,000 times
LONGEST_LINE = 4 * 2**20  # bytes, or characters: no sentence has as many, and tokenizing takes 50 times the memory
SIGNATURES = {
    b"\xff\xfe\0\0": "UTF-32 text; iconv -f utf-32 -t utf-8 converts it",
    b"\xff\xfe": "UTF-16 text; iconv -f utf-16 -t utf-8 converts it",
    b"\xfe\xff": "UTF-16 text; iconv -f utf-16 -t utf-8 converts it",
    b"\x1f\x8b": "compressed by gzip; decompress it, or give it a name that ends in .gz",
    **dict.fromkeys((b"BZh91AY&SY", b"\xfd7zXZ", b"PK\3\4", b"(\xb5/\xfd"), "compressed; decompress it first"),
}
"""First bytes of files that are not UTF-8 text → what they are, and the remedy."""


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

    def keep(self, flags: Sequence[bool]) -> ParallelText:
        """The pairs whose flag is set."""
        return ParallelText(*(list(compress(part, flags)) for part in self))  # type: ignore[arg-type]


def raw_lines(path: Path) -> list[bytes]:
    r"""The lines of a file, plain or ``.gz``, split on "\n" alone.

    Raises:
        DataError: the file is missing, unreadable, empty, no text, larger than memory or, as a ``.gz``, out of all
            proportion; or a line is longer than ``LONGEST_LINE``.
    """
    if path.is_char_device() or path.is_block_device():
        raise DataError(f"{path}: a device, not a text file; check the path")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = _split(path, file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the data.* paths") from None
    except MemoryError:
        raise DataError(f"{path}: memory ran out while reading it; a corpus has to fit into memory") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read ({error})") from error
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise line_too_long(path, number)
    return lines


def _split(path: Path, file: BinaryIO | gzip.GzipFile) -> list[bytes]:
    """The lines of an open file, no further than a line that is too long."""
    most = max(64 * 2**20, GROWTH * path.stat().st_size) if path.suffix == ".gz" else math.inf
    blocks: list[bytes] = []
    size = 0
    while block := file.read(LONGEST_LINE + 1):
        if not blocks:
            _check_is_text(path, block)
        blocks.append(block)
        size += len(block)
        if size > most:
            raise DataError(
                f"{path}: grows to over {most:,} bytes, more than {GROWTH} times its size, which no text does; "
                "if it is text all the same, decompress it first"
            )
        if len(block) > LONGEST_LINE and b"\n" not in block:
            break
    if not blocks:
        raise DataError(f"{path}: the file is empty; it needs at least one sentence")
    return b"".join(blocks).removesuffix(b"\n").split(b"\n")


def _check_is_text(path: Path, start: bytes) -> None:
    """Raise ``DataError`` if a file with these first bytes is known to be something else than UTF-8 text."""
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise DataError(f"{path}: {what}")
    even, odd = any(start[:64:2]), any(start[1:64:2])
    if len(start) >= 4 and even != odd:  # every second byte is 0: Latin letters without a byte order mark
        order = "le" if even else "be"
        raise DataError(f"{path}: UTF-16 text; iconv -f utf-16{order} -t utf-8 converts it")


def line_too_long(name: object, number: int) -> DataError:
    """What to raise for a line over ``LONGEST_LINE``."""
    return DataError(f"{name}:{number}: a line of over {LONGEST_LINE:,} bytes; put a sentence on each line")


def read_lines(path: Path) -> list[str]:
    r"""The lines of a UTF-8 file, plain or ``.gz``, split on "\n" alone.

    A byte order mark at the start and a "\r" before a line's end are removed, and nothing else.

    Raises:
        DataError: as ``raw_lines``; or a line is not UTF-8 (with ``path:line``).
    """
    lines = raw_lines(path)
    lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
    return [_decode(line, path, number) for number, line in enumerate(lines, 1)]


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise DataError(
            f"{path}:{number}: not UTF-8 (byte 0x{byte:02x} at column {error.start + 1}); "
            f"if the file is Latin-1: iconv -f latin1 -t utf-8"
        ) from None


def read_parallel(src: Path, tgt: Path) -> ParallelText:
    """Two files with one sentence a line; line i of one is the translation of line i of the other.

    Raises:
        DataError: as ``read_lines``; or the files have unequal numbers of lines.
    """
    src_lines, tgt_lines = read_lines(src), read_lines(tgt)
    if len(src_lines) != len(tgt_lines):
        raise DataError(
            f"{src} has {len(src_lines):,} lines and {tgt} has {len(tgt_lines):,}: "
            "parallel files need the same number of lines"
        )
    return ParallelText(src_lines, tgt_lines, list(range(1, len(src_lines) + 1)))


def read_tsv(path: Path) -> ParallelText:
    """One file, source and target separated by a tab on each line; further columns are ignored.

    Raises:
        DataError: as ``read_lines``; or a line has no tab (with ``path:line``).
    """
    columns = [line.split("\t") for line in read_lines(path)]
    for number, fields in enumerate(columns, 1):
        if len(fields) < 2:
            raise DataError(f"{path}:{number}: no tab; a line is source, tab, target")
    src, tgt = [fields[0] for fields in columns], [fields[1] for fields in columns]
    return ParallelText(src, tgt, list(range(1, len(columns) + 1)))


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

    @property
    def used(self) -> int:
        """Pairs that are left."""
        return self.read - self.empty_side - self.over_length * self.over_length_dropped


def clean(name: str, text: ParallelText, train: ParallelText | None = None) -> tuple[ParallelText, SplitReport]:
    """Drop the pairs with an empty side; count these, duplicates and, given ``train``, pairs in it too."""
    kept = text.keep([bool(src.strip() and tgt.strip()) for src, tgt in text.pairs()])
    if not kept:
        raise DataError(f"{name}: none of the {len(text):,} pairs has text on both sides; nothing is left")
    pairs = kept.pairs()
    in_train = 0
    if train is not None:
        known = set(train.pairs())
        in_train = sum(pair in known for pair in pairs)
    report = SplitReport(name, len(text), len(text) - len(kept), len(pairs) - len(set(pairs)), in_train)
    return kept, report


def report_table(reports: Sequence[SplitReport]) -> str:
    """The reports of all splits as a table, for the log."""
    rows = [["split", "pairs read", "empty side", "over length", "used", "duplicates", "also in train"]]
    for report in reports:
        read, empty, over = report.read, report.empty_side, report.over_length
        counts = read, empty, over, report.used, report.duplicates, report.in_train
        rows.append([report.name, *(f"{count:,}" for count in counts)])
    return "\n".join(table(rows, ">"))
