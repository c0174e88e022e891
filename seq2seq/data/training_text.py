"""The text of the training split, cleaned, in memory-mapped files: read once, however large it is."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.data.corpus import SplitReport, nothing_left, num_repeated, stream
from seq2seq.data.windows import permuted
from seq2seq.errors import DataError
from seq2seq.storage.cache import opened_or_built, read_contents, write_contents
from seq2seq.storage.rows import ArrayWriter, Integers, Rows, RowsWriter, open_array, written_array, written_rows

logger = logging.getLogger(__name__)

FORMAT = "1"  # of these files
AT_REST = 2 * 10**9  # nanoseconds: a file changed so shortly before it is read might change again unnoticed
SLOW = 5.0  # seconds of reading from which on the log says so

Files = Sequence[Path]
"""A source and a target file, or one TSV."""


@dataclass(frozen=True, eq=False)
class TrainingText:
    """N pairs with text on both sides, of one corpus after the other."""

    directory: Path
    key: str  # a hash of all text as it was read
    digests: list[dict[str, str]]  # of each corpus: the SHA-256 of both sides as they were read
    reports: list[SplitReport]  # of each corpus and, if there are several, of all together
    src: Rows  # UTF-8 and a line feed
    tgt: Rows
    numbers: Integers  # (N,) of each pair, its line in its files
    hashes: Integers  # (N,) of all pairs, sorted
    names: list[str]  # of the corpora
    sizes: list[int]  # pairs of each corpus

    def __len__(self) -> int:
        return len(self.src)

    def lines(self, side: str, first: int, last: int) -> list[str]:
        """One side of the pairs from ``first`` to before ``last``."""
        rows: Rows = getattr(self, side)
        return _texts(rows.values[rows.starts[first] : rows.starts[last]])

    def sides(self, indices: Integers) -> tuple[list[str], list[str]]:
        """Both sides of the pairs with these indices."""
        return _texts(self.src.take(indices).values), _texts(self.tgt.take(indices).values)

    def sample(self, size: int) -> tuple[list[str], list[str]]:
        """Both sides of all pairs or, of more than ``size``, of so many drawn at random, in their order."""
        if len(self) <= size:
            return self.lines("src", 0, len(self)), self.lines("tgt", 0, len(self))
        return self.sides(np.sort(permuted(np.arange(size), len(self), seed=0)))

    def places(self, indices: Integers) -> list[int] | list[str]:
        """Where these pairs are: their lines, sorted; with the corpus if there are several."""
        if len(self.names) == 1:
            return sorted(self.numbers[indices].tolist())
        corpora = np.searchsorted(np.cumsum(self.sizes), indices, side="right").tolist()
        numbers = self.numbers[indices].tolist()
        return [f"{self.names[corpus]}:{number}" for corpus, number in sorted(zip(corpora, numbers, strict=True))]

    def release(self) -> None:
        """Give what was read of the files back to the system."""
        self.src.release()
        self.tgt.release()


def training_text(cache: Path, corpora: Sequence[Files], verify: bool = False) -> TrainingText:
    """The training split, opened if ``cache`` has it and none of its files has changed, else read.

    The files are known by their sizes and times of change; with ``verify`` they are read all the same.

    Raises:
        DataError: a file is missing or malformed, or no pair is left.
    """
    paths = [[str(path.absolute()) for path in files] for files in corpora]
    name = hashlib.sha256(json.dumps(paths).encode()).hexdigest()[:16]
    return opened_or_built(
        cache / f"text-{name}", partial(_opened, corpora=corpora, verify=verify), partial(_read, corpora=corpora)
    )


def _opened(directory: Path, fresh: bool, corpora: Sequence[Files], verify: bool = False) -> TrainingText | None:
    """The text in ``directory``; None unless it is whole and, if not ``fresh``, known to be that of the files."""
    if not directory.is_dir():
        return None
    try:
        contents = read_contents(directory, verify=False)
        known = contents["format"] == FORMAT and contents["stats"] == [*map(_stats, corpora)] and not verify
        if not known and not fresh:
            return None
        return _text(directory, contents)
    except (DataError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s; the corpus is read again", error)
        return None


def reopened(directory: Path, key: str) -> TrainingText:
    """The text in ``directory``, for another process of the one that opened it.

    Raises:
        DataError: it has been replaced by another.
    """
    contents = json.loads((directory / "contents.json").read_text(encoding="utf-8"))
    if contents["key"] != key:
        raise DataError(f"{directory}: another text by now")
    return _text(directory, contents)


def _text(directory: Path, contents: dict[str, Any]) -> TrainingText:
    return TrainingText(
        directory,
        contents["key"],
        contents["digests"],
        [SplitReport(**report) for report in contents["reports"]],
        Rows.open(directory, "src"),
        Rows.open(directory, "tgt"),
        open_array(directory / "numbers.npy"),
        open_array(directory / "hashes.npy"),
        contents["names"],
        contents["sizes"],
    )


def _stats(files: Files) -> list[list[int]]:
    """What changes with the content of a file, if it is one."""
    stats = [path.stat() for path in files if path.is_file()]
    return [[stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for stat in stats]


def _read(directory: Path, corpora: Sequence[Files]) -> None:
    """Read and clean the files, and write them and all counts into ``directory``."""
    started, now = time.monotonic(), time.time_ns()
    before = [_stats(files) for files in corpora]
    reports, digests = [], []
    with (
        written_rows(directory, "src", np.uint8) as src,
        written_rows(directory, "tgt", np.uint8) as tgt,
        written_array(directory / "numbers.npy", np.int64) as numbers,
        written_array(directory / "hashes.npy", np.uint64) as hashes,
    ):
        for name, files in zip(_names(corpora), corpora, strict=True):
            report, digest = _read_corpus(name, files, src, tgt, numbers, hashes)
            reports.append(report)
            digests.append(digest)
    sizes = [report.used for report in reports]
    _count_duplicates(directory / "hashes.npy", reports, sizes)
    at_rest = all(path.is_file() for files in corpora for path in files)  # a pipe may give other text next time
    at_rest = at_rest and all(max(times) < now - AT_REST for stats in before for _, *times in stats)
    write_contents(
        directory,
        {
            "format": FORMAT,
            "key": hashlib.sha256(json.dumps([FORMAT, digests]).encode()).hexdigest(),
            "digests": digests,
            "names": [report.name for report in reports[: len(sizes)]],
            "sizes": sizes,
            "stats": before if at_rest else None,
            "reports": [vars(report) for report in reports],
        },
    )
    if (seconds := time.monotonic() - started) > SLOW:
        logger.info("corpus: %s pairs read in %.0f s", f"{sum(report.read for report in reports):,}", seconds)


def _names(corpora: Sequence[Files]) -> list[str]:
    """Of the corpora, for the log: train or, if there are several, their first files."""
    return ["train"] if len(corpora) == 1 else [str(files[0]) for files in corpora]


def _read_corpus(
    name: str, files: Files, src: RowsWriter, tgt: RowsWriter, numbers: ArrayWriter, hashes: ArrayWriter
) -> tuple[SplitReport, dict[str, str]]:
    """Write the pairs of a corpus that have text on both sides; gives their counts and the hashes of all text."""
    read, used = 0, 0
    digests = {"src": hashlib.sha256(), "tgt": hashlib.sha256()}
    for text in stream(files):
        for digest, lines in zip(digests.values(), text[:2], strict=True):
            digest.update(_joined(lines))
        kept = text.filled()
        for writer, lines in ((src, kept.src), (tgt, kept.tgt)):
            writer.append(_rows(lines))
        numbers.append(np.array(kept.line_numbers))
        hashes.append(kept.hashes())
        read, used = read + len(text), used + len(kept)
    if not used:
        raise nothing_left(name, read)
    report = SplitReport(name, read, read - used, duplicates=0, in_train=0)
    return report, {side: digest.hexdigest() for side, digest in digests.items()}


def digest_of(lines: Sequence[str]) -> hashlib._Hash:
    """The SHA-256 of the lines, each with a line feed."""
    return hashlib.sha256(_joined(lines))


def _joined(lines: Sequence[str]) -> bytes:
    return "".join([f"{line}\n" for line in lines]).encode()


def _texts(values: Integers) -> list[str]:
    """The lines that ``_rows`` has these values of."""
    return values.tobytes().decode().split("\n")[:-1]


def _rows(lines: Sequence[str]) -> Rows:
    """A row of UTF-8 for each line, with its line feed."""
    values = np.frombuffer(_joined(lines), np.uint8)
    return Rows(values, np.concatenate([[0], np.flatnonzero(values == 10) + 1]))


def _count_duplicates(path: Path, reports: list[SplitReport], sizes: Sequence[int]) -> None:
    """Sort the hashes in the file ``path``; count those that occur before in each corpus, then in all together."""
    hashes: NDArray[Any] = np.load(path, mmap_mode="r+")
    for report, end, size in zip(reports, np.cumsum(sizes).tolist(), sizes, strict=True):
        part = hashes[end - size : end]
        part.sort()
        report.duplicates = num_repeated(part)
    if len(sizes) > 1:
        hashes.sort()
        read, empty = sum(report.read for report in reports), sum(report.empty_side for report in reports)
        reports.append(SplitReport("train", read, empty, num_repeated(hashes), in_train=0))
    hashes.flush()  # type: ignore[attr-defined]
