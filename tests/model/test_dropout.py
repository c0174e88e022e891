"""Dropout: rate, scale, independence of neighbours, and that the seed fixes it."""

import pytest
import torch

from seq2seq.model.dropout import Dropout
from seq2seq.model.embedding import Embedding


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_drops_at_its_rate_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(1)
    dropped = Dropout(p)(torch.ones(400, 999))
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=4 * (p * (1 - p) / kept.numel()) ** 0.5)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert dropped[kept].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-4)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).float()
    for distance in range(1, 9):  # one draw serves four entries
        assert torch.corrcoef(torch.stack([kept[:-distance], kept[distance:]]))[0, 1].abs() < 0.01


def test_is_the_identity_without_training_or_rate() -> None:
    ones = torch.ones(10)
    assert Dropout(0.0)(ones) is ones
    assert Dropout(0.5).eval()(ones) is ones


def test_the_seed_fixes_it_and_gradients_see_the_same_mask() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(5)
        inputs = torch.ones(3, 5, requires_grad=True)
        dropped = Dropout(0.4)(inputs)
        dropped.sum().backward()
        assert inputs.grad is not None
        assert torch.equal(inputs.grad, dropped)
        masks.append(dropped)
    assert torch.equal(*masks)


def test_words_are_dropped_as_a_whole() -> None:
    torch.manual_seed(1)
    embedding = Embedding(10, 4, word_dropout=0.25)
    tokens = torch.randint(10, (50, 200))
    dropped = embedding(tokens)
    whole = embedding.eval()(tokens)
    kept = (dropped != 0).any(dim=2)
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)
    assert torch.equal(whole, embedding.weight[tokens] * 2)
