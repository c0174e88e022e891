"""Two tokenizers as one: joint or separate, saved, loaded, told apart."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from seq2seq.errors import CheckpointError
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
