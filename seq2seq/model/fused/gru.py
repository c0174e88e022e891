"""A GRU over whole buffers, its backward written by hand: the step that both recurrences share.

With i = W_i x + b_i and j = W_h h + b_h, each split in three (reset, update, new; as in ``torch.nn.GRU``):

    r = σ(i_r + j_r)    z = σ(i_z + j_z)    n = tanh(i_n + r ⊙ j_n)    h' = (1 - z) ⊙ n + z ⊙ h

Given dh', the gradient of h', and with d_ for the gradients of the arguments of σ and tanh:

    d_z = dh' ⊙ (h - n) ⊙ z(1 - z)    d_n = dh' ⊙ (1 - z) ⊙ (1 - n²)    d_r = d_n ⊙ j_n ⊙ r(1 - r)
    di = [d_r, d_z, d_n]    dj = [d_r, d_z, d_n ⊙ r]    dh = dh' ⊙ z + dj W_h

Shapes: R recurrences, T steps, B batch, D state. Time comes before the batch: a step is one block of memory.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from seq2seq.model.fused.products import add_product, weight_gradient

Grad: TypeAlias = Tensor | None
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


def gru_step(inputs: Tensor, recurrent: Tensor, hidden: Tensor, gates: Tensor, out: Tensor) -> None:
    """One step from i and j (..., 3D): r, z, n go into ``gates``, which may be i itself, and h' into ``out``."""
    size = hidden.size(-1)
    both, new = slice(0, 2 * size), slice(2 * size, 3 * size)
    reset, update, candidate = gates.split(size, dim=-1)
    torch.add(inputs[..., both], recurrent[..., both], out=gates[..., both]).sigmoid_()
    torch.addcmul(inputs[..., new], reset, recurrent[..., new], out=candidate).tanh_()
    torch.lerp(candidate, hidden, update, out=out)


def gru_step_backward(
    grad: Tensor, gates: Tensor, recurrent: Tensor, hidden: Tensor, grad_gates: Tensor, grad_recurrent: Tensor
) -> Tensor:
    """From dh' (..., D): di and dj go into the last two arguments (..., 3D); the result is dh' ⊙ z."""
    size = hidden.size(-1)
    both, new = slice(0, 2 * size), slice(2 * size, 3 * size)
    reset, update, candidate = gates.split(size, dim=-1)
    grad_reset, grad_update, grad_candidate = grad_gates.split(size, dim=-1)
    passed: Tensor = grad * update
    torch.sub(grad, passed, out=grad_candidate)
    tanh_backward(grad_candidate, candidate, grad_input=grad_candidate)
    torch.mul(grad_candidate, recurrent[..., new], out=grad_reset)
    torch.sub(hidden, candidate, out=grad_update).mul_(grad)
    sigmoid_backward(grad_gates[..., both], gates[..., both], grad_input=grad_gates[..., both])
    grad_recurrent[..., both] = grad_gates[..., both]
    torch.mul(grad_candidate, reset, out=grad_recurrent[..., new])
    return passed


class GRURecurrence(Function):
    """h_1 … h_T from h_0 = 0 of R recurrences side by side; a row's state is 0 wherever ``mask`` marks padding."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """States (R, T, B, D) from i (R, T, B, 3D), ``mask`` (R, T, B, 1), W_h (R, 3D, D), b_h (R, 3D).

        Products are in ``dtype``.
        """
        length = inputs.size(1)
        gates, recurrent = torch.empty_like(inputs), torch.empty_like(inputs)
        hidden = inputs.new_zeros(len(inputs), length + 1, inputs.size(2), weight.size(2))
        right, base = weight.transpose(1, 2).to(dtype), bias.unsqueeze(1)
        for t in range(length):
            add_product(base, hidden[:, t], right, out=recurrent[:, t])
            gru_step(inputs[:, t], recurrent[:, t], hidden[:, t], gates[:, t], out=hidden[:, t + 1])
            hidden[:, t + 1].mul_(mask[:, t])
        ctx.save_for_backward(gates, recurrent, hidden, mask, weight)
        ctx.dtype = dtype
        return hidden[:, 1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor) -> tuple[Grad, ...]:
        gates, recurrent, hidden, mask, weight = ctx.saved_tensors
        grad_gates, grad_recurrent = torch.empty_like(gates), torch.empty_like(gates)
        right = weight.to(ctx.dtype)
        grad = torch.zeros_like(hidden[:, 0])
        for t in reversed(range(gates.size(1))):
            grad.add_(grad_hidden[:, t]).mul_(mask[:, t])
            step = gates[:, t], recurrent[:, t], hidden[:, t], grad_gates[:, t], grad_recurrent[:, t]
            passed = gru_step_backward(grad, *step)
            add_product(passed, grad_recurrent[:, t], right, out=passed)
            grad = passed
        grad_weight = weight_gradient(grad_recurrent, hidden[:, :-1], ctx.dtype)
        return grad_gates, None, grad_weight, grad_recurrent.sum(dim=(1, 2)), None
