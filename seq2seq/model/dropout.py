"""Dropout that draws few random bits: on a CPU, drawing them is its main cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 2**16


class Dropout(nn.Dropout):
    """Zeroes each entry with probability ``p`` and scales the rest to the same mean (Srivastava et al., 2014).

    On a CPU the probability is the nearest multiple of 2⁻¹⁶, so that one draw of 64 bits serves four entries.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """A tensor like ``inputs`` (...)."""
        if not self.training or self.p == 0:
            return inputs
        if inputs.device.type != "cpu":
            return super().forward(inputs)
        dropped = round(self.p * LEVELS)
        keep = _random_int16(inputs.numel()).view(inputs.shape) >= dropped - LEVELS // 2
        return inputs * keep.to(inputs.dtype).mul_(LEVELS / (LEVELS - dropped))


def _random_int16(count: int) -> Tensor:
    draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return draws.view(torch.int16)[:count]
