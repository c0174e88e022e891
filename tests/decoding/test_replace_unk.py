"""Unknown words of a translation, replaced by the source words that they attend to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_models import letters_translator

from seq2seq.decoding import translator as translator_module
from seq2seq.decoding.prepared import PreparedModel
from seq2seq.decoding.search import Hypothesis
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.decoding.word_attention import pharaoh
from seq2seq.errors import ConfigError
from seq2seq.settings.rules import check_unknown_words
from seq2seq.settings.schema import DecodeConfig, TokenizerConfig, UnigramConfig, WordConfig
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import UNK, Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

Translate = Callable[..., tuple[Translator, Translation]]


@pytest.fixture
def translate(monkeypatch: pytest.MonkeyPatch) -> Translate:
    """Translates ``line`` with a search that finds ``pieces``, each of which looks at one of the source tokens."""

    def translate(
        pair: TokenizerPair, line: str, pieces: list[str], looks: list[int], replace_unk: bool = True
    ) -> tuple[Translator, Translation]:
        vocabulary = pair.tgt.pieces(range(len(pair.tgt)))
        weights = torch.full((len(pieces), len(pair.src.encode([line])[0]) + 1), 0.01)
        weights[range(len(pieces)), looks] = 1.0
        hypothesis = Hypothesis([vocabulary.index(piece) for piece in pieces], 0.0, 0.0, weights)
        monkeypatch.setattr(translator_module, "search", lambda *_: [[hypothesis]])
        monkeypatch.setattr(PreparedModel, "encode", lambda *_: None)
        translator = Translator(letters_translator().model, pair, DecodeConfig(replace_unk=replace_unk))
        return translator, translator.translate([line])[0]

    return translate


SRC, TGT = WordTokenizer(["Herr", "wohnt", "in", "￭,", "￭."]), WordTokenizer(["Mr", "lives", "in", "￭,", "￭."])
WORDS = TokenizerPair(SRC, TGT)


def test_each_unknown_word_is_that_of_the_line(translate: Translate) -> None:
    line = "Herr  Müller wohnt in Köln."
    pieces, looks = ["Mr", "<unk>", "lives", "in", "<unk>", "￭."], [0, 1, 2, 3, 4, 5]
    translator, translation = translate(WORDS, line, pieces, looks)
    assert translation.text == "Mr Müller lives in Köln."
    assert translation.candidates[0].pieces == ["Mr", "Müller", "lives", "in", "Köln", "￭."]
    assert translation.src_pieces == ["Herr", "<unk>", "wohnt", "in", "<unk>", "￭.", "</s>"]
    assert translator.word_attention(translation).tgt == ["Mr", "Müller", "lives", "in", "Köln."]
    assert pharaoh(translator.word_attention(translation)) == "0-0 1-1 2-2 3-3 4-4"
    _, kept = translate(WORDS, line, pieces, looks, replace_unk=False)
    assert kept.text == "Mr <unk> lives in <unk>."
    assert kept.candidates[0].pieces == pieces


def test_a_known_word_may_be_copied_and_the_sentence_end_not(translate: Translate) -> None:
    _, translation = translate(WORDS, "Herr in", ["<unk>", "Mr", "<unk>"], [0, 1, 2])
    assert translation.text == "Herr Mr Herr"  # the last looks at </s>, and as much at either word


def test_a_word_without_a_space_before_it_stays_so(translate: Translate) -> None:
    _, translation = translate(WORDS, "Herr in-Köln", ["Mr", "in", "<unk>", "<unk>"], [0, 1, 2, 3])
    assert translation.text == "Mr in-Köln"


def test_a_copied_word_may_have_the_name_of_a_special_token(translate: Translate) -> None:
    translator, translation = translate(WORDS, "<unk> Herr", ["<unk>", "<unk>", "<unk>", "Mr"], [0, 1, 2, 3])
    assert translation.text == "<unk> Mr"
    assert translator.word_attention(translation).tgt == ["<unk>", "Mr"]


def test_cut_sources(translate: Translate, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.tensor([[0.1, 0.2, 0.7]])
    monkeypatch.setattr(translator_module, "search", lambda *_: [[Hypothesis([UNK], 0.0, 0.0, weights)]])
    monkeypatch.setattr(PreparedModel, "encode", lambda *_: None)
    decode = DecodeConfig(replace_unk=True, max_src_tokens=2)
    (translation,) = Translator(letters_translator().model, WORDS, decode).translate(["Herr Müller wohnt in Köln"])
    assert (translation.text, translation.truncated) == ("Müller", True)


@pytest.fixture(scope="module")
def subwords() -> Tokenizer:
    settings = UnigramConfig(vocab_size=40, byte_fallback=False)
    return SubwordTokenizer.train(["der Hund und die Katze", "the dog and the cat"] * 20, settings)


def test_unknown_characters_are_those_of_the_line(translate: Translate, subwords: Tokenizer) -> None:
    line = "der 日本  Hund\u3000日本x"
    pair, ids = TokenizerPair(subwords, subwords), subwords.encode([line])[0]
    first, second = (i for i, token in enumerate(ids) if token == UNK)
    pieces = subwords.pieces(ids)
    assert pieces[first - 1] == "▁"  # which is nothing to be copied
    looks = [*range(len(ids))]
    _, translation = translate(pair, line, pieces, looks)
    assert translation.text == "der 日本 Hund 日本x"
    for place in (first, second):
        looks[place] = first - 1
    translator, translation = translate(pair, line, pieces, looks)
    copied = [translation.candidates[0].pieces[place] for place in (first, second)]
    assert copied == [next(filter(None, subwords.split(line).pieces))] * 2  # the next best: all are equal
    assert len(translator.word_attention(translation).tgt) == len(translation.text.split())


def test_search_may_write_unknown_words_only_then() -> None:
    lines = ["a b c", "d e f g", "l k"]
    plain = letters_translator()
    for translator in (letters_translator(allow_unk=True), letters_translator(replace_unk=True)):
        with torch.no_grad():
            translator.model.decoder.output.bias[UNK] = 100.0
        for translation in translator.translate(lines):
            copied = set(translation.source.split()) if translator.decode.replace_unk else {"<unk>"}
            assert set(translation.text.split()) <= copied
    assert not any("<unk>" in translation.text for translation in plain.translate(lines))


@pytest.mark.parametrize(
    ("tokenizer", "refused"),
    [(UnigramConfig(), True), (UnigramConfig(byte_fallback=False), False), (WordConfig(), False)],
)
def test_words_that_are_spelled_in_bytes_are_never_unknown(tokenizer: TokenizerConfig, refused: bool) -> None:
    check_unknown_words(DecodeConfig(), tokenizer)
    if refused:
        with pytest.raises(ConfigError, match=r"^decode\.replace_unk=true: with tokenizer\.byte_fallback=true"):
            check_unknown_words(DecodeConfig(replace_unk=True), tokenizer)
    else:
        check_unknown_words(DecodeConfig(replace_unk=True), tokenizer)
