"""The encoder with fused recurrences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq.model.encoder import Encoder
from seq2seq.model.fused.gru import GRURecurrence, product_dtype


class FusedEncoder(Encoder):
    """Computes the same as ``Encoder``, zeros on padding included, with the same parameters."""

    def forward(self, src: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.embedding_dropout(self.embedding(src.t()))  # (S, B, E)
        real = mask.t().unsqueeze(2).to(states.dtype)  # (S, B, 1)
        for layer in range(self.gru.num_layers):
            if layer > 0:
                states = self.layer_dropout(states)
            ahead = self._direction(states, real, f"l{layer}")
            back = self._direction(states.flip(0), real.flip(0), f"l{layer}_reverse").flip(0)
            states = torch.cat([ahead, back], dim=2)
        last = ahead[mask.sum(dim=1) - 1, torch.arange(len(src), device=src.device)]
        final_state = torch.cat([last, back[0]], dim=1)
        return states.transpose(0, 1).contiguous(), final_state

    def _direction(self, states: Tensor, real: Tensor, suffix: str) -> Tensor:
        """One direction of one layer over ``states`` (S, B, ·)."""
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self.gru, f"{kind}_{suffix}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        inputs = F.linear(states, weight_ih, bias_ih)
        hidden: Tensor = GRURecurrence.apply(  # type: ignore[no-untyped-call]
            inputs.to(weight_hh.dtype), real, weight_hh, bias_hh, product_dtype(weight_hh)
        )
        return hidden
