"""Sums over training updates, from which the training curves are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.evaluation.teacher_forcing import perplexity
from seq2seq.training.state import require_keys


class Meter:
    """Training values since the last report; the sums stay on the device until they are needed."""

    def __init__(self, device: torch.device) -> None:
        self.loss = self.nll = self.norm = self.skipped = torch.zeros((), device=device)
        self.tokens = self.real = self.padded = self.updates = 0
        self.seconds = 0.0

    def add_batch(self, batch: Batch) -> None:
        """Count the tokens of a batch, those that other processes compute too."""
        self.tokens += batch.counts.tgt
        self.real += batch.counts.real
        self.padded += batch.counts.padded

    def add_update(self, losses: Tensor, norm: Tensor, skipped: Tensor) -> None:
        """Count an update on sums (2,) as in ``Loss``; ``skipped`` is 1 if it was skipped."""
        smoothed, nll = losses.unbind()
        self.loss, self.nll = self.loss + smoothed, self.nll + nll
        self.norm = self.norm + norm.detach()
        self.skipped = self.skipped + skipped
        self.updates += 1

    def values(self) -> dict[str, float]:
        """Means per target token (the losses, ppl) and per update (grad_norm); speed in real target tokens.

        ``loss`` is the negative log-likelihood, as in validation; training minimises ``smoothed_loss``.
        """
        loss = float(self.nll) / self.tokens
        return {
            "loss": loss,
            "smoothed_loss": float(self.loss) / self.tokens,
            "ppl": perplexity(loss),
            "grad_norm": float(self.norm) / self.updates,
            "skipped": float(self.skipped),
            "tokens_per_second": self.tokens / self.seconds,
            "pad_ratio": 1 - self.real / self.padded,
        }

    def state_dict(self) -> dict[str, Any]:
        """All sums."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``; sums stay on this meter's device."""
        require_keys(state, vars(self), "meter")
        device = self.loss.device
        vars(self).update({k: v.to(device) if isinstance(v, Tensor) else v for k, v in state.items()})
