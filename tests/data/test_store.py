"""The cache of tokenizers and tokens: what it is keyed by, what is trusted, and who may write it."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sentencepiece
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data import store
from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.store import load_tokens, save_tokens, train_or_cached
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair
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


def entry(cache: Path) -> Path:
    """The one thing in the cache."""
    (path,) = cache.iterdir()
    return path


@pytest.mark.parametrize("joint", [True, False])
def test_the_second_time_comes_from_the_cache(tmp_path: Path, train: CountingTrain, joint: bool) -> None:
    first, tokens, lexicon = train_or_cached(tmp_path / "cache", {"a": 1}, SRC, TGT, train, joint)
    calls = len(train.calls)
    second, again, same_lexicon = train_or_cached(tmp_path / "cache", {"a": 1}, SRC, TGT, train, joint)
    assert len(train.calls) == calls == (1 if joint else 2)
    assert second.joint == joint
    assert second.fingerprint() == first.fingerprint()
    assert all(map(torch.equal, same_lexicon, lexicon))
    assert again == tokens == (first.src.encode(SRC), first.tgt.encode(TGT), ())


@pytest.mark.parametrize("name", ["joint.words", "tokens.safetensors", "lexicon.safetensors", "contents.json"])
@pytest.mark.parametrize("how", ["cut off", "empty", "a byte changed", "gone", "unreadable"])
def test_a_damaged_cache_gives_a_warning_and_is_trained_again(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    whole = train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    path = entry(tmp_path) / name
    content = path.read_bytes()
    path.unlink()
    if how == "unreadable":
        path.mkdir()
    elif how != "gone":
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"cut off": content[:-4], "empty": b"", "a byte changed": changed}[how])
    again = train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    (message,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert message.endswith("; the tokenizer is trained again")
    assert (again[0].fingerprint(), again[1]) == (whole[0].fingerprint(), whole[1])
    assert len(train.calls) == 2
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    assert len(train.calls) == 2  # it is whole again


def test_an_entry_from_elsewhere_is_not_taken(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole in itself, but of another corpus; or with ids that stand for other words."""
    ours = train_or_cached(tmp_path / "ours", {}, SRC, TGT, train, joint=True)
    train_or_cached(tmp_path / "theirs", {}, TGT, SRC[::-1], train, joint=True)
    place = entry(tmp_path / "ours")
    shutil.rmtree(place)
    shutil.copytree(entry(tmp_path / "theirs"), place)
    again = train_or_cached(tmp_path / "ours", {}, SRC, TGT, train, joint=True)
    assert (again[0].fingerprint(), again[1]) == (ours[0].fingerprint(), ours[1])
    save_tokens(
        TokenizedPairs(*([row[::-1] for row in side] for side in ours[1][:2])), place / "tokens.safetensors"
    )
    again = train_or_cached(tmp_path / "ours", {}, SRC, TGT, train, joint=True)
    assert again[1] == ours[1]
    assert caplog.text.count(f"{place}: damaged, or copied from elsewhere; the tokenizer is trained again") == 2


@pytest.mark.parametrize("content", [b"[]", b"null", b'{"key": 1}', b"\xff", b"{"])
def test_useless_contents_count_as_damage(tmp_path: Path, train: CountingTrain, content: bytes) -> None:
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    (entry(tmp_path) / "contents.json").write_bytes(content)
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    assert len(train.calls) == 2


@pytest.mark.parametrize("name", ["format", "sentencepiece", "torchtext"])
def test_another_version_trains_again(
    tmp_path: Path, train: CountingTrain, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    monkeypatch.setitem(store.VERSIONS, name, "another")
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    assert len(train.calls) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_the_versions_are_those_installed() -> None:
    assert store.VERSIONS["sentencepiece"] == sentencepiece.__version__
    assert store.VERSIONS["torchtext"] == metadata.version("torchtext")


def test_starts_on_a_cold_cache_at_once(tmp_path: Path) -> None:
    """All train; all save, one after the other or in one another's way."""
    count, failures, results = 4, [], []
    together = threading.Barrier(count)

    def train(lines: Sequence[str]) -> Tokenizer:
        together.wait()
        return WordTokenizer.train(lines)

    def start() -> None:
        try:
            results.append(train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [tokens for _, tokens, _ in results] == [results[0][1]] * count
    assert sorted(path.name for path in entry(tmp_path).iterdir()) == [
        "contents.json",
        "joint.words",
        "lexicon.safetensors",
        "tokens.safetensors",
    ]


def test_the_slower_of_two_takes_what_the_faster_wrote(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster one's directory appears between the slower one's last look and its rename."""
    rename = Path.rename

    def overtaken(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    pair, tokens, _ = train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    assert len(train.calls) == 2
    assert tokens == (pair.src.encode(SRC), pair.tgt.encode(TGT), ())
    assert entry(tmp_path).is_dir()
    assert caplog.text == ""  # nothing that anybody needs to hear of


def test_a_cold_cache_that_cant_be_written_is_a_warning(
    tmp_path: Path, train: CountingTrain, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    pair, tokens, _ = train_or_cached(tmp_path / "file" / "cache", {}, SRC, TGT, train, joint=True)
    assert tokens.src == pair.src.encode(SRC)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith(f"{tmp_path}/file/cache/tokenizer-")
    assert record.message.endswith(": can't be written (Not a directory); the next start trains again")


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4)), st.lists(st.lists(st.integers(0, 9))))
def test_cached_tokens_round_trip(src: list[list[int]], tgt: list[list[int]]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "tokens"
        save_tokens(TokenizedPairs(src, tgt), path)
        assert load_tokens(path) == TokenizedPairs(src, tgt)


@pytest.mark.parametrize(
    ("settings", "src", "tgt", "joint"),
    [
        ({"a": 2}, SRC, TGT, True),
        ({"a": 1, "b": None}, SRC, TGT, True),
        ({"a": 1}, SRC, TGT, False),
        ({"a": 1}, ["ein Hund", "zwei  Hunde"], TGT, True),
        ({"a": 1}, SRC[::-1], TGT, True),
        ({"a": 1}, SRC, ["a dogtwo", " dogs"], True),
        ({"a": 1}, TGT, SRC, True),
    ],
)
def test_other_settings_or_other_text_train_again(
    tmp_path: Path, train: CountingTrain, settings: dict[str, object], src: list[str], tgt: list[str], joint: bool
) -> None:
    train_or_cached(tmp_path, {"a": 1}, SRC, TGT, train, joint=True)
    calls = len(train.calls)
    train_or_cached(tmp_path, settings, src, tgt, train, joint)
    assert len(train.calls) > calls
    assert len(list(tmp_path.iterdir())) == 2


def test_interrupted_training_leaves_no_cache_entry(tmp_path: Path, train: CountingTrain) -> None:
    def interrupted(lines: Sequence[str]) -> Tokenizer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_or_cached(tmp_path, {}, SRC, TGT, interrupted, joint=True)
    assert list(tmp_path.iterdir()) == []
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
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
            train_or_cached(tmp_path, {}, SRC, TGT, train, joint=False)
    assert list(tmp_path.iterdir()) == []
    again, *_ = train_or_cached(tmp_path, {}, SRC, TGT, train, joint=False)
    assert len(train.calls) == 4
    assert not again.joint
