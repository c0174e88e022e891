"""Pieces merged into words, and their attention."""

from __future__ import annotations

import pytest
import torch

from seq2seq.decoding.translator import Candidate, Translation
from seq2seq.decoding.word_attention import spans, word_attention


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["▁Der", "▁H", "und", ".", "</s>"], ["Der", "Hund.", "</s>"]),
        (["▁", "<0xE2>", "<0x82>", "<0xAC>", "▁x"], ["€", "x"]),
        (["Ja", "￭,", "gut", "￭", "</s>"], ["Ja,", "gut", "￭", "</s>"]),
        (["a", "b"], ["a", "b"]),
        ([], []),
    ],
)
def test_words_are_what_stands_between_spaces(pieces: list[str], words: list[str]) -> None:
    found = spans(pieces)
    assert [word for word, _ in found] == words
    assert [i for _, span in found for i in range(len(pieces))[span]] == list(range(len(pieces)))


def test_source_pieces_add_up_and_target_pieces_are_averaged() -> None:
    weights = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.1, 0.3, 0.5, 0.1], [0.0, 0.7, 0.3, 0.0]])
    candidate = Candidate("The dog", 0.0, 0.0, ["▁The", "▁do", "g"], weights)
    found = word_attention(Translation("Der Hund", ["▁Der", "▁Hu", "nd", "</s>"], [candidate], False))
    assert found.src == ["Der", "Hund", "</s>"]
    assert found.tgt == ["The", "dog"]
    expected = torch.tensor([[0.5, 0.4, 0.1], [0.05, 0.9, 0.05]])
    torch.testing.assert_close(found.weights, expected)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(2))
