"""The scores of ``seq2seq.model.attention``, each with its backward, for use inside a recurrence.

A score object serves one batch. It computes the scores of one query after another, then the gradients of those
queries, and at the end the gradients of keys and weight. Shapes: B batch, S source length, A key size, N number
of queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seq2seq.model.attention import (
    Additive,
    Attention,
    Bahdanau,
    LuongConcat,
    LuongDot,
    LuongGeneral,
)


class FusedScore(Protocol):
    """Scores e of queries q, which are linear maps of decoder states, against the keys of one batch."""

    def __init__(self, keys: Tensor, weight: Tensor | None) -> None:
        """``keys`` (B, S, A); ``weight`` (A,) if the score has one."""

    def scores(self, query: Tensor) -> Tensor:
        """Scores e (B, S) of ``query`` (B, A)."""

    def backward(self, grad: Tensor, query: Tensor) -> Tensor:
        """Gradient dq (B, A) from de (B, S)."""

    def gradients(self, grads: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """Gradients of keys and weight, from all de (N, B, S) and q (N, B, A) that ``backward`` has seen."""


class FusedDotProduct:
    """The score e_i = k_iᵀ q, so dq = Σ_i de_i k_i and dk_i = Σ_t de_ti q_t, which is one product for all t."""

    def __init__(self, keys: Tensor, weight: Tensor | None) -> None:
        self.keys = keys

    def scores(self, query: Tensor) -> Tensor:
        """See ``FusedScore``."""
        return dot_product(query, self.keys)

    def backward(self, grad: Tensor, query: Tensor) -> Tensor:
        """See ``FusedScore``."""
        return weighted_sum(grad, self.keys)

    def gradients(self, grads: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """See ``FusedScore``."""
        return outer_sum(grads, queries), None


class FusedAdditive:
    """The score e_i = wᵀ u_i with u_i = σ(q + k_i), for q, k and w that are twice those of ``Additive``.

    For tanh(x) = 2σ(2x) - 1, the definition wᵀ tanh(q + k_i) is 2 wᵀ σ(2q + 2k_i) - Σw, and softmax does not see
    the constant. σ is as fast as tanh on some processors, and three to seven times as fast on others.

    Backward, with v_i = u_i (1 - u_i):

    dq = w ⊙ Σ_i de_i v_i    dk_i = w ⊙ Σ_t de_ti v_ti    dw = Σ_t Σ_i de_ti u_ti

    u is computed again in the backward pass: this costs less than keeping (N, B, S, A) numbers and reading them.
    """

    def __init__(self, keys: Tensor, weight: Tensor | None) -> None:
        assert weight is not None
        self.keys, self.weight = keys, weight
        self.energy = torch.empty_like(keys)  # u, then v: one buffer for all steps
        self.grad_keys: Tensor | None = None
        self.grad_weight = torch.zeros_like(weight)

    def scores(self, query: Tensor) -> Tensor:
        """See ``FusedScore``."""
        energy = torch.add(self.keys, query.unsqueeze(1), out=self.energy).sigmoid_()
        return torch.mv(energy.flatten(0, 1), self.weight).view(energy.shape[:2])

    def backward(self, grad: Tensor, query: Tensor) -> Tensor:
        """See ``FusedScore``."""
        energy = torch.add(self.keys, query.unsqueeze(1), out=self.energy).sigmoid_()
        self.grad_weight.addmv_(energy.flatten(0, 1).t(), grad.flatten())
        slope = torch.addcmul(energy, energy, energy, value=-1, out=energy)
        if self.grad_keys is None:
            self.grad_keys = slope * grad.unsqueeze(2)
        else:
            self.grad_keys.addcmul_(slope, grad.unsqueeze(2))
        return weighted_sum(grad, slope).mul_(self.weight)

    def gradients(self, grads: Tensor, queries: Tensor) -> tuple[Tensor, Tensor | None]:
        """See ``FusedScore``."""
        assert self.grad_keys is not None
        return self.grad_keys.mul_(self.weight), self.grad_weight


def dot_product(query: Tensor, keys: Tensor) -> Tensor:
    """qᵀ k_i for every i: (B, A) and (B, S, A) to (B, S)."""
    # The other way round, a matrix times a column, MKL takes ten times as long on some processors.
    return torch.bmm(query.unsqueeze(1), keys.transpose(1, 2)).squeeze(1)


def weighted_sum(weights: Tensor, values: Tensor) -> Tensor:
    """Σ_i weight_i value_i: (B, S) and (B, S, M) to (B, M)."""
    return torch.bmm(weights.unsqueeze(1), values).squeeze(1)


def outer_sum(weights: Tensor, vectors: Tensor) -> Tensor:
    """Σ_t weight_ti vector_t for every i: (N, B, S) and (N, B, A) to (B, S, A)."""
    return torch.bmm(weights.permute(1, 2, 0), vectors.transpose(0, 1))


class ScoreParts(NamedTuple):
    """The parts of an attention that the recurrence uses."""

    score: type[FusedScore]
    keys: Tensor  # (B, S, A)
    query_map: Tensor | None  # (A, D) from decoder state to query; None if they are the same
    weight: Tensor | None  # (A,)


def _dot(attention: LuongDot, keys: Tensor) -> ScoreParts:
    return ScoreParts(FusedDotProduct, keys, None, None)


def _general(attention: LuongGeneral, keys: Tensor) -> ScoreParts:
    return ScoreParts(FusedDotProduct, keys, attention.query.weight * attention.scale, None)


def _additive(attention: Additive, keys: Tensor) -> ScoreParts:
    return ScoreParts(FusedAdditive, 2 * keys, 2 * attention.query.weight, 2 * attention.score.weight.squeeze(0))


FUSED_SCORES: dict[type[Attention], Callable[[Any, Tensor], ScoreParts]] = {
    LuongDot: _dot,
    LuongGeneral: _general,
    LuongConcat: _additive,
    Bahdanau: _additive,
}
"""The attentions that have a fused score. With any other, the decoder trains through the plain ``next_state``."""
