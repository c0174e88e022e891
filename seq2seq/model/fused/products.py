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


ONEDNN: bool = torch.backends.mkldnn.is_available()
"""Whether torch was built with oneDNN: some builds for other systems were not."""
PACKS_BF16: bool = ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether oneDNN can pack matrices in bf16, in which it makes all products, packed or not: packed is faster."""


def products_with(weight: Tensor) -> Products:
    """How to multiply by ``weight`` here: in autocast's type, if that is on, else in its own."""
    kind = weight.device.type
    autocast: torch.dtype | None = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return products_in(autocast or weight.dtype, kind, _packed.get())


def products_in(dtype: torch.dtype, device: str = "cpu", packed: bool = False) -> Products:
    """Products in ``dtype`` on a kind of device; ``packed`` is for those in fp32."""
    packs = {torch.float32: packed, torch.bfloat16: PACKS_BF16}
    return Products(dtype, device == "cpu" and packs.get(dtype, False))


class Matrix:
    """A matrix W (N, K), with a bias b (N,) if given, for several products: of all steps or of all chunks."""

    def __init__(self, weight: Tensor, products: Products, num_rows: int, bias: Tensor | None = None) -> None:
        """The inputs of a product will have about ``num_rows`` rows."""
        self._dtype, self._packed, low = products.dtype, products.packed, weight.to(products.dtype)
        if products.packed:
            self._right = torch.ops.mkldnn._reorder_linear_weight(low.contiguous(), num_rows)
            self._bias = None if bias is None else bias.to(products.dtype)
        else:
            self._right = low.t()
            self._bias = weight.new_zeros(len(weight)) if bias is None else bias

    def map(self, inputs: Tensor, out: Tensor) -> None:
        """Write ``inputs`` (B, K) Wᵀ + b into ``out`` (B, N)."""
        if self._packed:
            out.copy_(self._linear(inputs, self._bias))
        else:
            assert self._bias is not None
            add_product(self._bias, inputs, self._right, out)

    def add(self, base: Tensor, inputs: Tensor, out: Tensor) -> None:
        """Write ``base`` (B, N) + ``inputs`` (B, K) Wᵀ into ``out`` (B, N), which may be ``base``."""
        if self._packed:
            torch.add(base, self._linear(inputs, None), out=out)
        else:
            add_product(base, inputs, self._right, out)

    def _linear(self, inputs: Tensor, bias: Tensor | None) -> Tensor:
        linear = torch.ops.mkldnn._linear_pointwise
        product: Tensor = linear(inputs.to(self._dtype), self._right, bias, "none", [], "")
        return product


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
