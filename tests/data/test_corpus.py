"""Parallel text: what is a line, what is refused, what is dropped, and that all of it is counted."""

import bz2
import gzip
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seq2seq.data import corpus
from seq2seq.data.corpus import (
    ParallelText,
    SplitReport,
    clean,
    read_lines,
    read_parallel,
    read_tsv,
    report_table,
)
from seq2seq.errors import DataError

BOM = b"\xef\xbb\xbf"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1))
def test_reads_back_what_was_written(tmp_path: Path, lines: list[str]) -> None:
    path = write(tmp_path / "file", "".join(f"{line}\n" for line in lines).encode())
    expected = [line.removesuffix("\r") for line in lines]
    assert read_lines(path) == [expected[0].removeprefix("\ufeff"), *expected[1:]]


@pytest.mark.parametrize("name", ["file", "file.gz"])
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


def test_a_gz_made_to_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.gz", b"a\n" * (40 * 2**20))
    with pytest.raises(DataError, match=r"bomb\.gz: grows to over 67,108,864 bytes, more than 200 times its size"):
        read_lines(path)


@pytest.mark.parametrize(
    "damaged",
    [
        b"plain text",
        gzip.compress(b"a\n" * 1000, mtime=0)[:20],  # cut short
        gzip.compress(b"a\nb\n", mtime=0)[:10] + b"\xff" * 20,  # not deflate
    ],
    ids=["plain", "cut short", "not deflate"],
)
def test_damaged_gz_is_refused(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "file.gz"
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


@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_the_line_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(corpus, "LONGEST_LINE", 8)
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
        (bz2.compress(b"a\n"), "compressed; decompress it first"),
        (lzma.compress(b"a\n"), "compressed; decompress it first"),
    ],
    ids=["utf-16", "big-endian", "without a mark", "big-endian without a mark", "utf-32", "gzip", "bzip2", "xz"],
)
def test_what_is_not_utf_8_is_named_with_the_remedy(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "train.de"
    path.write_bytes(data)
    with pytest.raises(DataError) as raised:
        read_lines(path)
    assert one_line(raised) == f"{path}: {what}"


def test_a_corpus_larger_than_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, file: object) -> list[bytes]:
        raise MemoryError

    monkeypatch.setattr(corpus, "_split", full)
    path = write(tmp_path / "train.de", b"a\n")
    with pytest.raises(DataError) as raised:
        read_lines(path)
    assert one_line(raised) == f"{path}: memory ran out while reading it; a corpus has to fit into memory"


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
    text = read_tsv(path)
    assert text.pairs() == [("eins", "one"), ("zwei", "two"), ("\u2028", "")]
    assert text.line_numbers == [1, 2, 3]


def test_a_tsv_line_without_a_tab_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", b"eins\tone\nzwei two\n")
    with pytest.raises(DataError) as raised:
        read_tsv(path)
    assert one_line(raised) == f"{path}:2: no tab; a line is source, tab, target"


def test_a_pair_with_an_empty_side_is_dropped_as_a_pair() -> None:
    kept, report = clean("train", text_of(("a", "A"), ("", "B"), ("c", "C"), ("d", " \t"), ("e", "E"), ("", "")))
    assert kept.pairs() == [("a", "A"), ("c", "C"), ("e", "E")]
    assert kept.line_numbers == [1, 3, 5]
    assert report == SplitReport("train", read=6, empty_side=3, duplicates=0, in_train=0)


def test_duplicates_and_overlap_are_counted_and_kept() -> None:
    train = text_of(("a", "A"), ("b", "B"), ("a", "A"), ("a", "A"), ("a", "other"))
    kept, report = clean("train", train)
    assert kept == train
    assert (report.duplicates, report.in_train) == (2, 0)
    test = text_of(("a", "A"), ("b", "A"), ("a", "A"), ("c", "C"))
    kept, report = clean("test", test, train)
    assert kept == test
    assert (report.duplicates, report.in_train) == (1, 2)


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(["", " ", "a", "b"]), st.sampled_from(["", "A", "B"])), min_size=1)
)
def test_cleaning_keeps_the_alignment(pairs: list[tuple[str, str]]) -> None:
    numbered = [(i, src, tgt) for i, (src, tgt) in enumerate(pairs, 1) if src.strip() and tgt.strip()]
    if not numbered:
        with pytest.raises(DataError, match="nothing is left"):
            clean("train", text_of(*pairs))
        return
    kept, report = clean("train", text_of(*pairs))
    assert list(zip(kept.line_numbers, kept.src, kept.tgt, strict=True)) == numbered
    seen: list[tuple[str, str]] = []
    again = 0
    for _, *pair in numbered:
        again += tuple(pair) in seen
        seen.append((pair[0], pair[1]))
    assert report == SplitReport("train", len(pairs), len(pairs) - len(numbered), again, 0)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError) as raised:
        clean("valid", text_of(("", "A"), ("b", "")))
    assert one_line(raised) == "valid: none of the 2 pairs has text on both sides; nothing is left"


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
