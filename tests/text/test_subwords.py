"""SentencePiece as we use it: round trips, the special ids, the vocabulary's size, sampling, and damaged files."""

import logging
import random
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.settings.schema import SubwordConfig
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Sampling

WORDS = [
    "der",
    "Hund",
    "Frau",
    "Männer",
    "Straße",
    "Häuser",
    "gehen",
    "läuft",
    "spielen",
    "schnell",
    "grün",
    "zwei",
]
MODELS = ["unigram", "bpe"]


def sentences(count: int = 200) -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=6)) + "." for _ in range(count)]


def train(model_type: str, normalization: str = "nmt_nfkc") -> SubwordTokenizer:
    size = {"unigram": 300, "bpe": 360}[model_type]
    return SubwordTokenizer.train(
        sentences(), SubwordConfig(model_type, vocab_size=size, normalization=normalization)
    )


trained = cache(train)


@pytest.fixture(params=MODELS)
def model_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@settings(deadline=None, max_examples=200)
@given(
    name=st.sampled_from(MODELS), line=st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"]))
)
@example(name="bpe", line="Ein 😀-Haus\tmit 日本語\u2028 und \r\n \0 allem")
def test_round_trip_is_exact_but_for_runs_of_spaces(name: str, line: str) -> None:
    tokenizer = trained(name, "identity")
    (ids,) = tokenizer.encode([line])
    assert UNK not in ids
    assert tokenizer.decode(ids) == re.sub(" +", " ", line).strip(" ")


@settings(deadline=None)
@given(name=st.sampled_from(MODELS), line=st.text(alphabet="aHrtäßéÑ09 .,!?-'\"()&€日本語дЖ😀"))
def test_ordinary_letters_survive_normalisation(name: str, line: str) -> None:
    tokenizer = trained(name)
    assert tokenizer.decode(tokenizer.encode([line])[0]) == " ".join(line.split())


def test_normalisation_is_nfkc(model_type: str) -> None:
    tokenizer = trained(model_type)
    assert tokenizer.decode(tokenizer.encode(["ﬁne\u00a0Ｈund"])[0]) == "fine Hund"


def test_plain_sentences_come_back(model_type: str) -> None:
    tokenizer = trained(model_type)
    encoded = tokenizer.encode(sentences())
    assert [tokenizer.decode(ids) for ids in encoded] == sentences()
    assert sum(map(len, encoded)) < 0.5 * sum(map(len, sentences()))  # pieces, not letters


def test_specials_have_the_first_ids(model_type: str) -> None:
    tokenizer = trained(model_type)
    assert tokenizer.pieces([PAD, UNK, BOS, EOS]) == SPECIAL_TOKENS
    assert tokenizer.pieces(range(4)) == SPECIAL_TOKENS
    assert len(set(tokenizer.pieces(range(len(tokenizer))))) == len(tokenizer)


def test_specials_are_never_encoded_and_never_decoded(model_type: str) -> None:
    tokenizer = trained(model_type)
    text = "<s> <pad></s> <unk>"
    (ids,) = tokenizer.encode([text])
    assert not {PAD, UNK, BOS, EOS} & set(ids)
    assert tokenizer.decode([BOS, *ids, EOS, PAD, PAD]) == text


def test_empty_lines_have_no_tokens(model_type: str) -> None:
    assert trained(model_type).encode(["", "  ", "\u200b"]) == [[], [], []]
    assert trained(model_type).decode([]) == ""


def test_without_byte_fallback_a_strange_letter_is_unknown(model_type: str) -> None:
    options = SubwordConfig(model_type, vocab_size=60, byte_fallback=False)
    tokenizer = SubwordTokenizer.train(sentences(), options)
    (ids,) = tokenizer.encode(["Hund 日"])
    assert ids.count(UNK) == 1


def test_the_vocabulary_has_the_size_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = SubwordTokenizer.train(sentences(), SubwordConfig("bpe", vocab_size=333))
    assert len(tokenizer) == len(tokenizer.pieces(range(len(tokenizer)))) == 333
    assert caplog.records == []


def test_too_large_a_vocabulary_is_lowered_with_a_message(
    model_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = SubwordTokenizer.train(sentences(), SubwordConfig(model_type, vocab_size=5000))
    assert 260 < len(tokenizer) < 5000
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"tokenizer.vocab_size=5000 lowered to {len(tokenizer)}" in record.getMessage()


def test_too_small_a_vocabulary_is_an_error(model_type: str) -> None:
    with pytest.raises(ConfigError) as raised:
        SubwordTokenizer.train(sentences(), SubwordConfig(model_type, vocab_size=100))
    message = str(raised.value)
    assert message.startswith("tokenizer.vocab_size=100: ")
    assert "Increase vocab_size" in message
    assert "\n" not in message


def test_sampling_is_repeatable_and_varied(model_type: str) -> None:
    tokenizer = trained(model_type)
    lines = sentences(40)
    first = tokenizer.encode(lines, Sampling(seed="1", alpha=0.1))
    between = tokenizer.encode(lines, Sampling(seed="2", alpha=0.1))
    assert tokenizer.encode(lines, Sampling(seed="1", alpha=0.1)) == first
    assert between != first
    assert tokenizer.encode(lines) != first
    assert len({tuple(ids) for ids in tokenizer.encode(lines[:1] * 40, Sampling("3", 0.1))}) > 5
    for sampled in (first, between):
        assert [tokenizer.decode(ids) for ids in sampled] == lines


def test_sampling_does_not_touch_the_best_segmentation(model_type: str) -> None:
    tokenizer = trained(model_type)
    best = tokenizer.encode(sentences(20))
    tokenizer.encode(sentences(20), Sampling("5", 0.3))
    assert tokenizer.encode(sentences(20)) == best


def test_save_and_load(model_type: str, tmp_path: Path) -> None:
    tokenizer = trained(model_type)
    tokenizer.save(tmp_path / "src.subwords")
    loaded = SubwordTokenizer.load(tmp_path / "src.subwords")
    assert loaded.model == tokenizer.model
    assert loaded.encode(sentences()) == tokenizer.encode(sentences())
    assert loaded.pieces(range(len(loaded))) == tokenizer.pieces(range(len(tokenizer)))


def test_training_is_repeatable(model_type: str) -> None:
    assert train(model_type).model == trained(model_type).model


@pytest.mark.parametrize("damaged", [None, b"", b"not a model", "cut short"])
def test_a_damaged_model_is_refused(tmp_path: Path, damaged: bytes | str | None) -> None:
    path = tmp_path / "src.subwords"
    if isinstance(damaged, str):
        damaged = trained("bpe").model[:700]
    if damaged is not None:
        path.write_bytes(damaged)
    with pytest.raises(CheckpointError) as raised:
        SubwordTokenizer.load(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: not a readable SentencePiece model")
    assert "\n" not in message


@pytest.mark.parametrize("line", ["Hallo Welt", "a", "日本"])
def test_one_line_is_enough_to_train(model_type: str, line: str) -> None:
    tokenizer = SubwordTokenizer.train([line], SubwordConfig(model_type, vocab_size=400))
    (ids,) = tokenizer.encode([line])
    assert tokenizer.decode(ids) == line
    assert not any(piece.startswith("<") for piece in tokenizer.pieces(ids))  # not spelt in bytes


def test_a_very_long_line_is_used(model_type: str) -> None:
    lines = [*sentences(50), "qxy " * 2500]  # SentencePiece alone would leave it out
    tokenizer = SubwordTokenizer.train(lines, SubwordConfig(model_type, vocab_size=60, byte_fallback=False))
    (ids,) = tokenizer.encode(["qxy"])
    assert UNK not in ids
    assert len(ids) <= 2
