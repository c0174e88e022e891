"""The text of the training split on disk: what is kept of it and counted, and when it is read again."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import corpus, training_text
from seq2seq.data.corpus import ParallelText
from seq2seq.data.training_text import TrainingText, reopened
from seq2seq.errors import DataError

LINE = st.sampled_from(["", " ", "a", "b", "ä ö", "\u2028", "\u3000x", "\tc", "d\r"])
PAIRS = st.lists(st.tuples(LINE, LINE), min_size=1, max_size=12)
OLD = 10**9  # seconds since 1970


def write(directory: Path, name: str, lines: list[str], when: float | None = OLD) -> Path:
    """A file that has been at rest."""
    path = directory / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    if when is not None:
        os.utime(path, (when, when))
    return path


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a corpus was read. Files made just now count as having been at rest."""
    count: list[int] = []
    read = training_text._read

    def counted(*arguments: object, **more: object) -> None:
        count.append(1)
        read(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(training_text, "_read", counted)
    monkeypatch.setattr(training_text, "AT_REST", -(10**9))
    return count


def opened(directory: Path, *corpora: list[Path], verify: bool = False) -> TrainingText:
    return training_text.training_text(directory / "cache", corpora, verify)


@given(st.lists(PAIRS, min_size=1, max_size=3), st.integers(1, 5))
def test_text_and_counts_are_those_of_the_loops(corpora: list[list[tuple[str, str]]], chunk: int) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        directory = Path(name)
        patch.setattr(corpus, "CHUNK", chunk)
        files = [
            [write(directory, f"{number}.{side}", [pair[side] for pair in pairs]) for side in (0, 1)]
            for number, pairs in enumerate(corpora)
        ]
        kept: list[tuple[str, str]] = []  # of all corpora
        counts, numbers = [], []
        for pairs in corpora:
            filled = [(n, s.removesuffix("\r"), t.removesuffix("\r")) for n, (s, t) in enumerate(pairs, 1)]
            filled = [(n, s, t) for n, s, t in filled if s.strip() and t.strip()]
            ours = [pair[1:] for pair in filled]
            again = sum(pair in ours[:i] for i, pair in enumerate(ours))
            counts.append((len(pairs), len(pairs) - len(ours), again))
            numbers += [n for n, _, _ in filled]
            kept += ours
        if any(read == empty for read, empty, _ in counts):
            with pytest.raises(DataError, match="nothing is left"):
                opened(directory, *files)
            return
        text = opened(directory, *files)
        everything = np.arange(len(text))
        assert len(text) == len(kept) == sum(text.sizes)
        assert list(zip(*text.sides(everything), strict=True)) == kept
        assert list(zip(text.lines("src", 0, len(kept)), text.lines("tgt", 0, len(kept)), strict=True)) == kept
        assert text.numbers.tolist() == numbers
        if len(corpora) > 1:
            again = sum(pair in kept[:i] for i, pair in enumerate(kept))
            counts.append((sum(read for read, *_ in counts), sum(empty for _, empty, _ in counts), again))
        assert [(report.read, report.empty_side, report.duplicates) for report in text.reports] == counts
        hashes = ParallelText([s for s, _ in kept], [t for _, t in kept], []).hashes()
        assert text.hashes.tolist() == sorted(hashes.tolist())
        for pairs, digests in zip(corpora, text.digests, strict=True):
            for number, side in enumerate(("src", "tgt")):
                lines = "".join(f"{pair[number].removesuffix(chr(13))}\n" for pair in pairs)
                assert digests[side] == hashlib.sha256(lines.encode()).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write(tmp_path, "a.src", ["a", "", "c"]), write(tmp_path, "a.tgt", ["A", "B", "C"])]


def test_text_is_read_once(tmp_path: Path, files: list[Path], reads: list[int]) -> None:
    first = opened(tmp_path, files)
    again = opened(tmp_path, files)
    assert len(reads) == 1
    assert again.key == first.key
    assert again.sides(np.arange(2)) == first.sides(np.arange(2)) == (["a", "c"], ["A", "C"])
    assert reopened(again.directory, again.key).sides(np.array([1])) == (["c"], ["C"])
    with pytest.raises(DataError, match="another text by now"):
        reopened(again.directory, "0")


@pytest.mark.parametrize("how", ["longer", "same size", "same size and time", "touched", "replaced"])
def test_changed_files_are_read_again(tmp_path: Path, files: list[Path], reads: list[int], how: str) -> None:
    key = opened(tmp_path, files).key
    time.sleep(0.02)  # times of a file come in steps of some milliseconds
    if how == "replaced":
        write(tmp_path, "other", ["a", "", "d"]).rename(files[0])
    elif how == "touched":
        files[0].touch()
    else:
        when = OLD if how == "same size and time" else None
        write(tmp_path, "a.src", ["a", "", "cc" if how == "longer" else "d"], when)
    text = opened(tmp_path, files)
    assert len(reads) == 2
    assert (text.key == key) == (how == "touched")


def test_a_file_that_changed_just_now_is_not_trusted(
    tmp_path: Path, files: list[Path], reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_text, "AT_REST", 60 * 10**9)
    opened(tmp_path, files)
    opened(tmp_path, files)
    assert len(reads) == 2


def test_a_file_that_changes_while_it_is_read_is_not_trusted(
    tmp_path: Path, files: list[Path], reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = corpus.stream

    def changing(paths: list[Path]) -> Iterator[ParallelText]:
        yield from stream(paths)
        write(tmp_path, "a.src", ["a", "", "d"])

    with monkeypatch.context() as patch:
        patch.setattr(training_text, "stream", changing)
        opened(tmp_path, files)
    assert opened(tmp_path, files).sides(np.array([1])) == (["d"], ["C"])
    assert len(reads) == 2


def test_a_pipe_is_read_each_time(tmp_path: Path, files: list[Path], reads: list[int]) -> None:
    tsv = tmp_path / "pipe"
    os.mkfifo(tsv)
    for line in ("a\tA\n", "b\tB\n"):
        writer = subprocess.Popen(["sh", "-c", f"printf '{line}' > '{tsv}'"])
        assert opened(tmp_path, [tsv]).sides(np.array([0])) == ([line[0]], [line[2]])
        writer.wait()
    assert len(reads) == 2


def test_text_is_read_again_if_that_is_asked_for(tmp_path: Path, files: list[Path], reads: list[int]) -> None:
    opened(tmp_path, files)
    assert len(opened(tmp_path, files, verify=True)) == len(reads) == 2


def test_damaged_text_is_read_again(
    tmp_path: Path, files: list[Path], reads: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    directory = opened(tmp_path, files).directory
    for number, path in enumerate(sorted(directory.iterdir()), 2):
        path.write_bytes(path.read_bytes()[:-2])
        assert opened(tmp_path, files).sides(np.arange(2)) == (["a", "c"], ["A", "C"])
        assert len(reads) == number
    assert caplog.text.count("damaged, or copied from elsewhere; the corpus is read again") == number - 1


def test_compressed_copies_are_the_same_text(tmp_path: Path, files: list[Path]) -> None:
    key = opened(tmp_path, files).key
    packed = [tmp_path / "b.src.gz", tmp_path / "b.tgt.zst"]
    packed[0].write_bytes(gzip.compress(files[0].read_bytes()))
    packed[1].write_bytes(zstandard.compress(files[1].read_bytes()))
    tsv = write(tmp_path, "c.tsv", ["a\tA\tx", "\tB", "c\tC"])
    assert {opened(tmp_path, packed).key, opened(tmp_path, [tsv]).key} == {key}


def test_places_name_the_corpus_if_there_are_several(tmp_path: Path, files: list[Path]) -> None:
    other = [write(tmp_path, "b.src", ["", "x"]), write(tmp_path, "b.tgt", ["X", "Y"])]
    assert opened(tmp_path, files).places(np.array([1, 0])) == [1, 3]
    text = opened(tmp_path, files, other)
    assert text.places(np.array([2, 1])) == [f"{files[0]}:3", f"{other[0]}:2"]


def test_a_sample_is_drawn_from_everywhere(tmp_path: Path) -> None:
    lines = [str(number) for number in range(2000)]
    text = opened(tmp_path, [write(tmp_path, "a.src", lines), write(tmp_path, "a.tgt", lines)])
    assert text.sample(2000) == text.sample(3000) == (lines, lines)
    src, tgt = text.sample(200)
    numbers = [int(line) for line in src]
    assert src == tgt
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 200
    assert max(np.histogram(numbers, 10, (0, 2000))[0]) < 40  # 20 in each tenth


KILLED = """\
import os, signal, sys
from pathlib import Path
from seq2seq.data import corpus, training_text
training_text.num_repeated = lambda hashes: os.kill(os.getpid(), signal.SIGKILL)
training_text.training_text(Path(sys.argv[1]), [[Path(sys.argv[2]), Path(sys.argv[3])]])
"""


def test_a_process_killed_while_reading_leaves_nothing_wrong(tmp_path: Path, files: list[Path]) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "cache"), *map(str, files)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = [path for path in (tmp_path / "cache").iterdir() if path.suffix == ".tmp"]
    assert len(left) == 1
    assert opened(tmp_path, files).sides(np.arange(2)) == (["a", "c"], ["A", "C"])
    assert not left[0].exists()
