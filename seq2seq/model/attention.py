"""Attention: scores → mask → softmax → weighted sum.

``Attention`` has what all variants share. A variant defines how a query is scored against the memory, and which
context is read out beside the decoder state. Shapes: B batch, K queries for each source (1 in training, the
beam in search), S source length, M memory size, D decoder state size, A attention key size.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Memory(NamedTuple):
    """What attention looks at: computed once for each source, then the same at every decoder step."""

    values: Tensor  # (B, S, M) encoder states H
    keys: Tensor  # (B, S, A) what the query is compared with
    mask: Tensor  # (B, S) True on real tokens

    def select(self, rows: Tensor) -> Memory:
        """The memory of the given batch rows, in that order; ``rows`` is (B',) int64."""
        return Memory(*(part.index_select(0, rows) for part in self))


class FoldedScore(NamedTuple):
    """Scores that differ from those of an attention by a constant for each query, from one matrix on each side.

    e_i = q·k_i or, with a weight w, e_i = w·σ(q + k_i), where q and k are ``query`` times the decoder state and
    ``keys`` times the encoder state; no matrix stands for the identity. The softmax is the same.
    """

    query: Tensor | None = None  # (A, D)
    keys: Tensor | None = None  # (A, M)
    weight: Tensor | None = None  # (A,)

    def __call__(self, query: Tensor, keys: Tensor) -> Tensor:
        """The scores (B, K, S) of q, ``query`` (B, K, A), and k, ``keys`` (B, S, A)."""
        if self.weight is None:
            return torch.bmm(query, keys.transpose(1, 2))
        return torch.matmul((query.unsqueeze(2) + keys.unsqueeze(1)).sigmoid_(), self.weight)


class Attention(nn.Module):
    """Base of all variants: context a_t = H α_t with α_t = softmax(e_t), padding weighted exactly 0."""

    reads_new_context: ClassVar[bool]
    """Which context is read out beside s_t: attend(s_t) if True, else attend(s_{t-1}), which built s_t."""

    def prepare(self, states: Tensor, mask: Tensor) -> Memory:
        """Source-side work, done once: ``states`` (B, S, M) and ``mask`` (B, S) to a ``Memory``."""
        return Memory(states, self.keys(states), mask)

    def keys(self, states: Tensor) -> Tensor:
        """The part of the scores that does not depend on the query: (B, S, M) to (B, S, A)."""
        return states

    @abstractmethod
    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """e_t of ``query`` (B, K, D) against ``keys`` (B, S, A): (B, K, S)."""

    @abstractmethod
    def folded(self) -> FoldedScore:
        """The same scores in as few products as possible, for search."""

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts (BK, M) and weights (BK, S) of ``query`` (BK, D), the K queries of a source side by side."""
        scores = self.scores(query.unflatten(0, (len(memory.mask), -1)), memory.keys)
        weights = scores.masked_fill(~memory.mask.unsqueeze(1), -torch.inf).softmax(dim=-1)
        contexts = torch.bmm(weights, memory.values)  # Σ_i α_i h_i
        return contexts.flatten(0, 1), weights.flatten(0, 1)

    if TYPE_CHECKING:
        __call__ = forward


class LuongDot(Attention):
    """e_t = Hᵀ s_t; needs D = M (Luong, Pham and Manning, 2015, equation 8, "dot")."""

    reads_new_context = True

    def __init__(self, decoder_size: int, memory_size: int) -> None:
        super().__init__()
        if decoder_size != memory_size:
            raise ValueError(
                f"dot score compares decoder states of size {decoder_size} with encoder states of size "
                f"{memory_size}: the sizes must be equal"
            )

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(query, keys.transpose(1, 2))

    def folded(self) -> FoldedScore:
        return FoldedScore()


class LuongGeneral(Attention):
    """e_t = Hᵀ (W s_t) (Luong, Pham and Manning, 2015, equation 8, "general").

    The parameter is √M W. One step of Adam changes all M × D entries by about the learning rate; if W itself were
    the parameter, the scores would move so far that the softmax saturates.
    """

    reads_new_context = True

    def __init__(self, decoder_size: int, memory_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(decoder_size, memory_size, bias=False)  # √M W
        self.scale = 1 / math.sqrt(memory_size)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(self.query(query) * self.scale, keys.transpose(1, 2))

    def folded(self) -> FoldedScore:
        """h·(W s) = (Wᵀ h)·s: the matrix goes to the keys."""
        return FoldedScore(keys=self.query.weight.t() * self.scale)


class Additive(Attention):
    """e_t = wᵀ tanh(W_q s + W_k H): the three maps have no bias, and the keys W_k H are computed once."""

    def __init__(self, decoder_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(decoder_size, size, bias=False)
        self.key = nn.Linear(memory_size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        keys: Tensor = self.key(states)
        return keys

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        energy = torch.tanh_(self.query(query).unsqueeze(2) + keys.unsqueeze(1))  # (B, K, S, A)
        scores: Tensor = self.score(energy).squeeze(3)
        return scores

    def folded(self) -> FoldedScore:
        """tanh(x) = 2σ(2x) - 1: the sigmoid is several times faster where tanh is not vectorized well."""
        return FoldedScore(2 * self.query.weight, 2 * self.key.weight, 2 * self.score.weight[0])


class LuongConcat(Additive):
    """e_t = w·tanh(W [s_t ; h_i]), with W = [W_q W_k] (Luong, Pham and Manning, 2015, equation 8, "concat")."""

    reads_new_context = True

    def __init__(self, decoder_size: int, memory_size: int) -> None:
        super().__init__(decoder_size, memory_size, size=decoder_size)


class Bahdanau(Additive):
    """e_t = w_aᵀ tanh(W_b s_{t-1} + W_c H) (Bahdanau, Cho and Bengio, 2015, section A.1.2)."""

    reads_new_context = False


ATTENTIONS: dict[str, type[Attention]] = {
    "luong_dot": LuongDot,
    "luong_general": LuongGeneral,
    "luong_concat": LuongConcat,
    "bahdanau": Bahdanau,
}
