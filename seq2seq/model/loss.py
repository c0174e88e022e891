"""Cross-entropy over real target positions, with label smoothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from seq2seq.model.fused.gru import product_dtype


class Loss(NamedTuple):
    """Sums over tokens, so that batches of any size add up."""

    smoothed: Tensor  # scalar: what is minimised
    nll: Tensor  # scalar: negative log-likelihood, without smoothing; exp(nll / tokens) is the perplexity


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """Cross-entropy of ``logits`` (N, V) against ``targets`` (N,), summed over N.

    The target distribution is (1 - ε) one-hot + ε uniform (Szegedy et al., 2016, section 7).
    """
    normaliser = logits.logsumexp(dim=-1)
    nll = (normaliser - logits.gather(1, targets.unsqueeze(1)).squeeze(1)).sum()
    if smoothing == 0.0:
        return Loss(nll, nll)
    uniform = (normaliser - logits.mean(dim=-1)).sum()
    return Loss(torch.lerp(nll, uniform, smoothing), nll)


def output_loss(output: nn.Linear, readout: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """``smoothed_cross_entropy`` of the logits ``output(readout)``, without holding all of them at once.

    ``readout`` (N, R), ``targets`` (N,). Memory grows with N and with V, not with N × V.
    """
    dtype = product_dtype(readout)
    with torch.autocast(readout.device.type, enabled=False):
        smoothed, nll = LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            readout.to(output.weight.dtype), output.weight, output.bias, targets, smoothing, dtype
        )
    return Loss(smoothed, nll)


CHUNK_ROWS = 256  # tokens whose logits are computed at once: few enough to stay in a processor's cache


class LinearCrossEntropy(Function):
    """The loss and its gradients, one chunk of rows after another.

    With logits o = W x + b, p = softmax(o) and the smoothed target distribution t: do = p - t, dx = Wᵀ do,
    dW = Σ do xᵀ, db = Σ do. Since the loss is a sum, these are known as soon as the logits are.
    """

    @staticmethod
    def forward(
        ctx: Any,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        smoothing: float,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Loss and nll of ``smoothed_cross_entropy``; products in ``dtype``, all else in ``weight``'s type."""
        wants_gradients = any(ctx.needs_input_grad)
        inputs, matrix = readout.to(dtype), weight.to(dtype)
        nll, uniform = readout.new_zeros(()), readout.new_zeros(())
        grads = [torch.zeros_like(part) for part in (readout, weight, bias) if wants_gradients]
        for first in range(0, len(readout), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            target = targets[rows].unsqueeze(1)
            logits = (inputs[rows] @ matrix.t()).to(weight.dtype).add_(bias)
            log_probs = logits.log_softmax(dim=1)
            nll -= log_probs.gather(1, target).sum()
            if smoothing > 0:
                uniform -= log_probs.mean(dim=1).sum()
            if wants_gradients:
                grad = log_probs.exp_()
                grad.sub_(smoothing / len(weight)).scatter_add_(
                    1, target, grad.new_full(target.shape, smoothing - 1)
                )
                low = grad.to(dtype)  # fits into fp16: the gradient of a sum is of order 1 without a loss scale
                grads[0][rows] = low @ matrix
                if dtype == weight.dtype:
                    grads[1].addmm_(low.t(), inputs[rows])
                else:
                    grads[1] += low.t() @ inputs[rows]
                grads[2] += grad.sum(dim=0)
        if wants_gradients:
            ctx.save_for_backward(*grads)
        ctx.mark_non_differentiable(nll)
        return torch.lerp(nll, uniform, smoothing), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad * grad_loss for grad in ctx.saved_tensors), None, None, None)
