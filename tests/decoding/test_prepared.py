"""The prepared model against the plain ``Seq2Seq.step``, and search with either."""

from __future__ import annotations

import pytest
import torch
from small_models import NewModel, enlarged, make_model
from torch import Tensor

from seq2seq.decoding import prepared as prepared_module
from seq2seq.decoding.prepared import PreparedModel
from seq2seq.decoding.search import SpecialTokens, search
from seq2seq.precision import FP32, Precision
from seq2seq.settings.schema import DecodeConfig

SRC = torch.tensor([[4, 5, 6, 1], [7, 8, 1, 0], [9, 1, 0, 0]])
SPECIAL = SpecialTokens(bos=2, eos=1, forbidden=(0, 2))
Steps = list[tuple[Tensor, Tensor]]


def steps(model: object, words: Tensor | None = None) -> Steps:
    """Logits and weights of some steps, between which rows are repeated, reordered and dropped."""
    state = model.encode(SRC, SRC != 0) if words is None else model.encode(SRC, SRC != 0, words)  # type: ignore
    results: Steps = []
    for tokens, change in (
        ([2, 2, 2], lambda s: s.repeat(2)),
        ([3, 4, 5, 6, 7, 8], lambda s: s.select(torch.tensor([1, 0, 5, 5]))),  # the second source is done
        ([5, 4, 3, 6], lambda s: s.select(torch.tensor([3, 2]))),
        ([10, 9], lambda s: s),
    ):
        logits, weights, state = model.step(torch.tensor(tokens), state)  # type: ignore[attr-defined]
        results.append((logits, weights))
        state = change(state)
    return results


@pytest.mark.parametrize("largest_table", [0, 2**25])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("tie", ["none", "all"])
@torch.no_grad()
def test_the_same_numbers(
    new_model: NewModel, variant: str, layers: int, tie: str, largest_table: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_module, "LARGEST_TABLE", largest_table)
    model = new_model(variant=variant, decoder_layers=layers, transitions=layers, tie=tie)
    for ours, exact in zip(steps(PreparedModel(model, FP32)), steps(model), strict=True):
        torch.testing.assert_close(ours, exact, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("precision", "error"), [("bf16", 0.02), ("int8", 0.06)])
@torch.no_grad()
def test_about_the_same_numbers_in_fewer_bits(variant: str, precision: str, error: float) -> None:
    torch.manual_seed(3)
    model = enlarged(make_model(variant=variant, decoder_layers=2)).eval()
    rounded = PreparedModel(model, Precision(precision))
    for ours, exact in zip(steps(rounded), steps(model), strict=True):
        assert not torch.equal(ours[0], exact[0])
        torch.testing.assert_close(ours, exact, atol=error, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@torch.no_grad()
def test_logits_of_candidates_are_those_columns(precision: str) -> None:
    torch.manual_seed(3)
    model = PreparedModel(enlarged(make_model()).eval(), Precision(precision))
    words = torch.tensor([1, 3, 4, 9])
    for some, full in zip(steps(model, words), steps(model), strict=True):
        torch.testing.assert_close(some, (full[0][:, words], full[1]), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("beam", [1, 3])
def test_search_finds_the_same(new_model: NewModel, variant: str, beam: int) -> None:
    model, decode = new_model(variant=variant), DecodeConfig(beam_size=beam, num_best=beam)
    ours, exact = (
        search(each.step, each.encode(SRC, SRC != 0), [4, 3, 2], decode, SPECIAL)
        for each in (PreparedModel(model, FP32), model)
    )
    for our, their in zip(ours, exact, strict=True):
        assert [hypothesis.tokens for hypothesis in our] == [hypothesis.tokens for hypothesis in their]
        for a, b in zip(our, their, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-5)
            torch.testing.assert_close(a.weights, b.weights)


@pytest.mark.parametrize("beam", [1, 3])
def test_search_among_candidates_finds_what_it_does_with_the_others_forbidden(beam: int) -> None:
    """Only their probabilities differ, since the candidates share what the others would have."""
    torch.manual_seed(7)
    model, words = PreparedModel(enlarged(make_model()).eval(), FP32), torch.tensor([0, 1, 5, 7, 9])
    decode = DecodeConfig(beam_size=beam, num_best=1)

    def only_words(tokens: Tensor, state: object) -> tuple[Tensor, Tensor, object]:
        logits, weights, state = model.step(tokens, state)  # type: ignore[arg-type]
        others = torch.ones(logits.size(1), dtype=torch.bool).index_fill_(0, words, False)
        return logits.masked_fill(others, -1e9), weights, state

    start = model.encode(SRC, SRC != 0)
    exact = search(only_words, start, [4, 3, 2], decode, SPECIAL)  # type: ignore[arg-type]
    ours = search(model.step, model.encode(SRC, SRC != 0, words), [4, 3, 2], decode, SPECIAL, words=words)
    assert [best.tokens for [best] in ours] == [best.tokens for [best] in exact]
    assert [best.score for [best] in ours] == pytest.approx([best.score for [best] in exact], abs=1e-5)
    assert {token for [best] in ours for token in best.tokens} == {5, 9}


def test_the_model_is_left_alone_and_later_changes_do_not_show(new_model: NewModel) -> None:
    model = new_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    prepared = PreparedModel(model, FP32)
    first = steps(prepared)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    for parameter in model.decoder.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(steps(prepared), first)
