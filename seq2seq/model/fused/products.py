"""Products of the fast path: in which type, and by which library; ``seq2seq.build.precision`` measures both."""

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
    """In this block, products in fp32 use oneDNN with packed matrices, if ``enabled``."""
    token = _packed.set(enabled)
    try:
        yield
    finally:
        _packed.reset(token)


class Products(NamedTuple):
    """How the fast path multiplies."""

    dtype: torch.dtype
    packed: bool = False  # whether oneDNN multiplies by a matrix that is packed once for several products


def products_with(weight: Tensor) -> Products:
    """How to multiply by ``weight`` here: in autocast's type, if that is on, else in its own."""
    kind = weight.device.type
    autocast: torch.dtype | None = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    dtype = autocast or weight.dtype
    return Products(dtype, _packed.get() and dtype == torch.float32 and kind == "cpu")


class Matrix:
    """A matrix W (N, K) for several products, those of all steps or of all chunks."""

    def __init__(self, weight: Tensor, products: Products, num_rows: int) -> None:
        """The inputs of a product will have about ``num_rows`` rows."""
        self._packed = products.packed
        self._right = (
            torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), num_rows)
            if products.packed
            else weight.t().to(products.dtype)
        )

    def plus(self, base: Tensor, inputs: Tensor) -> Tensor:
        """``base`` (B, N) or (N,) + ``inputs`` (B, K) Wᵀ: (B, N), in the type of ``base``."""
        if not self._packed:
            out = base.new_empty(len(inputs), self._right.size(1))
            add_product(base, inputs, self._right, out)
            return out
        linear = torch.ops.mkldnn._linear_pointwise
        if base.dim() == 1:
            summed: Tensor = linear(inputs, self._right, base, "none", [], "")
        else:
            summed = linear.binary(inputs, base, self._right, None, "add")
        return summed

    def add(self, base: Tensor, inputs: Tensor, out: Tensor) -> None:
        """Write ``plus`` into ``out`` (B, N), which may be ``base``."""
        if self._packed:
            out.copy_(self.plus(base, inputs))
        else:
            add_product(base, inputs, self._right, out)


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
