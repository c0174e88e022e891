"""Pieces merged into words: which word each belongs to, whatever the line, and what its attention adds to."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from seq2seq.decoding.word_attention import WordAttention, links, pharaoh, word_attention, word_numbers
from seq2seq.settings.schema import UnigramConfig
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import Spelled, Tokenizer
from seq2seq.text.words import WordTokenizer

TEXT = ["Der Hund schläft, denn er ist müde.", "abc def ghi jkl mno pqr stu vwx yz - it's", "½ № ﬁ … ¨ ´ ß € ¿x?"]
KINDS: dict[str, dict[str, object]] = {
    "bytes": {},
    "unknown characters": {"byte_fallback": False},
    "identity": {"normalization": "identity"},
}


@cache
def tokenizer(kind: str) -> Tokenizer:
    if kind == "words":
        return WordTokenizer.train(TEXT)
    return SubwordTokenizer.train(TEXT * 3, UnigramConfig(vocab_size=400, **KINDS[kind]))  # type: ignore[arg-type]


STRANGE = [*"¨´ﬁ½…▁￭😀\u200b\u00ad\u3000\x1c\x85\u2028\0", "日本"]
LINES = st.text() | st.lists(st.sampled_from([*STRANGE, " ", "  ", "a", "Hund", ",", "."])).map("".join)
every_tokenizer = pytest.mark.parametrize("kind", [*KINDS, "words"])


@every_tokenizer
@given(line=LINES)
@example(line="it´s a¨b c")
@example(line="a\x1cb \u200b c")
@example(line="\u3000")
def test_every_line_has_the_words_between_its_spaces(kind: str, line: str) -> None:
    spelled, ids = tokenizer(kind).split(line), tokenizer(kind).encode([line])[0]
    assert spelled.text == line
    assert len(spelled.pieces) == len(spelled.starts) == len(ids)
    numbers = word_numbers(spelled)
    assert numbers == sorted(numbers)
    found = word_attention(torch.rand(3, len(ids) + 1).softmax(dim=1), spelled, Spelled("x y z", [], [0, 2, 4]))
    assert found.src == [*line.split(), "</s>"]
    torch.testing.assert_close(found.weights.sum(1), torch.ones(3))


@every_tokenizer
@given(line=LINES)
@example(line="a￭ ￭, Hund,,a")
@example(line="日本a 日本 a日本")
def test_every_translation_has_the_words_between_its_spaces(kind: str, line: str) -> None:
    ids = tokenizer(kind).encode([line])[0]
    pieces = tokenizer(kind).pieces(ids)
    spelled = tokenizer(kind).join(pieces)
    assert spelled.text == tokenizer(kind).decode(ids)
    assert len(spelled.starts) == len(pieces)
    found = word_attention(torch.rand(len(ids), 3).softmax(dim=1), Spelled("x y", [], [0, 2]), spelled)
    assert found.tgt == spelled.text.split()
    if ids:
        torch.testing.assert_close(found.weights.sum(1), torch.ones(len(found.tgt)))


SEPARATORS = st.sampled_from([" ", "   ", "\t", "\u00a0", "\u2003", "\u3000"])
WORDS = st.text(alphabet="abcdefghiﬁ½…üß日€,.-'", min_size=1, max_size=7)


@pytest.mark.parametrize("kind", ["bytes", "unknown characters", "words"])
@given(words=st.lists(st.tuples(WORDS, SEPARATORS), min_size=1, max_size=8))
def test_every_piece_is_part_of_its_word(kind: str, words: list[tuple[str, str]]) -> None:
    """Of lines whose spaces are spaces to the tokenizer too."""
    line = "".join(word + separator for word, separator in words)
    spelled = tokenizer(kind).split(line)
    numbers = word_numbers(spelled)
    assert set(numbers) == set(range(len(words)))
    for piece, number in zip(spelled.pieces, numbers, strict=True):
        assert piece.removeprefix("￭") in words[number][0]


def test_normalization_moves_no_word() -> None:
    """SentencePiece takes "it´s" for two words, and what follows a zero-width space for another one."""
    spelled = tokenizer("bytes").split("it´s a\u200bb  ½ ok")
    assert spelled.pieces[-1] == "k"
    numbers = word_numbers(spelled)
    assert numbers[0] == 0
    assert numbers[-1] == 3
    assert [spelled.text.split()[number] for number in sorted(set(numbers))] == ["it´s", "a\u200bb", "½", "ok"]


def test_source_pieces_add_up_and_target_pieces_are_averaged() -> None:
    weights = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.1, 0.3, 0.5, 0.1], [0.0, 0.7, 0.3, 0.0]])
    src = Spelled("Der Hund", ["Der", "Hu", "nd"], [0, 4, 6])
    found = word_attention(weights, src, Spelled("The dog", ["The", "do", "g"], [0, 4, 6]))
    assert (found.src, found.tgt) == (["Der", "Hund", "</s>"], ["The", "dog"])
    torch.testing.assert_close(found.weights, torch.tensor([[0.5, 0.4, 0.1], [0.05, 0.9, 0.05]]))
    assert links(found) == [(0, 0), (1, 1)]


@every_tokenizer
def test_merging_is_that_of_plain_loops(kind: str) -> None:
    src = tokenizer(kind).split("it´s  Der Hund,\u200b 日本 x")
    tgt = tokenizer(kind).split("The dog. sleeps ")
    torch.manual_seed(1)
    weights = torch.randn(len(tgt.pieces), len(src.pieces) + 1).softmax(dim=1)
    found = word_attention(weights, src, tgt)
    for t in range(3):
        rows = [i for i, number in enumerate(word_numbers(tgt)) if number == t]
        for s in range(6):
            places = [j for j, number in enumerate([*word_numbers(src), 5]) if number == s]
            expected = sum(float(weights[i, j]) for i in rows for j in places) / len(rows)
            assert float(found.weights[t, s]) == pytest.approx(expected, abs=1e-6)


def test_what_was_cut_gets_no_attention() -> None:
    src, tgt = Spelled("a b c d", list("abcd"), [0, 2, 4, 6]), Spelled("x y z", list("xyz"), [0, 2, 4])
    found = word_attention(torch.tensor([[0.1, 0.7, 0.2], [0.2, 0.3, 0.5]]), src, tgt)
    expected = [[0.1, 0.7, 0.0, 0.0, 0.2], [0.2, 0.3, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0, 0.0]]
    torch.testing.assert_close(found.weights, torch.tensor(expected))
    assert links(found) == [(1, 0)]  # the second looks at </s>, the third at nothing


def test_nothing_attends_to_nothing() -> None:
    found = word_attention(torch.zeros(0, 0), Spelled("\u200b", [], []), Spelled("", [], []))
    assert (found.src, found.tgt, found.weights.shape) == (["\u200b", "</s>"], [], (0, 2))
    assert pharaoh(found) == ""


def test_alignments_by_hand() -> None:
    weights = torch.tensor([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.1, 0.2, 0.7]])  # the last looks at </s>
    assert pharaoh(WordAttention(["a", "b", "</s>"], ["x", "y", "z"], weights)) == "0-1 1-0"
