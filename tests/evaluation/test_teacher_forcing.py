"""Loss and attention of an ensemble when the reference is fed, against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import NewModel

from seq2seq.data.batch import TokenizedPairs
from seq2seq.evaluation import teacher_forcing
from seq2seq.evaluation.teacher_forcing import teacher_forced_loss, teacher_forced_weights
from seq2seq.model import Seq2Seq
from seq2seq.text.tokenizer import BOS, EOS

SRC, TGT = [[5, 6, 7, 8], [9], [4, 5]], [[6, 7, 8], [4, 10, 5, 9], []]
PAIRS = TokenizedPairs.of(SRC, TGT)


@pytest.fixture
def models(new_model: NewModel) -> list[Seq2Seq]:
    return [new_model(variant="bahdanau"), new_model(variant="luong_concat", hidden=5, decoder_layers=2)]


@pytest.mark.parametrize("chunk", [2, 256])
@torch.no_grad()
def test_the_loss_is_of_the_normalised_geometric_mean(
    models: list[Seq2Seq], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_forcing, "CHUNK_ROWS", chunk)
    total, tokens = 0.0, 0
    for src, tgt in zip(SRC, TGT, strict=True):
        row = torch.tensor([[*src, EOS]])
        states = [model.encode(row, torch.ones_like(row, dtype=torch.bool)) for model in models]
        for read, word in zip([BOS, *tgt], [*tgt, EOS], strict=True):
            steps = [model.step(torch.tensor([read]), state) for model, state in zip(models, states, strict=True)]
            states = [state for _, _, state in steps]
            probabilities = [logits[0].softmax(dim=0).tolist() for logits, _, _ in steps]
            means = [math.sqrt(p * q) for p, q in zip(*probabilities, strict=True)]
            total -= math.log(means[word] / sum(means))
            tokens += 1
    assert teacher_forced_loss(models, PAIRS, 8) == pytest.approx(total / tokens)
    assert teacher_forced_loss(models[:1], PAIRS, 8) != pytest.approx(total / tokens)


def test_a_model_with_itself_is_that_model(models: list[Seq2Seq]) -> None:
    alone = teacher_forced_loss(models[:1], PAIRS, 8)
    assert teacher_forced_loss([models[0]] * 3, PAIRS, 8) == pytest.approx(alone)


def test_weights_are_the_mean_of_the_members(models: list[Seq2Seq]) -> None:
    found = dict(teacher_forced_weights(models, PAIRS, 8))
    first, second = (dict(teacher_forced_weights([model], PAIRS, 8)) for model in models)
    for i, weights in found.items():
        torch.testing.assert_close(weights, (first[i] + second[i]) / 2)
