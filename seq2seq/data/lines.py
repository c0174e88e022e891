"""The lines of text files, plain or compressed, read block by block and strictly checked."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from seq2seq.errors import DataError

GROWTH = 200  # most times that a file may expand beyond 64 MB: text expands 4 or 5 times, a bomb 1,000 times
LONGEST_LINE = 4 * 2**20  # bytes, or characters: no sentence has as many, and tokenizing takes 50 times the memory
COMPRESSED = (".gz", ".zst")
BOM = b"\xef\xbb\xbf"
SIGNATURES = {
    b"\xff\xfe\0\0": "UTF-32 text; iconv -f utf-32 -t utf-8 converts it",
    b"\xff\xfe": "UTF-16 text; iconv -f utf-16 -t utf-8 converts it",
    b"\xfe\xff": "UTF-16 text; iconv -f utf-16 -t utf-8 converts it",
    b"\x1f\x8b": "compressed by gzip; decompress it, or give it a name that ends in .gz",
    b"(\xb5/\xfd": "compressed by zstd; decompress it, or give it a name that ends in .zst",
    **dict.fromkeys((b"BZh91AY&SY", b"\xfd7zXZ", b"PK\3\4"), "compressed; decompress it first"),
}
"""First bytes of files that are not UTF-8 text → what they are, and the remedy."""


def blocks_of_lines(path: Path) -> Iterator[list[bytes]]:
    r"""The lines of a file, plain, ``.gz`` or ``.zst``, split on "\n" alone, some megabytes at a time.

    Raises:
        DataError: the file is missing, unreadable, empty, no text or, compressed, out of all proportion; a line is
            longer than ``LONGEST_LINE``; or the library for ``.zst`` is missing.
    """
    if path.is_char_device() or path.is_block_device():
        raise DataError(f"{path}: a device, not a text file; check the path")
    try:
        yield from _split(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the data.* paths") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read ({error})") from error


def _split(path: Path) -> Iterator[list[bytes]]:
    most = max(64 * 2**20, GROWTH * path.stat().st_size) if path.suffix in COMPRESSED else math.inf
    size, number = 0, 0  # bytes and whole lines so far
    rest = b""  # the beginning of a line
    for block in _blocks(path):
        if not size:
            _check_is_text(path, block)
        if (size := size + len(block)) > most:
            raise DataError(
                f"{path}: grows to over {most:,} bytes, more than {GROWTH} times its size, which no text does; "
                "if it is text all the same, decompress it first"
            )
        *lines, rest = (rest + block).split(b"\n")
        _check_length(path, number, [*lines, rest])
        number += len(lines)
        yield lines
    if not size:
        raise DataError(f"{path}: the file is empty; it needs at least one sentence")
    if rest:
        yield [rest]


def _blocks(path: Path) -> Iterator[bytes]:
    """What the file holds, decompressed."""
    if path.suffix == ".zst":
        with path.open("rb") as file:
            yield from _decompressed(path, file)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while block := file.read(LONGEST_LINE + 1):
            yield block


def _decompressed(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The content of a ``.zst``, frame after frame."""
    new, damaged = _zstd(path)
    frame, begun = new(), False
    while block := file.read(2**12):  # 4 kB may expand to a hundred megabytes
        while block:
            try:
                content: bytes = frame.decompress(block)
            except damaged as error:
                raise EOFError(error) from error
            if content:
                yield content
            begun, block = not frame.eof, frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = new()
    if begun:
        raise EOFError("it ends in the middle of a frame")


def _zstd(path: Path) -> tuple[Callable[[], Any], type[Exception]]:
    """What decompresses a frame of Zstandard, and its error: Python's own from 3.14 on, or the library's."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        return zstd.ZstdDecompressor, zstd.ZstdError
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        raise DataError(
            f"{path}: reading .zst needs a library: pip install 'seq2seq-nmt[zst]', or decompress it"
        ) from None
    return lambda: zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj(), zstandard.ZstdError


def _check_is_text(path: Path, start: bytes) -> None:
    """Raise ``DataError`` if a file with these first bytes is known to be something else than UTF-8 text."""
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise DataError(f"{path}: {what}")
    even, odd = any(start[:64:2]), any(start[1:64:2])
    if len(start) >= 4 and even != odd:  # every second byte is 0: Latin letters without a byte order mark
        order = "le" if even else "be"
        raise DataError(f"{path}: UTF-16 text; iconv -f utf-16{order} -t utf-8 converts it")


def _check_length(path: Path, before: int, lines: list[bytes]) -> None:
    if max(map(len, lines)) > LONGEST_LINE:
        longest = next(number for number, line in enumerate(lines, before + 1) if len(line) > LONGEST_LINE)
        raise line_too_long(path, longest)


def line_too_long(name: object, number: int) -> DataError:
    """What to raise for a line over ``LONGEST_LINE``."""
    return DataError(f"{name}:{number}: a line of over {LONGEST_LINE:,} bytes; put a sentence on each line")


def raw_lines(path: Path) -> list[bytes]:
    """All lines of a file.

    Raises:
        DataError: as ``blocks_of_lines``; or they are larger than memory.
    """
    with in_memory(path):
        return list(chain.from_iterable(blocks_of_lines(path)))


@contextmanager
def in_memory(path: Path) -> Iterator[None]:
    """In the block a file is read into memory: if it is larger, an error says so."""
    try:
        yield
    except MemoryError:
        raise DataError(f"{path}: memory ran out while reading it; only data.train may be larger") from None


def decoded_chunks(path: Path, size: int) -> Iterator[list[str]]:
    r"""The lines of a UTF-8 file, ``size`` at a time.

    A byte order mark at the start and a "\r" before a line's end are removed, and nothing else.

    Raises:
        DataError: as ``blocks_of_lines``; or a line is not UTF-8 (with ``path:line``).
    """
    lines = chain.from_iterable(blocks_of_lines(path))
    read = 0
    while chunk := list(islice(lines, size)):
        if not read:
            chunk[0] = chunk[0].removeprefix(BOM)
        yield _decoded(chunk, path, read)
        read += len(chunk)


def _decoded(lines: list[bytes], path: Path, before: int) -> list[str]:
    """``lines``, which come after the first ``before`` of the file."""
    try:
        text = b"\n".join(lines).decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8(lines, path, before) from None
    texts = text.split("\n")
    return [line.removesuffix("\r") for line in texts] if "\r" in text else texts


def _not_utf8(lines: list[bytes], path: Path, before: int) -> DataError:
    """What to raise if one of ``lines`` is not UTF-8."""
    for number, line in enumerate(lines, before + 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = line[error.start]
            return DataError(
                f"{path}:{number}: not UTF-8 (byte 0x{byte:02x} at column {error.start + 1}); "
                f"if the file is Latin-1: iconv -f latin1 -t utf-8"
            )
    raise AssertionError("a line feed ends no character")
