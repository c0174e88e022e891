"""Several models that translate together, against their definition in plain loops."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from small_models import NewModel, enlarged, letters_translator, make_model

from seq2seq.decoding.ensemble import PreparedEnsemble
from seq2seq.decoding.prepared import PreparedModel
from seq2seq.decoding.search import Hypothesis, SpecialTokens, search
from seq2seq.decoding.translator import Translator
from seq2seq.model import Seq2Seq
from seq2seq.precision import FP32, Precision
from seq2seq.settings.schema import DecodeConfig
from seq2seq.text.tokenizer import BOS, EOS, PAD, UNK

SPECIAL = SpecialTokens(BOS, EOS, (PAD, BOS, UNK))
SOURCES = [[5, 6, 7, EOS], [9, EOS], [4, 10, 8, EOS]]
LONGEST = 3
VOCABULARY = range(11)


@pytest.fixture
def models(new_model: NewModel) -> list[Seq2Seq]:
    """Of one vocabulary, and else of different kinds; they write more than the sentence end."""
    members = [
        new_model(variant="bahdanau"),
        new_model(variant="luong_general", hidden=5, decoder_layers=2),
        new_model(variant="luong_dot", embedding=6),
    ]
    for model in members:
        model.decoder.output.bias.data[EOS] -= 1.5
    return members


def oracle(models: list[Seq2Seq], src: list[int], words: list[int]) -> tuple[list[float], list[float]]:
    """Log-probabilities of the word after ``words``, and the weights from which it is predicted."""
    probabilities, weights = [], []
    for model in models:
        state = model.encode(torch.tensor([src]), torch.ones(1, len(src), dtype=torch.bool))
        for word in [BOS, *words]:
            logits, attended, state = model.step(torch.tensor([word]), state)
        probabilities.append(logits[0].softmax(dim=0).tolist())
        weights.append(attended[0].tolist())
    means = [math.prod(of_word) ** (1 / len(models)) for of_word in zip(*probabilities, strict=True)]
    log_probs = [math.log(value / sum(means)) for value in means]
    return log_probs, [sum(of_source) / len(models) for of_source in zip(*weights, strict=True)]


def found(models: list[Seq2Seq], **options: object) -> list[list[Hypothesis]]:
    decode = DecodeConfig(max_ratio=0.0, max_offset=LONGEST, length_penalty=0.0, **options)  # type: ignore[arg-type]
    ensemble = PreparedEnsemble([PreparedModel(model, FP32) for model in models])
    src = torch.tensor([row + [PAD] * (4 - len(row)) for row in SOURCES])
    start = ensemble.encode(src, src != PAD)
    return search(ensemble.step, start, [*map(len, SOURCES)], decode, SPECIAL)


@torch.no_grad()
def test_greedy_search_one_word_at_a_time(models: list[Seq2Seq]) -> None:
    for src, (hypothesis,) in zip(SOURCES, found(models, beam_size=1), strict=True):
        words: list[int] = []
        total, weights = 0.0, []
        while len(words) < LONGEST and EOS not in words:
            log_probs, attended = oracle(models, src, words)
            words.append(max(set(VOCABULARY) - set(SPECIAL.forbidden), key=log_probs.__getitem__))
            weights.append(attended)
            total += log_probs[words[-1]]
        length = len(words) - (EOS in words)
        assert hypothesis.tokens == words[:length] != []
        assert hypothesis.log_prob == pytest.approx(total, abs=1e-5)
        for ours, expected in zip(hypothesis.weights.tolist(), weights[:length], strict=True):
            assert ours == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_beam_search_against_all_translations(models: list[Seq2Seq]) -> None:
    """Of at most three words, with a beam that no translation falls out of."""
    for src, hypotheses in zip(SOURCES[:2], found(models[:2], beam_size=400, num_best=4), strict=False):
        after = {
            words: oracle(models[:2], src, [*words])[0]
            for length in range(LONGEST)
            for words in itertools.product(set(VOCABULARY) - {*SPECIAL.forbidden, EOS}, repeat=length)
        }
        totals: dict[tuple[int, ...], float] = {(): 0.0}
        all_of_them: dict[tuple[int, ...], float] = {}
        for words, log_probs in after.items():
            all_of_them[words] = totals[words] + log_probs[EOS]
            for word in set(VOCABULARY) - {*SPECIAL.forbidden, EOS}:
                totals[(*words, word)] = totals[words] + log_probs[word]
        all_of_them |= {words: total for words, total in totals.items() if len(words) == LONGEST}  # cut there
        best = sorted(all_of_them, key=lambda words: -all_of_them[words])[:4]
        assert [tuple(hypothesis.tokens) for hypothesis in hypotheses] == best
        expected = [all_of_them[words] for words in best]
        assert [hypothesis.log_prob for hypothesis in hypotheses] == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_candidates_are_the_same_words_of_every_member(models: list[Seq2Seq]) -> None:
    """Their probabilities are the ensemble's, among themselves."""
    words = torch.tensor([EOS, 4, 7, 9])
    ensemble = PreparedEnsemble([PreparedModel(model, FP32) for model in models])
    src = torch.tensor(SOURCES[:1])
    logits, _, _ = ensemble.step(torch.tensor([BOS]), ensemble.encode(src, src != PAD, words))
    of_all = [math.exp(oracle(models, SOURCES[0], [])[0][word]) for word in words]
    assert logits[0].softmax(dim=0).tolist() == pytest.approx([value / sum(of_all) for value in of_all])


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("beam", [1, 3])
def test_a_model_with_itself_is_that_model(beam: int, workers: str) -> None:
    alone = letters_translator(beam_size=beam, num_best=beam, workers=workers)
    twice = Translator(alone.model, alone.tokenizers, alone.decode, others=[alone.model])
    lines = ["a b c", "", "l k j i", "d"]
    for one, two in zip(alone.translate(lines), twice.translate(lines), strict=True):
        assert [each.text for each in one.candidates] == [each.text for each in two.candidates]
        for ours, expected in zip(two.candidates, one.candidates, strict=True):
            assert ours.score == pytest.approx(expected.score, abs=1e-5)
            torch.testing.assert_close(ours.weights, expected.weights)


def test_copies_are_of_all_members() -> None:
    alone = letters_translator(beam_size=2)
    torch.manual_seed(8)
    other = enlarged(make_model(vocab_size=len(alone.tokenizers.src), hidden=4, embedding=8)).eval()
    together = Translator(alone.model, alone.tokenizers, alone.decode, others=[other])
    lines = ["a b c", "d e f g", "l a"]
    expected = [*map(str, together.translate(lines))]
    assert expected != [*map(str, alone.translate(lines))]
    for copy in (
        together.in_precision(Precision("bf16")).in_precision(FP32),
        together.with_num_best(1),
        together.without_shortlist(),
    ):
        assert [*map(str, copy.translate(lines))] == expected
