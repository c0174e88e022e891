"""Two tokenizers as one: joint or separate, cached by content, saved, loaded, told apart."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.store import load_tokens, save_tokens, train_or_cached
from seq2seq.errors import CheckpointError, DataError
from seq2seq.settings.schema import BpeConfig
from seq2seq.text.subwords import SubwordTokenizer
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


def subwords(lines: Sequence[str]) -> Tokenizer:
    return SubwordTokenizer.train(lines, BpeConfig(vocab_size=280))


def pieces(tokenizer: Tokenizer) -> list[str]:
    return tokenizer.pieces(range(len(tokenizer)))


@pytest.fixture
def train() -> CountingTrain:
    return CountingTrain()


def test_joint_is_one_object_trained_on_both_sides(train: CountingTrain) -> None:
    pair = TokenizerPair.train(SRC, TGT, train, joint=True)
    assert pair.src is pair.tgt
    assert pair.joint
    assert train.calls == [SRC + TGT]


def test_separate_are_two_each_of_its_side(train: CountingTrain) -> None:
    pair = TokenizerPair.train(SRC, TGT, train, joint=False)
    assert not pair.joint
    assert train.calls == [SRC, TGT]
    assert "Hund" in pieces(pair.src)
    assert "dog" in pieces(pair.tgt)
    assert not set(pieces(pair.src)[4:]) & set(pieces(pair.tgt)[4:])


@pytest.mark.parametrize("train_one", [WordTokenizer.train, subwords])
@pytest.mark.parametrize("joint", [True, False])
def test_save_and_load(tmp_path: Path, train_one: Train, joint: bool) -> None:
    pair = TokenizerPair.train(SRC, TGT, train_one, joint)
    pair.save(tmp_path)
    loaded = TokenizerPair.load(tmp_path)
    assert loaded.joint == joint
    assert [type(side) for side in loaded] == [type(side) for side in pair]
    assert [pieces(side) for side in loaded] == [pieces(side) for side in pair]
    assert loaded.src.encode(SRC) == pair.src.encode(SRC)
    assert loaded.tgt.encode(TGT) == pair.tgt.encode(TGT)
    assert loaded.fingerprint() == pair.fingerprint()


@pytest.mark.parametrize("joint", [True, False])
def test_the_second_time_comes_from_the_cache(tmp_path: Path, train: CountingTrain, joint: bool) -> None:
    first, tokens = train_or_cached(tmp_path / "cache", {"a": 1}, SRC, TGT, train, joint)
    calls = len(train.calls)
    second, again = train_or_cached(tmp_path / "cache", {"a": 1}, SRC, TGT, train, joint)
    assert len(train.calls) == calls == (1 if joint else 2)
    assert second.joint == joint
    assert second.fingerprint() == first.fingerprint()
    assert again == tokens == (first.src.encode(SRC), first.tgt.encode(TGT), ())


def test_a_damaged_cache_is_said_so(tmp_path: Path, train: CountingTrain) -> None:
    train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)
    (path,) = tmp_path.glob("*/tokens.safetensors")
    content = path.read_bytes()
    for damaged in (content[:-4], b"", content.replace(b"src.ids", b"src.idz")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"tokens.safetensors: not what was cached .*; remove .*tokenizer-"):
            train_or_cached(tmp_path, {}, SRC, TGT, train, joint=True)


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
    again, _ = train_or_cached(tmp_path, {}, SRC, TGT, train, joint=False)
    assert len(train.calls) == 4
    assert not again.joint


def test_the_fingerprint_is_of_both_vocabularies_in_order(train: CountingTrain) -> None:
    one, other = WordTokenizer(["a", "b"]), WordTokenizer(["b", "a"])
    pairs = [
        TokenizerPair(one, one),
        TokenizerPair(one, other),
        TokenizerPair(other, one),
        TokenizerPair(other, other),
    ]
    prints = [pair.fingerprint() for pair in pairs]
    assert len(set(prints)) == 4
    assert TokenizerPair(WordTokenizer(["a", "b"]), WordTokenizer(["b", "a"])).fingerprint() == prints[1]


def test_pieces_are_told_apart_in_the_fingerprint() -> None:
    tokenizers = [WordTokenizer(words) for words in (["ab", "c"], ["a", "bc"], ["abc"])]
    assert len({TokenizerPair(tokenizer, tokenizer).fingerprint() for tokenizer in tokenizers}) == 3


@pytest.mark.parametrize(
    "names", [[], ["src.words"], ["tgt.words"], ["notes.txt"], ["joint.words", "src.words", "tgt.words"]]
)
def test_a_wrong_directory_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        WordTokenizer(["a"]).save(tmp_path / name)
    with pytest.raises(CheckpointError) as raised:
        TokenizerPair.load(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}: expected a tokenizer, joint.* or src.* and tgt.*")
    assert "\n" not in message


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a tokenizer"):
        TokenizerPair.load(tmp_path / "none")
