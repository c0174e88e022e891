"""Lines in, translations out: their order, blank and over-long lines, n-best lists, line breaks, 8 bits."""

from __future__ import annotations

import random

import pytest
import torch
from small_models import letters_translator

from seq2seq.decoding import translator as translator_module
from seq2seq.decoding.prepared import PreparedModel
from seq2seq.decoding.search import Hypothesis
from seq2seq.decoding.translator import Translator
from seq2seq.errors import ConfigError, DecodingError
from seq2seq.precision import Precision
from seq2seq.settings.schema import DecodeConfig, UnigramConfig
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair


def some_lines(count: int = 25) -> list[str]:
    rng = random.Random(1)
    return [" ".join(rng.choices("abcdefghijkl", k=rng.randint(1, 9))) for _ in range(count)]


@pytest.mark.parametrize("beam", [1, 3])
def test_each_line_is_translated_as_if_alone_and_in_its_place(beam: int) -> None:
    translator, lines = letters_translator(beam_size=beam, batch_tokens=30), some_lines()
    together = translator.translate(lines)
    alone = [translator.translate([line])[0] for line in lines]
    assert [translation.source for translation in together] == lines
    assert [str(translation) for translation in together] == [translation.text for translation in alone]
    assert len({translation.text for translation in together}) > 5  # the model does not say one thing only
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.candidates[0].score == pytest.approx(theirs.candidates[0].score, abs=1e-5)
        torch.testing.assert_close(ours.candidates[0].weights, theirs.candidates[0].weights)


def test_blank_lines_stay_blank() -> None:
    translator = letters_translator()
    translations = translator.translate(["", "a b", " \t ", "c"])
    assert [bool(translation.text) for translation in translations] == [False, True, False, True]
    for blank in translations[::2]:
        assert (blank.src_pieces, len(blank.candidates), blank.truncated, str(blank)) == ([], 1, False, "")
    assert [str(t) for t in translator.translate(["a b", "c"])] == [str(t) for t in translations[1::2]]
    assert [translation.text for translation in translator.translate(["", " "])] == ["", ""]
    assert translator.translate([]) == []


def test_over_long_lines_are_cut_and_say_so() -> None:
    translator = letters_translator(max_src_tokens=3)
    long, cut = translator.translate(["a b c d e", "a b c"])
    assert (long.truncated, cut.truncated) == (True, False)
    assert long.src_pieces == cut.src_pieces == ["a", "b", "c", "</s>"]
    assert long.text == cut.text
    assert translator.encode(["a b c d e", "l"])[1] == [True, False]
    assert letters_translator().translate(["a b c d e"])[0].text != long.text


def test_pairs_are_cut_as_search_cuts_them(caplog: pytest.LogCaptureFixture) -> None:
    translator = letters_translator(max_src_tokens=3)  # from which it writes 3 + 1 tokens at most
    pairs, cut = translator.encode_pairs(["a b c", "a b c d", "a"], ["a b c d", "a b c d e", "a b c d e f"])
    same, _ = translator.encode_pairs(["a b c", "a b c", "a"], ["a b c d"] * 3)
    assert [side.tolist() for side in pairs] == [side.tolist() for side in same]
    assert cut == 2
    assert caplog.messages == [
        "too long and cut: 1 of 3 sources, at decode.max_src_tokens=3, and for loss and perplexity 2 references, "
        "at 4 tokens"
    ]


def test_n_best() -> None:
    translator = letters_translator(beam_size=4, num_best=3)
    (translation,) = translator.translate(["a b c d"])
    candidates = translation.candidates
    assert len({tuple(candidate.pieces) for candidate in candidates}) == 3
    assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)
    assert translation.text == candidates[0].text
    for candidate in candidates:
        assert candidate.weights.shape == (len(candidate.pieces), len(translation.src_pieces))
        torch.testing.assert_close(candidate.weights.sum(dim=1), torch.ones(len(candidate.pieces)))
    with pytest.raises(ConfigError, match=r"decode\.num_best=3: at most decode\.beam_size=2"):
        letters_translator(beam_size=2, num_best=3)


def test_a_line_break_spelled_in_bytes_is_no_line_break(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = SubwordTokenizer.train(["a b c d e f"], UnigramConfig(vocab_size=300))
    spelled = [tokenizer.pieces(range(len(tokenizer))).index("<0x0A>"), *tokenizer.encode(["a b"])[0]]
    assert tokenizer.decode(spelled).startswith("\n")
    hypothesis = Hypothesis(spelled, 0.0, 0.0, torch.ones(len(spelled), 2))
    monkeypatch.setattr(translator_module, "search", lambda *_: [[hypothesis]])
    model = letters_translator().model
    translator = Translator(model, TokenizerPair(tokenizer, tokenizer), DecodeConfig())
    monkeypatch.setattr(PreparedModel, "encode", lambda *_: None)
    assert translator.translate(["a"])[0].text.split(" ")[-2:] == ["a", "b"]
    assert "\n" not in translator.translate(["a"])[0].text


def test_in_8_bits_about_the_same_and_the_model_is_left_alone() -> None:
    exact, rounded = letters_translator(), letters_translator(Precision("int8"))
    weights = {name: weight.clone() for name, weight in rounded.model.state_dict().items()}
    lines = some_lines()
    differ = 0
    for ours, theirs in zip(rounded.translate(lines), exact.translate(lines), strict=True):
        assert ours.candidates[0].score == pytest.approx(theirs.candidates[0].score, abs=0.2)
        differ += ours.candidates[0].score != theirs.candidates[0].score
    assert differ > len(lines) / 2
    assert all(torch.equal(weight, weights[name]) for name, weight in rounded.model.state_dict().items())


def test_progress_is_told() -> None:
    told: list[int] = []
    letters_translator(batch_tokens=30).translate(some_lines(25), told.append)
    assert sum(told) == 25
    assert len(told) > 3


def test_one_text_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(TypeError, match=r"translate\(\[line\]\)"):
        letters_translator().translate("a b c")


@pytest.mark.parametrize("beam", [1, 5])
def test_weights_that_are_no_numbers_are_an_error(beam: int) -> None:
    translator = letters_translator(beam_size=beam)
    with torch.no_grad():
        translator.model.decoder.output.bias[5] = torch.nan
    with pytest.raises(DecodingError, match="not finite"):
        translator.translate(["a b"])
