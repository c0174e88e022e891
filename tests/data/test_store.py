"""The cache of tokenizers and tokens: what it is keyed by, what is trusted, and who may write it."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch

from seq2seq.data import store
from seq2seq.data.store import Tokenized, tokenized
from seq2seq.data.training_text import training_text
from seq2seq.storage import integrity
from seq2seq.storage.rows import Rows, written_rows
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair, Train
from seq2seq.text.words import WordTokenizer

SRC, TGT = ["ein Hund", "zwei Hunde"], ["a dog", "two dogs"]


class CountingTrain:
    """Trains word tokenizers and remembers on what."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, lines: Sequence[str]) -> Tokenizer:
        self.calls.append(list(lines))
        return WordTokenizer.train(lines)


@pytest.fixture
def train() -> CountingTrain:
    return CountingTrain()


def start(
    cache: Path,
    train: Train,
    src: Sequence[str] = SRC,
    tgt: Sequence[str] = TGT,
    joint: bool = True,
    sample_lines: int = 1000,
    verify: bool = False,
    **more: Any,
) -> Tokenized:
    """Tokens of these lines; their text is beside the cache."""
    files = [cache.parent / f"{cache.name}.{side}" for side in ("src", "tgt")]
    for file, lines in zip(files, (src, tgt), strict=True):
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    text = training_text(cache.parent / f"{cache.name}.text", [files])

    def make() -> TokenizerPair:
        return TokenizerPair.train(*text.sample(sample_lines), train, joint)

    return tokenized(cache, {"joint": joint, "sample_lines": sample_lines, **more}, text, make, verify)


def same(one: Tokenized, other: Tokenized) -> bool:
    return (
        one.tokenizers.fingerprint() == other.tokenizers.fingerprint()
        and all(a.tolist() == b.tolist() for a, b in zip(one.tokens, other.tokens, strict=True))
        and all(map(torch.equal, one.lexicon, other.lexicon))
    )


def entry(cache: Path) -> Path:
    """The one thing in the cache."""
    (path,) = cache.glob("tokenizer-*")
    return path


@pytest.mark.parametrize("joint", [True, False])
def test_the_second_time_comes_from_the_cache(tmp_path: Path, train: CountingTrain, joint: bool) -> None:
    first = start(tmp_path / "cache", train, joint=joint)
    calls = len(train.calls)
    again = start(tmp_path / "cache", train, joint=joint)
    assert len(train.calls) == calls == (1 if joint else 2)
    assert again.tokenizers.joint == joint
    assert same(again, first)
    pair, tokens, _ = again
    assert [side.tolist() for side in tokens] == [pair.src.encode(SRC), pair.tgt.encode(TGT)]
    assert isinstance(tokens.src.values, np.memmap)
    assert tokens.src.values.dtype == np.uint16


@pytest.mark.parametrize(
    "name", ["joint.words", "src.npy", "tgt.starts.npy", "lexicon.safetensors", "contents.json"]
)
@pytest.mark.parametrize("how", ["cut off", "empty", "a byte changed", "gone", "unreadable"])
def test_a_damaged_cache_gives_a_warning_and_is_trained_again(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    whole = start(tmp_path / "cache", train)
    path = entry(tmp_path / "cache") / name
    content = path.read_bytes()
    path.unlink()
    if how == "unreadable":
        path.mkdir()
    elif how != "gone":
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"cut off": content[:-4], "empty": b"", "a byte changed": changed}[how])
    again = start(tmp_path / "cache", train)
    (message,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert message.endswith("; the tokenizer is trained again")
    assert same(again, whole)
    assert len(train.calls) == 2
    start(tmp_path / "cache", train)
    assert len(train.calls) == 2  # it is whole again


@pytest.mark.parametrize("how", ["touched", "silently", "silently, but verified"])
def test_a_large_file_is_hashed_again_when_its_time_has_changed_or_when_asked(
    tmp_path: Path, train: CountingTrain, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(integrity, "LARGE", 100)
    start(tmp_path / "cache", train)
    path = entry(tmp_path / "cache") / "src.npy"
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    if how.startswith("silently"):
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    start(tmp_path / "cache", train, verify=how.endswith("verified"))
    assert len(train.calls) == (1 if how == "silently" else 2)


def test_an_entry_from_elsewhere_is_not_taken(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole in itself, but of another corpus; or with ids that stand for other words."""
    ours = start(tmp_path / "ours", train)
    start(tmp_path / "theirs", train, TGT, SRC[::-1])
    place = entry(tmp_path / "ours")
    shutil.rmtree(place)
    shutil.copytree(entry(tmp_path / "theirs"), place)
    assert same(start(tmp_path / "ours", train), ours)
    rows = Rows.open(place, "src").tolist()
    with written_rows(place, "src", np.uint16) as writer:
        writer.append(Rows.of([row[::-1] for row in rows]))
    assert same(start(tmp_path / "ours", train), ours)
    assert caplog.text.count(f"{place}: damaged, or copied from elsewhere; the tokenizer is trained again") == 2


@pytest.mark.parametrize("content", [b"[]", b"null", b'{"key": 1}', b"\xff", b"{"])
def test_useless_contents_count_as_damage(tmp_path: Path, train: CountingTrain, content: bytes) -> None:
    start(tmp_path / "cache", train)
    (entry(tmp_path / "cache") / "contents.json").write_bytes(content)
    start(tmp_path / "cache", train)
    assert len(train.calls) == 2


@pytest.mark.parametrize("name", ["format", "sentencepiece", "torchtext"])
def test_another_version_trains_again(
    tmp_path: Path, train: CountingTrain, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    start(tmp_path / "cache", train)
    monkeypatch.setitem(store.VERSIONS, name, "another")
    start(tmp_path / "cache", train)
    assert len(train.calls) == 2
    assert len(list((tmp_path / "cache").glob("tokenizer-*"))) == 2


def test_the_versions_are_those_installed() -> None:
    assert store.VERSIONS["sentencepiece"] == sentencepiece.__version__
    assert store.VERSIONS["torchtext"] == metadata.version("torchtext")


def test_starts_on_a_cold_cache_at_once(tmp_path: Path) -> None:
    """One trains, the others wait and take what it has made."""
    count, failures, results, calls = 4, [], [], []
    together = threading.Barrier(count)
    start(tmp_path / "text", WordTokenizer.train)  # so that all find the same files

    def make() -> TokenizerPair:
        calls.append(1)
        return TokenizerPair.train(SRC, TGT, WordTokenizer.train, joint=True)

    def begin() -> None:
        try:
            text = training_text(tmp_path / "text.text", [[tmp_path / "text.src", tmp_path / "text.tgt"]])
            together.wait()
            results.append(tokenized(tmp_path / "cache", {"joint": True}, text, make))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(calls) == 1
    assert all(same(result, results[0]) for result in results)
    names = ["contents.json", "joint.words", "lexicon.safetensors"]
    names += [f"{side}{part}.npy" for side in ("src", "tgt") for part in ("", ".starts")]
    assert sorted(path.name for path in entry(tmp_path / "cache").iterdir()) == sorted(names)


def test_what_a_killed_process_left_is_removed(tmp_path: Path, train: CountingTrain) -> None:
    start(tmp_path / "cache", train)
    place = entry(tmp_path / "cache")
    left = place.rename(place.with_name(f".{place.name}.0123456789abcdef.tmp"))
    (left / "src.npy").write_bytes(b"half of it")
    other = tmp_path / "cache" / ".tokenizer-another.0123456789abcdef.tmp"
    other.mkdir()
    start(tmp_path / "cache", train)
    assert len(train.calls) == 2
    assert not left.exists()
    assert other.exists()  # may be another process's, at work


def test_a_cold_cache_that_cant_be_written_is_a_warning(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").touch()
    pair, tokens, _ = start(tmp_path / "cache", train)
    assert tokens.src.tolist() == pair.src.encode(SRC)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith(f"{tmp_path}/cache/tokenizer-")
    assert record.message.endswith(": can't be written (Not a directory); the next start builds it again")


@pytest.mark.parametrize(("sample_lines", "expected"), [(1, 1), (7, 7), (20, 20), (1000, 20)])
def test_the_tokenizer_is_trained_on_a_sample(
    tmp_path: Path, train: CountingTrain, sample_lines: int, expected: int
) -> None:
    src, tgt = [f"a{i}" for i in range(20)], [f"b{i}" for i in range(20)]
    start(tmp_path / "cache", train, src, tgt, joint=False, sample_lines=sample_lines)
    one, other = train.calls
    assert len(one) == expected
    assert one == sorted(one, key=src.index)  # in their order
    assert [line[1:] for line in one] == [line[1:] for line in other]


def test_several_processes_write_what_one_would(
    tmp_path: Path, train: CountingTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, tgt = ([f"{side}{i % 7} " * (i % 5 + 1) for i in range(40)] for side in "ab")
    one = start(tmp_path / "one", train, src, tgt)
    monkeypatch.setattr(store, "CHUNK", 3)
    monkeypatch.setattr(store, "FEWEST", 10)
    monkeypatch.setattr(store, "usable_cores", lambda: 2)
    monkeypatch.setattr(WordTokenizer, "encode", None)  # here, so that only others can do it
    other = start(tmp_path / "other", train, src, tgt)
    assert same(one, other)


@pytest.mark.parametrize(
    ("settings", "src", "tgt"),
    [
        ({"a": 2}, SRC, TGT),
        ({"a": 1, "b": None}, SRC, TGT),
        ({"a": 1, "joint": False}, SRC, TGT),
        ({"a": 1, "sample_lines": 1}, SRC, TGT),
        ({"a": 1}, ["ein Hund", "zwei  Hunde"], TGT),
        ({"a": 1}, SRC[::-1], TGT),
        ({"a": 1}, SRC, ["a dogtwo", " dogs"]),
        ({"a": 1}, TGT, SRC),
    ],
)
def test_other_settings_or_other_text_train_again(
    tmp_path: Path, train: CountingTrain, settings: dict[str, Any], src: list[str], tgt: list[str]
) -> None:
    start(tmp_path / "cache", train, a=1)
    calls = len(train.calls)
    start(tmp_path / "cache", train, src, tgt, **settings)
    assert len(train.calls) > calls
    assert len(list((tmp_path / "cache").glob("tokenizer-*"))) == 2


def test_interrupted_training_leaves_no_cache_entry(tmp_path: Path, train: CountingTrain) -> None:
    def interrupted(lines: Sequence[str]) -> Tokenizer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "cache", interrupted)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
    start(tmp_path / "cache", train)
    assert len(train.calls) == 1


def test_interrupted_saving_leaves_no_cache_entry(
    tmp_path: Path, train: CountingTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: TokenizerPair, directory: Path) -> None:
        self.src.save(directory / "src.words")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TokenizerPair, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "cache", train, joint=False)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
    again, *_ = start(tmp_path / "cache", train, joint=False)
    assert len(train.calls) == 4
    assert not again.joint
