"""Several models of one vocabulary that translate together, as one model to search.

Of K members, the next word has the normalised geometric mean of their probabilities:

    log P(y | x, y<t) = log_softmax over y of 1/K Σ_k log P_k(y | x, y<t)

Member k has the logits o_k: log P_k(y) = o_k(y) - c_k. Its normaliser c_k is the same for every y, so the softmax
cancels it: the logits of the ensemble are the mean of the members' logits. If these are of candidates only, so are
all the probabilities. The attention weights are the mean of the members' weights. Shapes are as in ``prepared``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seq2seq.decoding.search import SearchState


class Prepared(Protocol):
    """What search needs of a model, as ``PreparedModel`` and ``PreparedEnsemble`` have it."""

    def encode(self, src: Tensor, src_mask: Tensor, words: Tensor | None = None) -> Any:
        """The state before the first word."""

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
        """Logits, attention weights and the new state."""


class EnsembleDecoding(NamedTuple):
    """The states of the members, row by row of the same translations."""

    members: list[SearchState]

    def repeat(self, times: int) -> EnsembleDecoding:
        """See ``SearchState``."""
        return EnsembleDecoding([member.repeat(times) for member in self.members])

    def select(self, rows: Tensor) -> EnsembleDecoding:
        """See ``SearchState``."""
        return EnsembleDecoding([member.select(rows) for member in self.members])


class PreparedEnsemble:
    """``encode`` and ``step`` of the members together; they may differ in all but the vocabulary."""

    def __init__(self, members: Sequence[Prepared]) -> None:
        self._members = members

    def encode(self, src: Tensor, src_mask: Tensor, words: Tensor | None = None) -> EnsembleDecoding:
        """See ``PreparedModel``."""
        return EnsembleDecoding([member.encode(src, src_mask, words) for member in self._members])

    def step(self, tokens: Tensor, state: EnsembleDecoding) -> tuple[Tensor, Tensor, EnsembleDecoding]:
        """See ``PreparedModel``."""
        steps = [member.step(tokens, own) for member, own in zip(self._members, state.members, strict=True)]
        logits, weights, states = zip(*steps, strict=True)
        return mean(logits), mean(weights), EnsembleDecoding([*states])


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean of tensors of one shape, number by number."""
    return torch.stack([*tensors]).mean(dim=0)
