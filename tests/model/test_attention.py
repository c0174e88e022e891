"""Every attention against its formula, written as plain loops in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seq2seq.model import ATTENTIONS
from seq2seq.model.attention import Attention, LuongDot


def parameters_of(attention: Attention) -> dict[str, list[list[float]]]:
    return {name: tensor.tolist() for name, tensor in attention.state_dict().items()}


def times(matrix: list[list[float]], vector: list[float]) -> list[float]:
    return [sum(a * x for a, x in zip(row, vector, strict=True)) for row in matrix]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def oracle_score(variant: str, weights: dict[str, list[list[float]]], s: list[float], h: list[float]) -> float:
    """e_ti of one decoder state s and one encoder state h."""
    if variant == "luong_dot":
        return dot(h, s)
    if variant == "luong_general":
        return dot(h, times(weights["query.weight"], s)) / math.sqrt(len(h))  # the parameter is √M W
    if variant == "luong_concat":
        both = [
            q + k for q, k in zip(weights["query.weight"], weights["key.weight"], strict=True)
        ]  # W = [W_q W_k]
        return dot(weights["score.weight"][0], [math.tanh(x) for x in times(both, s + h)])
    assert variant == "bahdanau"
    query, key = times(weights["query.weight"], s), times(weights["key.weight"], h)
    return dot(weights["score.weight"][0], [math.tanh(q + k) for q, k in zip(query, key, strict=True)])


def oracle(
    variant: str, attention: Attention, s: list[float], states: list[list[float]]
) -> tuple[list[float], ...]:
    """Scores, weights and context for one sentence without padding."""
    scores = [oracle_score(variant, parameters_of(attention), s, h) for h in states]
    exps = [math.exp(e) for e in scores]
    weights = [e / sum(exps) for e in exps]
    context = [sum(w * h[m] for w, h in zip(weights, states, strict=True)) for m in range(len(states[0]))]
    return scores, weights, context


def new_attention(variant: str, size: int) -> Attention:
    torch.manual_seed(1)
    sizes = {"size": 7} if variant == "bahdanau" else {}
    return ATTENTIONS[variant](size, size, **sizes).double()


def test_follows_its_formula(variant: str) -> None:
    size, lengths = 5, [10, 3, 1]
    attention = new_attention(variant, size)
    states = torch.randn(3, 10, size, dtype=torch.float64)
    query = torch.randn(3, size, dtype=torch.float64)
    mask = torch.arange(10) < torch.tensor(lengths).unsqueeze(1)
    memory = attention.prepare(states, mask)
    scores = attention.scores(query.unsqueeze(1), memory.keys).squeeze(1)
    context, weights = attention(query, memory)
    for row, length in enumerate(lengths):
        expected = oracle(variant, attention, query[row].tolist(), states[row, :length].tolist())
        for ours, theirs in zip(
            [scores[row, :length], weights[row, :length], context[row]], expected, strict=True
        ):
            assert ours.tolist() == pytest.approx(theirs, abs=1e-12)


def test_shapes_of_the_source_formulas(variant: str) -> None:
    """D = M = 5, N = 10: scores 10 × 1, weights that sum to 1, context 5 × 1, v_t = [s_t ; a_t] 10 × 1."""
    attention = new_attention(variant, 5)
    states, s = torch.randn(1, 10, 5, dtype=torch.float64), torch.randn(1, 5, dtype=torch.float64)
    memory = attention.prepare(states, torch.ones(1, 10, dtype=torch.bool))
    context, weights = attention(s, memory)
    assert attention.scores(s.unsqueeze(1), memory.keys)[0].T.shape == (10, 1)
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-12)
    assert context.T.shape == (5, 1)
    assert torch.cat([s, context], dim=1).T.shape == (10, 1)


def test_padding_gets_weight_zero_and_changes_nothing(variant: str) -> None:
    attention = new_attention(variant, 4)
    states, query = torch.randn(2, 6, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    context, weights = attention(query, attention.prepare(states, mask))
    assert weights[0, 4:].tolist() == [0.0, 0.0]
    other = states.clone()
    other[0, 4:] = 1e6
    changed = attention(query, attention.prepare(other, mask))
    assert torch.equal(changed[0], context)
    assert torch.equal(changed[1], weights)


def test_gradients(variant: str) -> None:
    attention = new_attention(variant, 3)
    mask = torch.tensor([[True, True, True], [True, True, False]])

    def context(query: Tensor, states: Tensor) -> Tensor:
        return attention(query, attention.prepare(states, mask))[0]

    query = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    states = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(context, (query, states))


def test_maps_have_no_bias(variant: str) -> None:
    maps = {"luong_dot": set(), "luong_general": {"query"}}.get(variant, {"query", "key", "score"})
    assert {name for name, _ in new_attention(variant, 4).named_parameters()} == {
        f"{name}.weight" for name in maps
    }


def test_dot_needs_equal_sizes() -> None:
    with pytest.raises(ValueError, match=r"size 4 .* size 6.*must be equal"):
        LuongDot(4, 6)


def test_known_answer() -> None:
    """Scores log 1 and log 3 make weights 1/4 and 3/4."""
    states = torch.tensor([[[0.0, 2.0], [math.log(3), 6.0]]])
    attention = LuongDot(2, 2)
    context, weights = attention(torch.tensor([[1.0, 0.0]]), attention.prepare(states, torch.ones(1, 2) > 0))
    assert weights[0].tolist() == pytest.approx([0.25, 0.75])
    assert context[0].tolist() == pytest.approx([0.75 * math.log(3), 5.0])


def test_several_queries_for_each_source(variant: str) -> None:
    attention = new_attention(variant, 4)
    states, queries = torch.randn(2, 6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    memory = attention.prepare(states, mask)
    together = attention(queries, memory)
    for row in range(6):
        alone = attention(queries[row : row + 1], memory.select(torch.tensor([row // 3])))
        for ours, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(ours[0], theirs[row], atol=1e-12, rtol=0)
