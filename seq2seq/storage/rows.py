"""Rows of numbers of different lengths, in two arrays: in memory, or in memory-mapped files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

READ = 2**12  # rows: far apart, each maps 64 kB of its file into memory
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows."""

    values: Integers  # those of row 0, then those of row 1, …
    starts: Integers  # (N + 1,) the place of each row's first value, and the number of all values

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], dtype: DTypeLike = np.int64) -> Rows:
        """The same ``rows`` in arrays."""
        starts = starts_of(np.fromiter(map(len, rows), np.int64, len(rows)))
        return cls(np.fromiter(chain.from_iterable(rows), dtype, int(starts[-1])), starts)

    @classmethod
    def open(cls, directory: Path, name: str) -> Rows:
        """The rows that ``written_rows`` wrote, memory-mapped.

        Raises:
            ValueError: they do not fit together.
            OSError: a file can't be read.
        """
        rows = cls(open_array(directory / f"{name}.npy"), open_array(directory / f"{name}.starts.npy"))
        if rows.starts[0] != 0 or rows.starts[-1] != len(rows.values):
            raise ValueError(f"{name}: {len(rows.values):,} values for rows that end at {rows.starts[-1]:,}")
        return rows

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, indices: Integers) -> Integers:
        """Of the rows with these indices."""
        return np.concatenate([self.starts[part + 1] - self.starts[part] for part in self._parts(indices)])

    def tolist(self) -> list[list[int]]:
        """All rows as lists."""
        return [self[i] for i in range(len(self))]

    def all_lengths(self) -> Integers:
        """Of all rows."""
        return np.diff(self.starts)

    def __getitem__(self, i: int) -> list[int]:
        values: list[int] = self.values[self.starts[i] : self.starts[i + 1]].tolist()
        return values

    def take(self, indices: Integers, most: int | None = None) -> Rows:
        """The rows with these indices, in memory; of each, the first ``most`` values if that is given."""
        lengths = np.minimum(self.lengths(indices), 2**62 if most is None else most)
        taken, end = [], 0
        for part in self._parts(indices):
            begin, end = end, end + len(part)
            starts = starts_of(lengths[begin:end])
            places = np.repeat(self.starts[part] - starts[:-1], lengths[begin:end]) + np.arange(starts[-1])
            taken.append(self.values[places])
        return Rows(np.concatenate(taken), starts_of(lengths))

    def _parts(self, indices: Integers) -> Iterator[Integers]:
        """The indices, ``READ`` at a time; what was read of mapped files for them is released after each part."""
        for part in np.array_split(indices, len(indices) // READ + 1):
            yield part
            self.release()

    def followed_by(self, other: Rows) -> Rows:
        """These rows, then those of ``other``."""
        starts = np.concatenate([self.starts, other.starts[1:] + self.starts[-1]])
        return Rows(np.concatenate([self.values, other.values]), starts)

    def release(self) -> None:
        """Give the pages of mapped files that were read back to the system: else they count as this process's."""
        for array in (self.values, self.starts):
            if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                array.base.madvise(mmap.MADV_DONTNEED)


def starts_of(lengths: Integers) -> NDArray[np.int64]:
    """Where rows of these ``lengths`` start, and where the last ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def open_array(path: Path) -> Integers:
    """The array of whole numbers in a file, memory-mapped.

    Raises:
        ValueError: the file holds something else.
        OSError: it can't be read.
    """
    try:
        array: Integers = npy.open_memmap(path, mode="r")  # nothing in it is unpickled
    except ValueError as error:
        raise ValueError(f"{path}: not an array ({' '.join(str(error).split())})") from None
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"{path}: not a row of whole numbers")
    return array


class ArrayWriter:
    """A one-dimensional array in the format NPY, written piece by piece."""

    def __init__(self, file: BinaryIO, dtype: DTypeLike) -> None:
        self._file, self._dtype, self._count = file, np.dtype(dtype), 0
        self._write_header()
        self._start = file.tell()

    def _write_header(self) -> None:
        descr = npy.dtype_to_descr(self._dtype)
        npy.write_array_header_1_0(self._file, {"descr": descr, "fortran_order": False, "shape": (self._count,)})

    def append(self, values: Integers) -> None:
        """Write ``values`` after those before."""
        self._file.write(values.astype(self._dtype, copy=False).data)
        self._count += len(values)

    def finish(self) -> None:
        """Write how many there are."""
        self._file.seek(0)
        self._write_header()
        assert self._file.tell() == self._start, "NPY leaves room for the largest number"


@contextmanager
def written_array(path: Path, dtype: DTypeLike) -> Iterator[ArrayWriter]:
    """A new file for an array, whole when the block ends."""
    with path.open("wb") as file:
        writer = ArrayWriter(file, dtype)
        yield writer
        writer.finish()


class RowsWriter(NamedTuple):
    """Rows, written some at a time."""

    values: ArrayWriter
    starts: ArrayWriter
    ends: list[int]  # of all so far, as its only entry

    def append(self, rows: Rows) -> None:
        """Write ``rows`` after those before."""
        self.values.append(rows.values)
        self.starts.append(rows.starts[1:] + self.ends[0])
        self.ends[0] += len(rows.values)


@contextmanager
def written_rows(directory: Path, name: str, dtype: DTypeLike) -> Iterator[RowsWriter]:
    """New files for rows, whole when the block ends."""
    with (
        written_array(directory / f"{name}.npy", dtype) as values,
        written_array(directory / f"{name}.starts.npy", np.int64) as starts,
    ):
        starts.append(np.zeros(1, np.int64))
        yield RowsWriter(values, starts, [0])
