"""Cross-entropy over real target positions, with label smoothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from seq2seq.model.fused.products import Matrix, Products, add_product, products_with


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
    products = products_with(output.weight)
    with torch.autocast(readout.device.type, enabled=False):
        smoothed, nll = LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            readout.to(output.weight.dtype), output.weight, output.bias, targets, smoothing, products
        )
    return Loss(smoothed, nll)


CHUNK_ROWS = 256  # tokens whose logits are computed at once: few enough to stay in a processor's cache


class LinearCrossEntropy(Function):
    """The loss and its gradients, one chunk of rows after another.

    With logits o = W x + b, p = softmax(o), their mean ō = w̄ᵀ x + b̄ over the vocabulary and the target y:

        l = log Σ_v exp(o_v) = max_v o_v - log max_v p_v    nll = l - o_y    smoothed = (1-ε) nll + ε (l - ō)

    do = p - (1-ε) e_y - ε/V, and so, with g = p - (1-ε) e_y, dx = Wᵀ g - ε w̄, dW = Σ g xᵀ - ε/V 1 (Σ x)ᵀ and
    db = Σ g - ε/V. Since the loss is a sum, all these are known as soon as the logits are. Nothing is done to
    single logits besides the softmax.
    """

    @staticmethod
    def forward(
        ctx: Any,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        smoothing: float,
        products: Products,
    ) -> tuple[Tensor, Tensor]:
        """Loss and nll of ``smoothed_cross_entropy``; all but the products is as exact as ``weight``."""
        wants_gradients = any(ctx.needs_input_grad)
        inputs = readout.to(products.dtype)
        to_logits = Matrix(weight, products, CHUNK_ROWS, bias)
        mean_weight, num_words = weight.mean(dim=0), len(weight)
        chosen, normalisers = readout.new_empty(len(readout)), readout.new_empty(len(readout))
        if wants_gradients:
            from_logits = Matrix(weight.t(), products, CHUNK_ROWS, mean_weight * -smoothing)
            grad_readout, total = torch.empty_like(readout), readout.sum(dim=0)
            grad_weight = (total * (-smoothing / num_words)).expand_as(weight).contiguous()
            grad_bias = torch.full_like(bias, -smoothing * len(readout) / num_words)
        for first in range(0, len(readout), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            target = targets[rows].unsqueeze(1)
            logits = readout.new_empty(len(target), num_words)
            to_logits.map(inputs[rows], out=logits)
            probs = logits.softmax(dim=1)
            chosen[rows] = logits.gather(1, target).squeeze(1)
            normalisers[rows] = logits.amax(dim=1) - probs.amax(dim=1).log_()
            if wants_gradients:
                probs.scatter_add_(1, target, probs.new_full(target.shape, smoothing - 1))
                low = probs.to(products.dtype)  # fits into fp16: without a loss scale it is of order 1
                from_logits.map(low, out=grad_readout[rows])
                add_product(grad_weight, low.t(), inputs[rows], out=grad_weight)
                grad_bias += probs.sum(dim=0)
        if wants_gradients:
            ctx.save_for_backward(grad_readout, grad_weight, grad_bias)
        nll = (normalisers - chosen).sum()
        uniform = normalisers.sum() - (readout @ mean_weight + bias.mean()).sum()
        ctx.mark_non_differentiable(nll)
        return torch.lerp(nll, uniform, smoothing), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad.mul_(grad_loss) for grad in ctx.saved_tensors), None, None, None)
