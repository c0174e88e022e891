"""Cross-entropy over real target positions, with label smoothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Loss(NamedTuple):
    """Sums over tokens, so that batches of any size add up."""

    smoothed: Tensor  # scalar: what is minimised
    nll: Tensor  # scalar: negative log-likelihood, without smoothing; exp(nll / tokens) is the perplexity


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """Cross-entropy of ``logits`` (N, V) against ``targets`` (N,), summed over N.

    The target distribution is (1 - ε) one-hot + ε uniform (Szegedy et al., 2016, section 7).
    """
    normaliser = logits.logsumexp(dim=-1)
    nll = (normaliser - logits.gather(1, targets.unsqueeze(1)).squeeze(1)).sum()
    if smoothing == 0.0:
        return Loss(nll, nll)
    uniform = (normaliser - logits.mean(dim=-1)).sum()
    return Loss(torch.lerp(nll, uniform, smoothing), nll)
