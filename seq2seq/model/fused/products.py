"""Products of a recurrence: in which type, and by which library; both are measured (``seq2seq.precision``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor

_packed: ContextVar[bool] = ContextVar("packed", default=False)


@contextmanager
def packing(enabled: bool) -> Iterator[None]:
    """In this block, products of steps in fp32 use oneDNN with packed matrices, if ``enabled``."""
    token = _packed.set(enabled)
    try:
        yield
    finally:
        _packed.reset(token)


class Products(NamedTuple):
    """How a recurrence multiplies."""

    dtype: torch.dtype
    packed: bool = False  # whether a step's go through oneDNN, its matrix packed once for all steps


def products_with(weight: Tensor) -> Products:
    """How to multiply by ``weight`` here: in autocast's type, if that is on, else in its own."""
    kind = weight.device.type
    autocast: torch.dtype | None = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    dtype = autocast or weight.dtype
    return Products(dtype, _packed.get() and dtype == torch.float32 and kind == "cpu")


class StepMatrix:
    """A matrix W (N, K) that every step multiplies by."""

    def __init__(self, weight: Tensor, products: Products, num_rows: int) -> None:
        """The inputs of a step will have ``num_rows`` rows."""
        self._packed = products.packed
        self._right = (
            torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), num_rows)
            if products.packed
            else weight.t().to(products.dtype)
        )

    def add(self, base: Tensor, inputs: Tensor, out: Tensor) -> None:
        """Write ``base`` (B, N) or (N,) + ``inputs`` (B, K) Wᵀ into ``out`` (B, N)."""
        if not self._packed:
            add_product(base, inputs, self._right, out)
        elif base.dim() == 1:
            out.copy_(torch.ops.mkldnn._linear_pointwise(inputs, self._right, base, "none", [], ""))
        else:
            out.copy_(torch.ops.mkldnn._linear_pointwise.binary(inputs, base, self._right, None, "add"))


def add_product(base: Tensor, left: Tensor, right: Tensor, out: Tensor) -> None:
    """Write ``base`` + ``left`` ``right`` into ``out``; the product has the precision of ``right``.

    With three dimensions, the first numbers products that are independent of one another.
    """
    if base.dtype == right.dtype:
        (torch.baddbmm if left.dim() == 3 else torch.addmm)(base, left, right, out=out)
    else:
        torch.add(base, left.to(right.dtype) @ right, out=out)


def weight_gradient(grad: Tensor, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """Σ over all steps and rows of grad ⊗ input, in one product: (..., T, B, N), (..., T, B, M) to (..., N, M)."""
    product = grad.flatten(-3, -2).to(dtype).transpose(-1, -2) @ inputs.flatten(-3, -2).to(dtype)
    return product.to(grad.dtype)
