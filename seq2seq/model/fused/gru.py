"""A GRU over whole buffers, its backward written by hand: the step that both recurrences share.

With i = W_i x + b_i and j = W_h h + b_h, each split in three (reset, update, new; as in ``torch.nn.GRU``):

    r = σ(i_r + j_r)    z = σ(i_z + j_z)    n = tanh(i_n + r ⊙ j_n)    h' = (1 - z) ⊙ n + z ⊙ h

Given dh', the gradient of h', and with d_ for the gradients of the arguments of σ and tanh:

    d_z = dh' ⊙ (h - n) ⊙ z(1 - z)    d_n = dh' ⊙ (1 - z) ⊙ (1 - n²)    d_r = d_n ⊙ j_n ⊙ r(1 - r)
    di = [d_r, d_z, d_n]    dj = [d_r, d_z, d_n ⊙ r]    dh = dh' ⊙ z + dj W_h

Shapes: T steps, B batch, D state. Time is the first dimension, so that a step is one block of memory.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Grad: TypeAlias = Tensor | None
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


def gru_step(inputs: Tensor, recurrent: Tensor, hidden: Tensor, gates: Tensor, out: Tensor) -> None:
    """One step from i and j (B, 3D): r, z, n go into ``gates`` (B, 3D), which may be i itself, h' into ``out``."""
    size = hidden.size(1)
    both, new = slice(0, 2 * size), slice(2 * size, 3 * size)
    reset, update, candidate = gates.split(size, dim=1)
    torch.add(inputs[:, both], recurrent[:, both], out=gates[:, both]).sigmoid_()
    torch.addcmul(inputs[:, new], reset, recurrent[:, new], out=candidate).tanh_()
    torch.lerp(candidate, hidden, update, out=out)


def gru_step_backward(
    grad: Tensor, gates: Tensor, recurrent: Tensor, hidden: Tensor, grad_gates: Tensor, grad_recurrent: Tensor
) -> Tensor:
    """From dh' (B, D): di and dj go into the last two arguments (B, 3D); the result is dh' ⊙ z."""
    size = hidden.size(1)
    both, new = slice(0, 2 * size), slice(2 * size, 3 * size)
    reset, update, candidate = gates.split(size, dim=1)
    grad_reset, grad_update, grad_candidate = grad_gates.split(size, dim=1)
    passed: Tensor = grad * update
    torch.sub(grad, passed, out=grad_candidate)
    tanh_backward(grad_candidate, candidate, grad_input=grad_candidate)
    torch.mul(grad_candidate, recurrent[:, new], out=grad_reset)
    torch.sub(hidden, candidate, out=grad_update).mul_(grad)
    sigmoid_backward(grad_gates[:, both], gates[:, both], grad_input=grad_gates[:, both])
    grad_recurrent[:, both] = grad_gates[:, both]
    torch.mul(grad_candidate, reset, out=grad_recurrent[:, new])
    return passed


def product_dtype(weight: Tensor) -> torch.dtype:
    """The type in which autocast computes products, if it is on; else the type of ``weight``."""
    kind = weight.device.type
    autocast: torch.dtype | None = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return autocast or weight.dtype


def add_product(base: Tensor, left: Tensor, right: Tensor, out: Tensor) -> None:
    """Write ``base`` + ``left`` ``right`` into ``out``; the product has the precision of ``right``."""
    if base.dtype == right.dtype:
        torch.addmm(base, left, right, out=out)
    else:
        torch.add(base, left.to(right.dtype) @ right, out=out)


def weight_gradient(grad: Tensor, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """Σ over all steps and rows of grad ⊗ input, in one product: (T, B, N) and (T, B, M) to (N, M)."""
    product = grad.flatten(0, 1).to(dtype).t() @ inputs.flatten(0, 1).to(dtype)
    return product.to(grad.dtype)


class GRURecurrence(Function):
    """h_1 … h_T from h_0 = 0; a row's state is 0 wherever ``mask`` marks padding."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """States (T, B, D) from i (T, B, 3D), ``mask`` (T, B, 1), W_h (3D, D), b_h (3D); products in ``dtype``."""
        length, batch, gates_size = inputs.shape
        gates, recurrent = torch.empty_like(inputs), torch.empty_like(inputs)
        hidden = inputs.new_zeros(length + 1, batch, gates_size // 3)
        right = weight.t().to(dtype)
        for t in range(length):
            add_product(bias, hidden[t], right, out=recurrent[t])
            gru_step(inputs[t], recurrent[t], hidden[t], gates[t], out=hidden[t + 1])
            hidden[t + 1].mul_(mask[t])
        ctx.save_for_backward(gates, recurrent, hidden, mask, weight)
        ctx.dtype = dtype
        return hidden[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor) -> tuple[Grad, ...]:
        gates, recurrent, hidden, mask, weight = ctx.saved_tensors
        grad_gates, grad_recurrent = torch.empty_like(gates), torch.empty_like(gates)
        right = weight.to(ctx.dtype)
        grad = torch.zeros_like(hidden[0])
        for t in reversed(range(len(gates))):
            grad.add_(grad_hidden[t]).mul_(mask[t])
            passed = gru_step_backward(grad, gates[t], recurrent[t], hidden[t], grad_gates[t], grad_recurrent[t])
            add_product(passed, grad_recurrent[t], right, out=passed)
            grad = passed
        grad_weight = weight_gradient(grad_recurrent, hidden[:-1], ctx.dtype)
        return grad_gates, None, grad_weight, grad_recurrent.sum(dim=(0, 1)), None
