"""A model prepared for search: the numbers of ``Seq2Seq.step``, computed faster.

What depends on the weights alone is done once, what depends on the source alone once for each batch. With W_c and
W_y the columns of the gates' input matrix, and W_vs and W_vc those of the read-out's,

    W_c a + W_y y = Σ_i α_i (W_c h_i) + W_y y        W_v [s ; a] = W_vs s + Σ_i α_i (W_vc h_i)

so the memory is mapped before it is summed, and W_y y is looked up. ``Decoder.step`` is the definition; tests
compare with it. Shapes: B sources, R rows, K = R / B rows of a source, S source length, D decoder state, M memory,
A attention key, O read-out, V vocabulary, C candidates, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.decoding.products import Product, product
from seq2seq.model.attention import Memory
from seq2seq.model.decoder import Decoder, DecoderState
from seq2seq.model.fused.gru import gru_step
from seq2seq.model.seq2seq import Decoding, Seq2Seq
from seq2seq.precision import FP32, Precision

LARGEST_TABLE = 2**25
"""Most numbers in the table of W_y y; for more of them the product is computed at each step."""


class PreparedDecoding(NamedTuple):
    """What search carries from step to step."""

    decoding: Decoding  # the context of its state is empty: the weights tell it
    output: Product  # W_o of all words or of the candidates

    def repeat(self, times: int) -> PreparedDecoding:
        """See ``Decoding``."""
        return self._replace(decoding=self.decoding.repeat(times))

    def select(self, rows: Tensor) -> PreparedDecoding:
        """See ``Decoding``."""
        return self._replace(decoding=self.decoding.select(rows))


class PreparedModel:
    """``encode`` and ``step`` of a model as its weights are now, without dropout."""

    @torch.no_grad()
    def __init__(self, model: Seq2Seq, precision: Precision) -> None:
        decoder, cell = model.decoder, model.decoder.cell
        self._model, self._precision = model, precision
        self._reads_new_context = decoder.attention.reads_new_context
        self._score = decoder.attention.folded()
        self._gates = 3 * cell.hidden_size
        memory_size = cell.input_size - decoder.embedding.embedding_dim
        gates_context, gates_word = cell.weight_ih.tensor_split([memory_size], dim=1)
        readout_state, readout_context = decoder.readout.weight.tensor_split([cell.hidden_size], dim=1)
        once = Precision(precision.beside) if precision.name == "int8" else precision  # for each batch
        self._values = product(torch.cat([gates_context, readout_context]), None, once)
        self._keys = _map(self._score.keys, once)
        self._query = _map(self._score.query, precision)
        self._word = _word_map(decoder, gates_word, cell.bias_ih)
        self._recurrent = product(cell.weight_hh, cell.bias_hh, precision)
        self._deep = [(one.bias_ih, product(one.weight_hh, one.bias_hh, precision)) for one in decoder.transitions]
        self._upper = _layers(decoder.upper, precision)
        self._readout = product(readout_state, None, precision)
        self._output = product(decoder.output.weight, decoder.output.bias, precision)

    @torch.no_grad()
    def encode(self, src: Tensor, src_mask: Tensor, words: Tensor | None = None) -> PreparedDecoding:
        """See ``Seq2Seq``; with candidates ``words`` (C,) int64, ``step`` gives logits (R, C) of these only."""
        with self._precision.products(src.device):
            states, final_state = self._model.encoder(src, src_mask)
            layers = self._model.bridge(final_state).to(states.dtype)
        memory = Memory(_each(self._values, states), _each(self._keys, states), src_mask)
        start = layers[0]
        state = DecoderState(start, layers[1:].transpose(0, 1), start[:, :0], self._attend(start, memory))
        output = self._output if words is None else self._output.select(words)
        return PreparedDecoding(Decoding(state, memory), output)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: PreparedDecoding) -> tuple[Tensor, Tensor, PreparedDecoding]:
        """One step of search: words (R,) in; logits (R, V) or (R, C), weights (R, S), new state."""
        (old, memory), output = state
        to_gates, to_readout = memory.values.tensor_split([self._gates], dim=2)
        hidden = _next(_add(self._word(tokens), old.weights, to_gates), self._recurrent(old.hidden), old.hidden)
        for inputs, recurrent in self._deep:
            hidden = _next(inputs.expand(len(hidden), -1).clone(), recurrent(hidden), hidden)
        weights = self._attend(hidden, memory)
        top, upper = self._upper_layers(hidden, old.upper)
        read = weights if self._reads_new_context else old.weights
        logits = output(_add(self._readout(top), read, to_readout).tanh_())
        new = DecoderState(hidden, upper, old.context[:, :0], weights)
        return logits, read, PreparedDecoding(Decoding(new, memory), output)

    def _attend(self, hidden: Tensor, memory: Memory) -> Tensor:
        """Weights (R, S) of the states ``hidden`` (R, D)."""
        query = self._query(hidden).unflatten(0, (len(memory.mask), -1))
        scores = self._score(query, memory.keys).masked_fill_(~memory.mask.unsqueeze(1), -torch.inf)
        return scores.softmax(dim=-1).flatten(0, 1)

    def _upper_layers(self, hidden: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """(R, D) through the layers above the recurrence, with their states (R, L-1, D)."""
        states = []
        for (inputs, recurrent), state in zip(self._upper, upper.unbind(dim=1), strict=True):
            hidden = _next(inputs(hidden), recurrent(state), state)
            states.append(hidden)
        return hidden, torch.stack(states, dim=1) if states else upper


Map = Callable[[Tensor], Tensor]


def _map(weight: Tensor | None, precision: Precision) -> Map:
    """The product with ``weight``, or the identity."""
    return nn.Identity() if weight is None else product(weight, None, precision)


def _word_map(decoder: Decoder, weight: Tensor, bias: Tensor) -> Map:
    """Words (R,) to W_y y + b (R, 3D)."""
    embedding = decoder.embedding
    scaled = weight * embedding.scale
    if len(embedding.weight) * len(weight) <= LARGEST_TABLE:
        return partial(F.embedding, weight=F.linear(embedding.weight, scaled, bias))
    times = product(scaled, bias, FP32)
    return lambda words: times(F.embedding(words, embedding.weight))


def _layers(gru: nn.GRU | None, precision: Precision) -> list[tuple[Product, Product]]:
    """The two products of each layer."""
    return [
        (product(w_ih, b_ih, precision), product(w_hh, b_hh, precision))
        for w_ih, w_hh, b_ih, b_hh in (gru.all_weights if gru is not None else [])
    ]


def _each(mapped: Map, states: Tensor) -> Tensor:
    """``mapped`` of each of (B, S, M)."""
    rows: Tensor = mapped(states.flatten(0, 1)).unflatten(0, states.shape[:2])
    return rows


def _add(rows: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """``rows`` (R, N) plus the sums of ``values`` (B, S, N) weighted by ``weights`` (R, S)."""
    num = len(values)
    return torch.baddbmm(rows.unflatten(0, (num, -1)), weights.unflatten(0, (num, -1)), values).flatten(0, 1)


def _next(gates: Tensor, recurrent: Tensor, hidden: Tensor) -> Tensor:
    """The next state (R, D) of a GRU from its two products (R, 3D); ``gates`` is overwritten."""
    new = torch.empty_like(hidden)
    gru_step(gates, recurrent, hidden, gates, out=new)
    return new
