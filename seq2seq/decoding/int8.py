"""Matrix products in 8 bits, for search on processors that multiply bytes fast (VNNI, AMX).

    y_ij ≈ a_i b_j Σ_k x̂_ik ŵ_jk + bias_j    x̂_ik = round(x_ik / a_i)    a_i = max_k |x_ik| / 127

and likewise ŵ and b from the matrix: symmetric quantization, with a scale for each row of the input and for each
output (Wu et al., 2020, "Integer quantization for deep learning inference", section 3). The matrix is rounded
once, the inputs at each product.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seq2seq.model.fused.gru import gru_step
from seq2seq.model.seq2seq import Seq2Seq

LARGEST = 127


def quantized(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (N, K) as int8 (N, K), and the value of one unit in each row (N, 1)."""
    unit = values.abs().amax(dim=1, keepdim=True).clamp_min_(1e-30).div_(LARGEST)
    return (values / unit).round_().to(torch.int8), unit


class Int8Linear(nn.Module):
    """``nn.Linear`` in 8 bits."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        rows, unit = quantized(weight.detach().float())
        self.matrix = rows.t().contiguous()  # (K, N)
        self.unit = unit.t()  # (1, N)
        self.bias = unit.new_zeros(()) if bias is None else bias.detach().float()

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., K) to (..., N)."""
        rows, unit = quantized(inputs.flatten(0, -2))
        outputs = torch._int_mm(rows, self.matrix) * self.unit
        shaped: Tensor = torch.addcmul(self.bias, outputs, unit, out=outputs).unflatten(0, inputs.shape[:-1])
        return shaped

    if TYPE_CHECKING:
        __call__ = forward


class Int8GRUCell(nn.Module):
    """``nn.GRUCell`` with its two products in 8 bits."""

    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.inputs = Int8Linear(cell.weight_ih, cell.bias_ih)
        self.state = Int8Linear(cell.weight_hh, cell.bias_hh)

    def forward(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        """(B, I) and (B, D) to the next state (B, D)."""
        gates, new = self.inputs(inputs), torch.empty_like(hidden)
        gru_step(gates, self.state(hidden), hidden, gates, out=new)
        return new


def quantized_copy(model: Seq2Seq) -> Seq2Seq:
    """A copy for search: the matrices that ``step`` multiplies by are in 8 bits; the encoder is unchanged."""
    rounded = copy.deepcopy(model)
    decoder = rounded.decoder
    decoder.cell = Int8GRUCell(decoder.cell)  # type: ignore[assignment]
    for owner in (decoder, decoder.attention):
        for name in ("query", "readout", "output"):
            linear = getattr(owner, name, None)
            if isinstance(linear, nn.Linear):
                setattr(owner, name, Int8Linear(linear.weight, linear.bias))
    return rounded
