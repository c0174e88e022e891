"""Candidates of a batch: what is always among them, what the source adds, and search over them."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import letters_translator

from seq2seq.decoding.shortlist import Shortlist
from seq2seq.text.lexicon import Lexicon
from seq2seq.text.tokenizer import EOS, PAD
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

SRC = WordTokenizer(["Hund", "Katze", "Mia", "ab", "<0xC3>"])  # 4 to 8
TGT = WordTokenizer(["<0xC3>", "<0xA9>", "dog", "hound", "cat", "Mia", "ab", "."])  # 4 to 11
BYTES, DOG, HOUND, CAT, MIA, END = [4, 5], 6, 7, 8, 9, 11
ROWS = [[], [], [], [], [DOG, HOUND], [CAT], [], [], []]


def shortlist(size: int = 1) -> Shortlist:
    parts = [target for row in ROWS for target in row], [*map(len, ROWS)], [END, MIA, DOG, HOUND, CAT]
    return Shortlist(
        Lexicon(*(torch.tensor(part, dtype=torch.int32) for part in parts)), TokenizerPair(SRC, TGT), size
    )


def words(*src: int, size: int = 1) -> list[int]:
    return shortlist(size).words(torch.tensor([[*src, EOS, PAD]])).tolist()


def test_what_the_source_adds() -> None:
    always = [0, 1, 2, 3]
    assert words() == [*always, END]
    assert words(4) == [*always, DOG, END]
    assert words(4, 5) == [*always, DOG, CAT, END]
    assert words(4, size=2) == [*always, DOG, HOUND, MIA, END]
    assert words(6) == [*always, MIA, END]  # the same name
    assert words(7) == [*always, END]  # "ab" is a target piece too, but none that a training sentence has
    assert words(8) == [*always, *BYTES, END]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=12), st.integers(1, 5))
def test_candidates_are_sorted_and_hold_what_each_piece_alone_needs(ids: list[int], size: int) -> None:
    selected = shortlist(size).words(torch.tensor(ids).view(1, -1))
    assert selected.dtype == torch.int64
    assert selected.tolist() == sorted({word for i in ids for word in words(i, size=size)})


def test_a_translator_writes_only_candidates() -> None:
    translator = letters_translator(beam_size=3, num_best=3)
    free = translator.translate(["abc", "def"])
    nothing = torch.zeros(0, dtype=torch.int32)
    frequent = torch.arange(4, 16, dtype=torch.int32)
    lexicon = Lexicon(nothing, torch.zeros(len(translator.tokenizers.src), dtype=torch.int32), frequent)
    translator.shortlist = Shortlist(lexicon, translator.tokenizers, 1)  # "a", and the letters of the source
    for line in translator.translate(["abc", "def"]):
        assert all(set(candidate.pieces) <= {*"abcdef"} for candidate in line.candidates)
    assert any({*candidate.pieces} - {*"abcdef"} for line in free for candidate in line.candidates)
    assert [line.text for line in translator.without_shortlist().translate(["abc", "def"])] == [
        line.text for line in free
    ]
    translator.shortlist = Shortlist(lexicon, translator.tokenizers, 12)  # every letter
    assert [line.candidates[0].text for line in translator.translate(["abc", "def"])] == [
        line.text for line in free
    ]
