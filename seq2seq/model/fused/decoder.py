"""The decoder's recurrence as one function, its backward written by hand.

    q_t = W_q h_t    e_t = score(q_t, K)    α_t = softmax(e_t)    c_t = H α_t
    i_t = x_t + W_c (m_t ⊙ c_{t-1})    j_t = W_h h_{t-1} + b_h    h_t = GRU step of i_t and j_t

With further transitions, h_t is what they make of that step's result, each by one more GRU step without an input.

x_t is the word's share W_y y_{t-1} + b_i of the input, and m_t the dropout of the context. Words, keys K,
read-out and logits are not part of the recurrence and stay outside. W_h and W_q both read h, so they are one
product, [W_h ; W_q] h_t = [j_{t+1} ; q_t].

Backward, from the last step to the first, where dh_t and dc_t are the gradients of the outputs h_t and c_t:

    dα_t = Hᵀ dc_t    de_t = α_t ⊙ (dα_t - α_tᵀ dα_t)    dq_t from the score
    dh_t += [W_h ; W_q]ᵀ [dj_{t+1} ; dq_t] + dh_{t+1} ⊙ z_{t+1}
    di_t, dj_t from the GRU step (``seq2seq.model.fused.gru``)    dc_{t-1} += m_t ⊙ W_cᵀ di_t

and after the loop, as one product over all steps for each:

    dH = Σ_t dc_t α_tᵀ    dx_t = di_t    dW_c = Σ_t di_t (m_t ⊙ c_{t-1})ᵀ
    d[W_h ; W_q] = Σ_t [dj_{t+1} ; dq_t] h_tᵀ

Shapes: T steps, N = T or T + 1 contexts, P further transitions, B batch, S source length, D state, M memory,
A query, E embedding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seq2seq.model.attention import Memory
from seq2seq.model.decoder import Decoder, Unrolled
from seq2seq.model.fused.gru import Grad, gru_step, gru_step_backward
from seq2seq.model.fused.products import Matrix, Products, products_with, weight_gradient
from seq2seq.model.fused.scores import FUSED_SCORES, FusedScore, dot_product, outer_sum

softmax_backward = torch.ops.aten._softmax_backward_data


class AttentionRecurrence(Function):
    """h_1 … h_T, c_0 … c_{N-1} and their weights; the weights are only for display and have no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        num_contexts: int,
        score_type: type[FusedScore],
        products: Products,
        inputs: Tensor,  # (T, B, 3D) x
        keep: Tensor | None,  # (T, B, M) m, of 0 and 1/(1 - p); None without dropout
        start: Tensor,  # (B, D) h_0
        values: Tensor,  # (B, S, M) Hᵀ
        keys: Tensor,  # (B, S, A) K
        mask: Tensor,  # (B, S)
        context_map: Tensor,  # (3D, M) W_c
        state_map: Tensor,  # (3D + A, D) [W_h ; W_q], or (3D, D) W_h where q = h
        state_bias: Tensor,  # (3D + A,) or (3D,) [b_h ; 0]
        score_weight: Tensor | None,  # (A,)
        deep_map: Tensor,  # (P, 3D, D) of further transitions
        deep_bias: Tensor,  # (P, 3D) b_h
        deep_inputs: Tensor,  # (P, 3D) b_i
    ) -> tuple[Tensor, Tensor, Tensor]:
        length, batch, gates_size = inputs.shape
        depth = len(deep_map)
        score, padding = score_type(keys, score_weight), ~mask
        gates = torch.empty_like(inputs)
        hidden = inputs.new_empty(length + 1, *start.shape)
        mapped = inputs.new_empty(num_contexts, batch, len(state_map))  # [j_{t+1} ; q_t]
        contexts = inputs.new_empty(num_contexts, batch, values.size(2))
        weights = inputs.new_empty(num_contexts, *mask.shape)
        fed = contexts if keep is None else torch.empty_like(keep)  # m_{t+1} ⊙ c_t
        queries = _queries(mapped, hidden, gates_size)
        from_context = Matrix(context_map, products, batch)
        from_state = Matrix(state_map, products, batch, state_bias)
        deep = [Matrix(one, products, batch, bias) for one, bias in zip(deep_map, deep_bias, strict=True)]
        between = inputs.new_empty(depth, length, *start.shape)  # what each of them starts from
        deep_gates, deep_mapped = (inputs.new_empty(depth, *inputs.shape) for _ in range(2))
        hidden[0] = start
        for t in range(num_contexts):
            from_state.map(hidden[t], out=mapped[t])
            scores = score.scores(queries[t]).masked_fill_(padding, -torch.inf)
            torch.softmax(scores, dim=1, out=weights[t])
            torch.bmm(weights[t].unsqueeze(1), values, out=contexts[t].unsqueeze(1))
            if t < length:
                if keep is not None:
                    torch.mul(contexts[t], keep[t], out=fed[t])
                from_context.add(inputs[t], fed[t], out=gates[t])
                steps = [*between[:, t], hidden[t + 1]]
                gru_step(gates[t], mapped[t, :, :gates_size], hidden[t], gates[t], out=steps[0])
                for p in range(depth):
                    deep[p].map(steps[p], out=deep_mapped[p, t])
                    gru_step(deep_inputs[p], deep_mapped[p, t], steps[p], deep_gates[p, t], out=steps[p + 1])
        ctx.save_for_backward(
            *(gates, keep, hidden, mapped, fed, weights, values, keys, deep_gates, deep_mapped, between),
            *(context_map, state_map, score_weight, deep_map),
        )
        ctx.score_type, ctx.products = score_type, products
        ctx.mark_non_differentiable(weights)
        return hidden[1:], contexts, weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor, grad_contexts: Tensor, _: Tensor) -> tuple[Grad, ...]:
        gates, keep, hidden, mapped, fed, weights, values, keys, deep_gates, deep_mapped, between = (
            ctx.saved_tensors[:11]
        )
        context_map, state_map, score_weight, deep_map = ctx.saved_tensors[11:]
        (length, batch, gates_size), products = gates.shape, ctx.products
        score, queries = ctx.score_type(keys, score_weight), _queries(mapped, hidden, gates_size)
        grad_gates, grad_mapped, grad_scores, grad_deep_gates, grad_deep_mapped = (
            torch.empty_like(part) for part in (gates, mapped, weights, deep_gates, deep_mapped)
        )
        grad_contexts = grad_contexts.clone()
        to_context, to_state = (Matrix(part.t(), products, batch) for part in (context_map, state_map))
        to_deep = [Matrix(part.t(), products, batch) for part in deep_map]
        grad_fed = torch.empty_like(grad_contexts[0])
        grad, passed = torch.zeros_like(hidden[0]), torch.zeros_like(hidden[0])
        grad_mapped[length:] = 0
        for t in reversed(range(len(mapped))):
            if t < length:
                grad.add_(grad_hidden[t])
                for p in reversed(range(len(deep_map))):
                    step = deep_gates[p, t], deep_mapped[p, t], between[p, t]
                    grad_step = grad_deep_gates[p, t], grad_deep_mapped[p, t]
                    passed = gru_step_backward(grad, *step, *grad_step)
                    to_deep[p].add(passed, grad_step[1], out=passed)
                    grad = passed
                recurrent, grad_recurrent = mapped[t, :, :gates_size], grad_mapped[t, :, :gates_size]
                passed = gru_step_backward(grad, gates[t], recurrent, hidden[t], grad_gates[t], grad_recurrent)
                if keep is None:
                    to_context.add(grad_contexts[t], grad_gates[t], out=grad_contexts[t])
                else:
                    to_context.map(grad_gates[t], out=grad_fed)
                    grad_contexts[t].addcmul_(grad_fed, keep[t])
            grad_weights = dot_product(grad_contexts[t], values)
            grad_scores[t] = softmax_backward(grad_weights, weights[t], 1, weights.dtype)
            grad_query = score.backward(grad_scores[t], queries[t])
            if grad_mapped.size(2) == gates_size:
                passed += grad_query
            else:
                grad_mapped[t, :, gates_size:] = grad_query
            to_state.add(passed, grad_mapped[t], out=passed)
            grad = passed
        grad_keys, grad_score_weight = score.gradients(grad_scores, queries)
        return (
            *(None, None, None, grad_gates, None, grad),
            outer_sum(weights, grad_contexts),
            grad_keys,
            None,
            weight_gradient(grad_gates, fed[:length], products.dtype),
            weight_gradient(grad_mapped, hidden[: len(mapped)], products.dtype),
            grad_mapped.sum(dim=(0, 1)),
            grad_score_weight,
            weight_gradient(grad_deep_mapped, between, products.dtype),
            grad_deep_mapped.sum(dim=(1, 2)),
            grad_deep_gates.sum(dim=(1, 2)),
        )


def _queries(mapped: Tensor, hidden: Tensor, gates_size: int) -> Tensor:
    """q_0 … q_{N-1} (N, B, A): the part of ``mapped`` after j, or the states themselves."""
    return hidden[: len(mapped)] if mapped.size(2) == gates_size else mapped[..., gates_size:]


class FusedDecoder(Decoder):
    """Computes the same as ``Decoder``, with the same parameters and the same ``step``, which search uses."""

    def unroll(self, embedded: Tensor, start: Tensor, memory: Memory) -> Unrolled:
        parts = FUSED_SCORES[type(self.attention)](self.attention, memory.keys)
        cell, length = self.cell, embedded.size(1)
        shift = int(self.attention.reads_new_context)
        context_map, word_map = cell.weight_ih.split([memory.values.size(2), embedded.size(2)], dim=1)
        words = self.recurrent_dropout(embedded.transpose(0, 1))
        maps: list[Tensor] = [cell.weight_hh]
        biases: list[Tensor] = [cell.bias_hh]
        if parts.query_map is not None:
            maps.append(parts.query_map)
            biases.append(cell.bias_hh.new_zeros(len(parts.query_map)))
        exact = cell.weight_hh.dtype
        inputs, keep = F.linear(words, word_map, cell.bias_ih), self._keep(length, memory.values)
        tensors = (part.to(exact) for part in (inputs, start, memory.values, parts.keys))
        inputs, start, values, keys = tensors
        products = products_with(start)
        with torch.autocast(start.device.type, enabled=False):
            hidden, contexts, weights = AttentionRecurrence.apply(  # type: ignore[no-untyped-call]
                length + shift,
                parts.score,
                products,
                inputs,
                keep,
                start,
                values,
                keys,
                memory.mask,
                context_map,
                torch.cat(maps),
                torch.cat(biases),
                parts.weight,
                *self._deep(),
            )
        read = slice(shift, shift + length)
        return Unrolled(*(part.transpose(0, 1) for part in (hidden, contexts[read], weights[read])))

    def _deep(self) -> tuple[Tensor, Tensor, Tensor]:
        """The parameters of further transitions side by side: U (P, 3D, D), b_h (P, 3D) and b_i (P, 3D)."""
        if not self.transitions:
            matrix, vector = self.cell.weight_hh, self.cell.bias_hh
            none = vector.new_empty(0, len(vector))
            return matrix.new_empty(0, *matrix.shape), none, none
        deep = [(one.weight_hh, one.bias_hh, one.bias_ih) for one in self.transitions]
        weight, bias, inputs = map(torch.stack, zip(*deep, strict=True))
        return weight, bias, inputs

    def _keep(self, length: int, values: Tensor) -> Tensor | None:
        """Dropout of the contexts, as factors (T, B, M)."""
        if not self.training or self.recurrent_dropout.p == 0:
            return None
        ones = self.cell.bias_hh.new_ones(length, values.size(0), values.size(2))
        dropped: Tensor = self.recurrent_dropout(ones)
        return dropped
