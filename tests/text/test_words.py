"""Words and their joiners, the vocabulary, pretrained vectors, and token-level BLEU."""

import gzip
import logging
import os
import ssl
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seq2seq.errors import CheckpointError, ConfigError, DataError
from seq2seq.text.tokenizer import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from seq2seq.text.words import JOINER, WordTokenizer, join_words, load_vectors, split_words, token_bleu


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("Ja, gut.", ["Ja", "￭,", "gut", "￭."]),
        ("  drei - vier", ["drei", "-", "vier"]),
        ('sagt "nein"', ["sagt", '"', "￭nein", '￭"']),
        ("¿Straße?!", ["¿", "￭Straße", "￭?", "￭!"]),
        ("3,5 km/h", ["3", "￭,", "￭5", "km", "￭/", "￭h"]),
        (f"{JOINER} a{JOINER}", [JOINER, "a", JOINER + JOINER]),
        ("", []),
        (" \t\u00a0", []),
    ],
)
def test_splitting(line: str, tokens: list[str]) -> None:
    assert split_words(line) == tokens


@settings(deadline=None)
@given(st.text() | st.text(alphabet=f"ab,.{JOINER} \t\u2028é\u0301"))
@example(f"{JOINER}{JOINER}a {JOINER} b")
def test_joining_undoes_splitting_but_for_runs_of_spaces(line: str) -> None:
    assert join_words(split_words(line)).text == " ".join(line.split())


LINES = ["der Hund bellt, der Hund schläft", "der Vogel singt", "ein Hund"]


def test_ids_are_by_frequency_after_the_specials() -> None:
    tokenizer = WordTokenizer.train(LINES)
    words = tokenizer.pieces(range(len(tokenizer)))
    assert words[:4] == SPECIAL_TOKENS
    assert set(words[4:6]) == {"der", "Hund"}  # three times each
    assert sorted(words[6:]) == sorted(["bellt", "￭,", "schläft", "Vogel", "singt", "ein"])
    assert len(tokenizer) == 12


def test_rare_words_are_left_out() -> None:
    tokenizer = WordTokenizer.train(LINES, min_frequency=3)
    assert set(tokenizer.pieces(range(len(tokenizer)))) == {*SPECIAL_TOKENS, "der", "Hund"}
    assert len(WordTokenizer.train(LINES, min_frequency=4)) == 4


def test_the_largest_size_counts_words_without_specials() -> None:
    tokenizer = WordTokenizer.train([*LINES, "der"], max_size=1)
    assert tokenizer.pieces(range(len(tokenizer))) == [*SPECIAL_TOKENS, "der"]


def test_unknown_words_are_unk_and_do_not_grow_the_vocabulary() -> None:
    tokenizer = WordTokenizer.train(LINES)
    size, known = len(tokenizer), len(tokenizer._vocab.stoi)
    for _ in range(2):
        (ids,) = tokenizer.encode(["der Zebra , Hund"])  # " ," is not "￭,"
        assert [i == UNK for i in ids] == [False, True, True, False]
    assert (len(tokenizer), len(tokenizer._vocab.stoi)) == (size, known)
    assert tokenizer.decode(ids) == "der <unk> <unk> Hund"


def test_decoding_gives_the_text_without_specials() -> None:
    tokenizer = WordTokenizer.train(LINES)
    encoded = tokenizer.encode(LINES)
    assert [tokenizer.decode([BOS, *ids, EOS, PAD]) for ids in encoded] == LINES
    assert tokenizer.encode([""]) == [[]]
    assert tokenizer.decode([]) == ""


def test_words_written_like_specials_are_not_specials() -> None:
    tokenizer = WordTokenizer.train(["<s> <unk> </s>"])
    (ids,) = tokenizer.encode(["<s> <unk> </s>"])
    assert not {PAD, UNK, BOS, EOS} & set(ids)
    assert tokenizer.decode(ids) == "<s> <unk> </s>"


def test_save_and_load_keep_the_ids(tmp_path: Path) -> None:
    tokenizer = WordTokenizer.train([*LINES, "zwei zwei zwei zwei anders"])
    tokenizer.save(tmp_path / "src.words")
    assert b"\r" not in (tmp_path / "src.words").read_bytes()
    loaded = WordTokenizer.load(tmp_path / "src.words")
    assert loaded.pieces(range(len(loaded))) == tokenizer.pieces(range(len(tokenizer)))
    assert loaded.encode(LINES) == tokenizer.encode(LINES)


@pytest.mark.parametrize("damaged", [None, b"", b"der\nHund\n", b"\xff\xfe\x00"])
def test_a_damaged_word_list_is_refused(tmp_path: Path, damaged: bytes | None) -> None:
    path = tmp_path / "src.words"
    if damaged is not None:
        path.write_bytes(damaged)
    with pytest.raises(CheckpointError) as raised:
        WordTokenizer.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


VECTORS = b"haus 1 2 3\nHund 4 5 6\nhund 7 8 9\n, -1 0 0.5\n<unk> 9 9 9\n"


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", [b"", b"5 3\n"])
def test_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, header: bytes) -> None:
    path, here = tmp_path / name, tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    data = header + VECTORS
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    words = ["haus", "Haus", "Hund", JOINER + "hund", JOINER + ",", "HUND", "Zebra"]
    vectors, known = load_vectors(path, [*SPECIAL_TOKENS, *words], 3)
    assert known.tolist() == [False] * 4 + [True] * 6 + [False]  # never a special
    assert vectors[4:].tolist() == [
        [1, 2, 3],
        [1, 2, 3],  # lower-cased
        [4, 5, 6],  # the word itself comes first
        [7, 8, 9],
        [-1, 0, 0.5],
        [7, 8, 9],
        [0, 0, 0],
    ]
    assert vectors.dtype == torch.float32
    assert list(here.iterdir()) == []  # no cache is left behind
    assert set(tmp_path.iterdir()) == {path, here}


def test_vectors_of_another_size_are_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(VECTORS)
    with pytest.raises(ConfigError) as raised:
        load_vectors(path, [*SPECIAL_TOKENS, "haus"], 256)
    assert str(raised.value) == f"model.embedding_size=256: the vectors in {path} have 3 numbers"


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("number", [b"nan", b"-inf", b"1e999", b"1e39"])  # the last is beyond float32
def test_vectors_that_are_not_finite_name_their_line(tmp_path: Path, name: str, number: bytes) -> None:
    path, data = tmp_path / name, b"5 3\n" + VECTORS + b"Hund 4 " + number + b" 6\n"
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    with pytest.raises(DataError) as raised:
        load_vectors(path, [*SPECIAL_TOKENS, "haus"], 3)
    assert str(raised.value) == f"{path}:7: the vector of Hund is not finite; remove the line"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.txt", b""),
        ("words.txt", b"haus\nHund\n"),
        ("letters.txt", b"haus a b c\n"),
        ("ragged.txt", b"haus 1 2 3\nHund 4 5\n"),
        ("binary.bin", bytes(range(256)) * 4),
        ("not.gz", b"haus 1 2 3\n"),
        ("short.gz", gzip.compress(VECTORS * 100, mtime=0)[:30]),
    ],
)
def test_what_is_not_vectors_is_a_data_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError) as raised:
        load_vectors(path, [*SPECIAL_TOKENS, "haus"], 3)
    assert str(raised.value).startswith(f"{path}: not a text file of word vectors (")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_words_that_are_not_utf_8_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = tmp_path / name
    data = "haus 1 2 3\ntür 4 5 6\nhund 1 2 3\ngrün 7 8 9\n".encode("latin-1")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    _, known = load_vectors(path, [*SPECIAL_TOKENS, "haus", "tür", "hund", "grün"], 3)
    assert known.tolist()[4:] == [True, False, True, False]
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert message == (
        f"{path}:2: a word that is not UTF-8; 2 such words are left out; if they are Latin-1: "
        "iconv -f latin1 -t utf-8"
    )


def test_a_line_that_no_vector_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"haus 1 2 3\nhund")
    os.truncate(path, 2**34)
    with pytest.raises(DataError) as raised:
        load_vectors(path, [*SPECIAL_TOKENS, "haus"], 3)
    assert str(raised.value) == f"{path}: not a text file of word vectors (line 2 has over 1,048,576 bytes)"


def test_a_missing_file_of_vectors_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_vectors(tmp_path / "none.txt", [*SPECIAL_TOKENS, "haus"], 3)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'none.txt'}: no such file")
    assert "tokenizer.src_vectors" in message
    assert "\n" not in message


def test_certificates_are_still_checked_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl.create_default_context)
    path = tmp_path / "vectors.txt"
    path.write_bytes(VECTORS)
    load_vectors(path, [*SPECIAL_TOKENS, "haus"], 3)
    assert ssl._create_default_https_context is ssl.create_default_context


def test_token_bleu_of_the_references_is_100() -> None:
    lines = ["Der Hund schläft im Garten.", "Ja, das ist gut."]
    assert token_bleu(lines, lines) == pytest.approx(100)


def test_token_bleu_by_hand() -> None:
    # "… on the mat" for "… on a mat": 5/6 words, 3/5 pairs, 2/4 triples, 1/3 of the fours.
    expected = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert token_bleu(["the cat sat on the mat"], ["the cat sat on a mat"]) == pytest.approx(expected, rel=1e-5)


def test_token_bleu_punishes_brevity_and_does_not_smooth() -> None:
    # Nothing wrong in 4 of 6 words: exp(1 - 6/4).
    assert token_bleu(["the cat sat on"], ["the cat sat on a mat"]) == pytest.approx(60.653066, rel=1e-5)
    assert token_bleu(["the cat sat"], ["the cat sat"]) == 0.0  # no four words in a row
    assert token_bleu(["", ""], ["a", "b"]) == 0.0
