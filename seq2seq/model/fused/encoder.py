"""The encoder with fused recurrences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq.model.encoder import Encoder
from seq2seq.model.fused.gru import GRURecurrence
from seq2seq.model.fused.products import products_with


class FusedEncoder(Encoder):
    """Computes the same as ``Encoder``, zeros on padding included, with the same parameters."""

    def forward(self, src: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.embedding_dropout(self.embedding(src.t()))  # (S, B, E)
        real = mask.t().unsqueeze(2).to(states.dtype)  # (S, B, 1)
        both = torch.stack([real, real.flip(0)])
        for layer in range(self.gru.num_layers):
            if layer > 0:
                states = self.layer_dropout(states)
            ahead, back = self._layer(states, both, f"l{layer}")
            states = torch.cat([ahead, back], dim=2)
        last = ahead[mask.sum(dim=1) - 1, torch.arange(len(src), device=src.device)]
        final_state = torch.cat([last, back[0]], dim=1)
        return states.transpose(0, 1).contiguous(), final_state

    def _layer(self, states: Tensor, both: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Both directions of a layer over ``states`` (S, B, ·), side by side in one recurrence."""
        weight_ih, weight_hh, bias_ih, bias_hh = (
            [getattr(self.gru, f"{kind}_{layer}{suffix}") for suffix in ("", "_reverse")]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        ahead, back = F.linear(states, torch.cat(weight_ih), torch.cat(bias_ih)).chunk(2, dim=2)
        weight = torch.stack(weight_hh)
        inputs = torch.stack([ahead, back.flip(0)]).to(weight.dtype)
        hidden: Tensor = GRURecurrence.apply(  # type: ignore[no-untyped-call]
            inputs, both, weight, torch.stack(bias_hh), products_with(weight).dtype
        )
        return hidden[0], hidden[1].flip(0)
