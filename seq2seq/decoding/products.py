"""Products with a fixed matrix, brought once into the form in which the processor multiplies fastest.

R rows, K inputs, N outputs.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from seq2seq.model.fused.products import Matrix, products_in
from seq2seq.precision import Precision

TYPICAL_ROWS = 64  # for which matrices are packed; others are as right


class Product(Protocol):
    """x Wᵀ + b."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """(R, K) to (R, N)."""

    def select(self, outputs: Tensor) -> Product:
        """The product that gives these outputs only, in that order; ``outputs`` is (C,) int64."""


def product(weight: Tensor, bias: Tensor | None, precision: Precision) -> Product:
    """The product with ``weight`` (N, K) and ``bias`` (N,), for inputs from -1 to 1."""
    bias = weight.new_zeros(len(weight)) if bias is None else bias.clone()
    if precision.name != "int8":
        return DenseProduct(weight.clone(), bias, weight.dtype if precision.name == "fp32" else precision.dtype)
    unit = weight.float().abs().amax(dim=1).clamp_min_(1e-30).div_(WEIGHT_UNITS)
    return Int8Product((weight / unit.unsqueeze(1)).round_().to(torch.int8), unit, bias.float())


class DenseProduct:
    """In ``dtype``, to which inputs are rounded; outputs have the type of ``bias`` (N,)."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        """``weight`` (N, K)."""
        self.weight, self.bias, self.dtype = weight, bias, dtype
        self.matrix = Matrix(weight, products_in(dtype, weight.device.type), TYPICAL_ROWS, bias)

    def __call__(self, inputs: Tensor) -> Tensor:
        """See ``Product``."""
        outputs = self.bias.new_empty(len(inputs), len(self.bias))
        self.matrix.map(inputs, out=outputs)
        return outputs

    def select(self, outputs: Tensor) -> DenseProduct:
        """See ``Product``."""
        return DenseProduct(self.weight[outputs], self.bias[outputs], self.dtype)


UNITS, WEIGHT_UNITS = 63, 127
"""Inputs and weights are rounded to so many units on either side of zero. A processor without VNNI adds two
products of bytes in 16 bits: 2 · (64 + 63) · 127 fits, with inputs of 8 bits it would saturate (oneDNN, developer
guide, "Nuances of int8 computations"). Of the two, the weights gain more from the eighth bit."""

ROWS = 8
"""Rows are filled up to a multiple of this: each new number of rows costs half a millisecond of preparation."""


class Int8Product:
    """In 8 bits, with sums in 32: y_n = b_n / 63 Σ_k (x̂_k - 64) ŵ_nk + bias_n.

    Both factors are rounded to the nearest unit, ŵ = round(w / b_n) and x̂ = round(63 x) + 64, a byte without a
    sign, as the instructions have it. Each output has its own unit b_n. That of the inputs is known beforehand,
    since the states of a GRU and read-outs lie in (-1, 1). This is symmetric quantization (Wu et al., 2020,
    "Integer quantization for deep learning inference", section 3).
    """

    def __init__(self, rows: Tensor, unit: Tensor, bias: Tensor) -> None:
        """From ŵ, ``rows`` (N, K) int8, and b, ``unit`` (N,); ``bias`` (N,)."""
        self.rows, self.unit, self.bias = rows, unit, bias
        self.packed = torch.ops.onednn.qlinear_prepack(rows, None)
        self.zeros = torch.zeros(len(rows), dtype=torch.int32)
        self.middle = torch.tensor(64.5)  # conversion to bytes cuts the fraction off

    def __call__(self, inputs: Tensor) -> Tensor:
        """See ``Product``."""
        rows, size = inputs.shape
        rounded = inputs.new_zeros(-(-rows // ROWS) * ROWS, size, dtype=torch.uint8)
        rounded[:rows] = torch.add(self.middle, inputs, alpha=UNITS)
        outputs: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(rounded, 1 / UNITS, 64, self.packed, self.unit, self.zeros, self.bias),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return outputs[:rows]

    def select(self, outputs: Tensor) -> Int8Product:
        """See ``Product``."""
        return Int8Product(self.rows[outputs], self.unit[outputs], self.bias[outputs])
