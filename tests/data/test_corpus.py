"""Parallel text: what is a line, what is refused, what is dropped, and that all of it is counted."""

import bz2
import gzip
import lzma
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seq2seq.data import corpus, lines
from seq2seq.data.corpus import ParallelText, SplitReport, clean, is_in, read_parallel, report_table, stream
from seq2seq.errors import DataError

BOM = b"\xef\xbb\xbf"


def packed(name: str, data: bytes) -> bytes:
    if name.endswith(".zst"):
        return zstandard.compress(data)
    return gzip.compress(data) if name.endswith(".gz") else data


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(packed(path.name, data))
    return path


def read_lines(path: Path) -> list[str]:
    text = read_parallel(path, path)
    assert text.src == text.tgt
    return text.src


def text_of(*pairs: tuple[str, str]) -> ParallelText:
    return ParallelText([src for src, _ in pairs], [tgt for _, tgt in pairs], list(range(1, len(pairs) + 1)))


def one_line(raised: pytest.ExceptionInfo[DataError]) -> str:
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),  # no final newline
        (b"a\n\n", ["a", ""]),
        (b"\n", [""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\n", ["a\r"]),
        (b"a\rb\n", ["a\rb"]),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n".encode(), ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"]),
        (b"a\0b\n", ["a\0b"]),
        (BOM + b"a\nb\n", ["a", "b"]),
        (b"a\n" + BOM + b"b\n", ["a", "\ufeffb"]),  # only at the start is it a mark
        (b"  a\t \n", ["  a\t "]),
    ],
)
def test_lines_end_at_newline_alone(tmp_path: Path, data: bytes, lines: list[str]) -> None:
    assert read_lines(write(tmp_path / "plain", data)) == lines
    assert read_lines(write(tmp_path / "packed.gz", data)) == lines
    assert read_lines(write(tmp_path / "packed.zst", data)) == lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1))
def test_reads_back_what_was_written(tmp_path: Path, lines: list[str]) -> None:
    path = write(tmp_path / "file", "".join(f"{line}\n" for line in lines).encode())
    expected = [line.removesuffix("\r") for line in lines]
    assert read_lines(path) == [expected[0].removeprefix("\ufeff"), *expected[1:]]


@pytest.mark.parametrize("name", ["file", "file.gz", "file.zst"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"")
    with pytest.raises(DataError) as raised:
        read_lines(path)
    assert one_line(raised) == f"{path}: the file is empty; it needs at least one sentence"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_lines(tmp_path / "train.de")
    assert one_line(raised) == f"{tmp_path / 'train.de'}: no such file; check the data.* paths"


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_lines(tmp_path)
    assert one_line(raised).startswith(f"{tmp_path}: can't be read (")


@pytest.mark.parametrize("name", ["bomb.gz", "bomb.zst"])
def test_a_file_made_to_fill_the_memory_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"a\n" * (40 * 2**20))
    with pytest.raises(DataError, match=rf"{name}: grows to over 67,108,864 bytes, more than 200 times its size"):
        read_lines(path)


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("file.gz", b"plain text"),
        ("file.gz", gzip.compress(b"a\n" * 1000, mtime=0)[:20]),  # cut short
        ("file.gz", gzip.compress(b"a\nb\n", mtime=0)[:10] + b"\xff" * 20),  # not deflate
        ("file.zst", b"plain text"),
        ("file.zst", zstandard.compress(b"a\n" * 1000)[:-1]),
        ("file.zst", zstandard.compress(b"a\n") + zstandard.compress(b"b\n")[:-4]),  # the second frame cut short
        ("file.zst", zstandard.compress(b"a\nb\n") + b"more"),
    ],
)
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, name: str, damaged: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(damaged)
    with pytest.raises(DataError) as raised:
        read_lines(path)
    assert one_line(raised).startswith(f"{path}: can't be read (")


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="needs a device")
def test_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (Path("/dev/zero"), tmp_path / "link"):
        with pytest.raises(DataError) as raised:
            read_lines(path)
        assert one_line(raised) == f"{path}: a device, not a text file; check the path"


def test_a_huge_file_without_lines_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "nul"
    path.touch()
    os.truncate(path, 2**36)  # a hole, which takes no room
    with pytest.raises(DataError, match=r"nul:1: a line of over 4,194,304 bytes; put a sentence on each line$"):
        read_lines(path)


@pytest.mark.parametrize("name", ["file", "file.gz", "file.zst"])
def test_the_line_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 8)
    longest = ["12345678", "", "123", "87654321"]
    assert read_lines(write(tmp_path / name, "\n".join(longest).encode())) == longest
    for number in range(1, 5):
        longer = [line + "9" * (9 - len(line)) if i == number else line for i, line in enumerate(longest, 1)]
        with pytest.raises(DataError, match=rf"{name}:{number}: a line of over 8 bytes"):
            read_lines(write(tmp_path / name, "\n".join(longer).encode()))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xfe" + "Straße\n".encode("utf-16-le"), "UTF-16 text; iconv -f utf-16 -t utf-8 converts it"),
        ("\ufeffStraße\n".encode("utf-16-be"), "UTF-16 text; iconv -f utf-16 -t utf-8 converts it"),
        ("Straße\n".encode("utf-16-le"), "UTF-16 text; iconv -f utf-16le -t utf-8 converts it"),
        ("Straße\n".encode("utf-16-be"), "UTF-16 text; iconv -f utf-16be -t utf-8 converts it"),
        ("Straße\n".encode("utf-32"), "UTF-32 text; iconv -f utf-32 -t utf-8 converts it"),
        (gzip.compress(b"a\n"), "compressed by gzip; decompress it, or give it a name that ends in .gz"),
        (zstandard.compress(b"a\n"), "compressed by zstd; decompress it, or give it a name that ends in .zst"),
        (bz2.compress(b"a\n"), "compressed; decompress it first"),
        (lzma.compress(b"a\n"), "compressed; decompress it first"),
    ],
    ids=[
        "utf-16",
        "big-endian",
        "without a mark",
        "big-endian without a mark",
        "utf-32",
        "gzip",
        "zstd",
        "bzip2",
        "xz",
    ],
)
def test_what_is_not_utf_8_is_named_with_the_remedy(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "train.de"
    path.write_bytes(data)
    with pytest.raises(DataError) as raised:
        read_lines(path)
    assert one_line(raised) == f"{path}: {what}"


@pytest.mark.parametrize("read", [read_parallel, lines.raw_lines])
def test_a_corpus_larger_than_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def full(path: Path) -> Iterator[list[bytes]]:
        yield [b"a\tb"]
        raise MemoryError

    monkeypatch.setattr(lines, "_split", full)
    with pytest.raises(DataError) as raised:
        read(tmp_path / "valid.de")
    assert (
        one_line(raised) == f"{tmp_path}/valid.de: memory ran out while reading it; only data.train may be larger"
    )


def test_the_frames_of_a_zst_follow_one_another(tmp_path: Path) -> None:
    path = tmp_path / "file.zst"
    path.write_bytes(b"".join(zstandard.compress(part) for part in (b"a\nb", b"", b"c\n", b"d" * 10_000)))
    assert read_lines(path) == ["a", "bc", "d" * 10_000]


def test_the_extra_for_zst_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "train.de.zst", b"a\n")
    for module in ("compression", "compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError) as raised:
        read_lines(path)
    said = f"{path}: reading .zst needs a library: pip install 'seq2seq-nmt[zst]', or decompress it"
    assert one_line(raised) == said


def test_latin_1_is_refused_with_the_line_and_the_cure(tmp_path: Path) -> None:
    path = write(tmp_path / "train.de", b"ein Haus\n" + "eine Straße\n".encode("latin-1"))
    with pytest.raises(DataError) as raised:
        read_lines(path)
    message = one_line(raised)
    assert message.startswith(f"{path}:2: not UTF-8 (byte 0xdf at column 10)")
    assert "iconv -f latin1 -t utf-8" in message


def test_unequal_files_name_both_paths_and_both_counts(tmp_path: Path) -> None:
    src = write(tmp_path / "train.de", b"a\n" * 1234)
    tgt = write(tmp_path / "train.en.gz", b"b\n" * 1230)
    with pytest.raises(DataError) as raised:
        read_parallel(src, tgt)
    message = one_line(raised)
    assert f"{src} has 1,234 lines" in message
    assert f"{tgt} has 1,230" in message
    assert "the same number of lines" in message


def test_parallel_files_are_paired_line_by_line(tmp_path: Path) -> None:
    src = write(tmp_path / "train.de", b"eins\nzwei\n")
    tgt = write(tmp_path / "train.en.gz", b"one\r\ntwo")
    text = read_parallel(src, tgt)
    assert text.pairs() == [("eins", "one"), ("zwei", "two")]
    assert text.line_numbers == [1, 2]


@pytest.mark.parametrize("name", ["train.tsv", "train.tsv.gz"])
def test_tsv(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "eins\tone\nzwei\ttwo\tby Ann\n\u2028\t\n".encode())
    text = read_parallel(path)
    assert text.pairs() == [("eins", "one"), ("zwei", "two"), ("\u2028", "")]
    assert text.line_numbers == [1, 2, 3]


def test_a_tsv_line_without_a_tab_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", b"eins\tone\nzwei two\n")
    with pytest.raises(DataError) as raised:
        read_parallel(path)
    assert one_line(raised) == f"{path}:2: no tab; a line is source, tab, target"


NO_TRAIN = np.zeros(1, np.uint64)


def test_a_pair_with_an_empty_side_is_dropped_as_a_pair() -> None:
    text = text_of(("a", "A"), ("", "B"), ("c", "C"), ("d", " \t"), ("e", "E"), ("", ""))
    kept, report = clean("valid", text, NO_TRAIN)
    assert kept.pairs() == [("a", "A"), ("c", "C"), ("e", "E")]
    assert kept.line_numbers == [1, 3, 5]
    assert report == SplitReport("valid", read=6, empty_side=3, duplicates=0, in_train=0)


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(["", " ", "a", "b"]), st.sampled_from(["", "A", "B"])), min_size=1),
    train=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ABC")), min_size=1),
)
def test_cleaning_keeps_the_alignment_and_counts(
    pairs: list[tuple[str, str]], train: list[tuple[str, str]]
) -> None:
    numbered = [(i, src, tgt) for i, (src, tgt) in enumerate(pairs, 1) if src.strip() and tgt.strip()]
    known = np.sort(text_of(*train).hashes())
    if not numbered:
        with pytest.raises(DataError, match="nothing is left"):
            clean("valid", text_of(*pairs), known)
        return
    kept, report = clean("valid", text_of(*pairs), known)
    assert list(zip(kept.line_numbers, kept.src, kept.tgt, strict=True)) == numbered
    seen: list[tuple[str, str]] = []
    again = 0
    for _, *pair in numbered:
        again += tuple(pair) in seen
        seen.append((pair[0], pair[1]))
    in_train = sum(pair in train for pair in seen)
    assert report == SplitReport("valid", len(pairs), len(pairs) - len(numbered), again, in_train)


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9), min_size=1))
def test_membership_among_ordered_numbers(numbers: list[int], others: list[int]) -> None:
    found = is_in(np.array(numbers, np.uint64), np.sort(np.array(others, np.uint64)))
    assert found.tolist() == [number in others for number in numbers]


def test_a_pair_is_hashed_with_its_border() -> None:
    hashes = text_of(("ab", "c"), ("a", "bc"), ("ab", "c"), ("abc", "")).hashes().tolist()
    assert hashes[0] == hashes[2]
    assert len({*hashes}) == 3


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError) as raised:
        clean("valid", text_of(("", "A"), ("b", "")), NO_TRAIN)
    assert one_line(raised) == "valid: none of the 2 pairs has text on both sides; nothing is left"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_stream_in_pieces_is_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    src = write(tmp_path / "a", BOM + b"a\nb\r\n\nd")
    tgt = write(tmp_path / "b", b"A\n\n" + BOM + b"C\nD\n")
    monkeypatch.setattr(corpus, "CHUNK", size)
    pieces = list(stream([src, tgt]))
    assert max(map(len, pieces)) <= size
    whole = [pair for piece in pieces for pair in zip(piece.line_numbers, *piece[:2], strict=True)]
    assert whole == [(1, "a", "A"), (2, "b", ""), (3, "", "\ufeffC"), (4, "d", "D")]
    with pytest.raises(DataError, match=r"has 4 lines and .* has 2"):
        list(stream([src, write(tmp_path / "c", b"A\nB\n")]))
    write(tmp_path / "d", b"a\tb\na\tb\na\n")
    with pytest.raises(DataError, match=r"d:3: no tab"):
        list(stream([tmp_path / "d"]))
    write(tmp_path / "e", b"a\nb\n\xff\nd\n")
    with pytest.raises(DataError, match=r"e:3: not UTF-8"):
        list(stream([src, tmp_path / "e"]))


def test_report_table() -> None:
    table = report_table(
        [
            SplitReport("train", 29000, 12, 7, 0, over_length=30),
            SplitReport("valid", 1014, 1, 2, 3, over_length=4, over_length_dropped=False),
        ]
    )
    head, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.split("\n")]
    assert head == ["split", "pairs read", "empty side", "over length", "used", "duplicates", "also in train"]
    assert rows == [
        ["train", "29,000", "12", "30", "28,958", "7", "0"],
        ["valid", "1,014", "1", "4", "1,013", "2", "3"],  # truncated pairs are used
    ]
    assert len({len(line) for line in table.split("\n")}) == 1


def test_the_table_tells_how_often_pairs_are_repeated() -> None:
    table = report_table(
        [
            SplitReport("a", 10, 0, 0, 0, times=2.5),
            SplitReport("b", 100, 0, 0, 0, times=1),
            SplitReport("valid", 4, 0, 0, 0),
        ]
    )
    assert [line.split("  ")[-1].strip() for line in table.split("\n")] == [
        "in an epoch",
        "25 (× 2.50)",
        "100 (× 1.00)",
        "0",
    ]
