"""The encoder and one step of the decoder as ONNX graphs, built from the weights of a trained model.

They compute the numbers of ``Seq2Seq.encode`` and ``Seq2Seq.step`` as ``decoding.prepared`` does: the memory is
mapped before it is summed, so a step needs neither the encoder states nor the context. ``verify`` compares.
Shapes: B sentences, K partial translations of each, S source length, L decoder layers, D decoder state,
A attention key, O read-out, V vocabulary, n words asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq.export.graph import Graph, Port, Value, array
from seq2seq.model.attention import FoldedScore
from seq2seq.model.encoder import Bridge, Encoder
from seq2seq.model.seq2seq import Seq2Seq


class Ports:
    """The inputs and outputs of the two graphs; where names are equal, the one feeds the other."""

    def __init__(self, model: Seq2Seq) -> None:
        decoder, score = model.decoder, model.decoder.attention.folded()
        layers = 1 + (decoder.upper.num_layers if decoder.upper is not None else 0)
        size, memory_size = decoder.cell.hidden_size, model.encoder.memory_size
        key_size = memory_size if score.keys is None else len(score.keys)
        readout_size = decoder.readout.out_features
        self.src = [Port("src", "int32", ["B", "S"]), Port("lengths", "int32", ["B"])]
        self.start = [Port("state", "float32", ["B", 1, layers, size]), Port("weights", "float32", ["B", 1, "S"])]
        self.memory = [
            Port("to_gates", "float32", ["B", "S", 3 * size]),
            Port("to_readout", "float32", ["B", "S", readout_size]),
            Port("keys", "float32", ["B", "S", key_size]),
            Port("mask", "bool", ["B", "S"]),
        ]
        self.words = [Port("words", "int32", ["B", "K"]), Port("count", "int64", [1])]
        self.state = [
            Port("state", "float32", ["B", "K", layers, size]),
            Port("weights", "float32", ["B", "K", "S"]),
        ]
        self.found = [
            Port("log_probs", "float32", ["B", "K", len(decoder.output.weight)]),
            Port("best_log_probs", "float32", ["B", "K", "n"]),
            Port("best_words", "int32", ["B", "K", "n"]),
            Port("attention", "float32", ["B", "K", "S"]),
        ]
        self.new_state = [port._replace(name=f"new_{port.name}") for port in self.state]


@torch.no_grad()
def encoder_graph(model: Seq2Seq, precision: str) -> bytes:
    """Sources ``src`` (B, S) of so many words, ``lengths`` (B,), to the first state and the memory.

    What stands in ``src`` beyond a sentence's length changes nothing.
    """
    graph, ports = Graph(precision), Ports(model)
    states, last = _encoded(graph, model.encoder)
    length = graph.cast(graph.node("Squeeze", graph.node("Shape", "src", start=1)), "int32")
    places = graph.node("Range", np.int32(0), length, np.int32(1))
    mask = graph.node("Less", places, graph.node("Unsqueeze", "lengths", _axes(1)))
    gates, readout = _context_weights(model)
    score = model.decoder.attention.folded()
    keys = states if score.keys is None else graph.product(states, score.keys)
    state = graph.node("Unsqueeze", _first_state(graph, model, last), _axes(1))
    weights = _attend(graph, score, graph.node("Gather", state, np.int64(0), axis=2), keys, mask)
    memory = graph.product(states, gates), graph.product(states, readout), keys, mask
    outputs = zip([*ports.start, *ports.memory], [state, weights, *memory], strict=True)
    return graph.built("encoder", ports.src, [*outputs])


@torch.no_grad()
def decoder_graph(model: Seq2Seq, precision: str, forbidden: Sequence[int]) -> bytes:
    """One step: the words (B, K) written last, the state and the memory, to the next words and the new state.

    Gives the log-probabilities of all words; the ``count`` best words, in no order if ``forbidden`` ones are among
    them, whose log-probability is then -inf; and the attention weights of the context that was read out.
    """
    graph, ports, decoder = Graph(precision), Ports(model), model.decoder
    score, mask = decoder.attention.folded(), "mask"
    layers = [graph.node("Gather", "state", np.int64(layer), axis=2) for layer in range(_layers(model))]
    gates = graph.node("Add", _word_gates(graph, model), graph.node("MatMul", "weights", "to_gates"))
    recurrent = graph.product(layers[0], decoder.cell.weight_hh, decoder.cell.bias_hh)
    new = [_next(graph, gates, recurrent, layers[0])]
    for one in decoder.transitions:
        new[0] = _next(graph, array(one.bias_ih), graph.product(new[0], one.weight_hh, one.bias_hh), new[0])
    for layer, (w_ih, w_hh, b_ih, b_hh) in enumerate(decoder.upper.all_weights if decoder.upper else [], 1):
        inputs, recurrent = graph.product(new[-1], w_ih, b_ih), graph.product(layers[layer], w_hh, b_hh)
        new.append(_next(graph, inputs, recurrent, layers[layer]))
    weights = _attend(graph, score, new[0], "keys", mask)
    read = weights if decoder.attention.reads_new_context else "weights"
    log_probs = _log_probs(graph, model, new[-1], read)
    state = graph.node("Concat", *(graph.node("Unsqueeze", layer, _axes(2)) for layer in new), axis=2)
    values = [log_probs, *_best(graph, log_probs, len(decoder.output.weight), forbidden), read, state, weights]
    outputs = zip([*ports.found, *ports.new_state], values, strict=True)
    return graph.built("decoder", [*ports.words, *ports.state, *ports.memory], [*outputs])


def _encoded(graph: Graph, encoder: Encoder) -> tuple[str, str]:
    """Encoder states (B, S, M), zero on padding; and (B, M), the last states of the top layer, → and ←."""
    states = graph.rows(encoder.embedding.weight, graph.node("Transpose", "src", perm=[1, 0]))  # (S, B, E)
    for layer in range(encoder.gru.num_layers):
        scale = encoder.embedding.scale if layer == 0 else 1.0
        weights = _both_directions(encoder, layer, scale)
        attributes = {
            "hidden_size": encoder.gru.hidden_size,
            "direction": "bidirectional",
            "linear_before_reset": 1,
        }
        all_states, last = graph.nodes(
            "GRU", 2, states, *weights, "lengths", **attributes
        )  # (S, 2, B, H), (2, B, H)
        states = graph.node("Transpose", all_states, perm=[0, 2, 1, 3])
        states = graph.node("Reshape", states, np.array([0, 0, -1]))  # (S, B, M)
    last = graph.node("Reshape", graph.node("Transpose", last, perm=[1, 0, 2]), np.array([0, -1]))
    return graph.node("Transpose", states, perm=[1, 0, 2]), last


def _both_directions(encoder: Encoder, layer: int, scale: float) -> list[NDArray[np.float32]]:
    """W, R and B of an ONNX GRU, whose gates stand in the order z, r, h instead of torch's r, z, n."""
    parts = []
    for name in (f"l{layer}", f"l{layer}_reverse"):
        w_ih, w_hh, b_ih, b_hh = (
            _reordered(getattr(encoder.gru, f"{kind}_{name}"))
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        parts.append((w_ih * scale, w_hh, torch.cat([b_ih, b_hh])))
    return [array(torch.stack(both)) for both in zip(*parts, strict=True)]


def _reordered(gates: Tensor) -> Tensor:
    reset, update, new = gates.chunk(3)
    return torch.cat([update, reset, new])


def _first_state(graph: Graph, model: Seq2Seq, last: str) -> str:
    """(B, L, D) from the last encoder states (B, M)."""
    num_layers, size = _layers(model), model.decoder.cell.hidden_size
    if isinstance(model.bridge, Bridge):
        linear = model.bridge.linear
        start = graph.node("Tanh", graph.product(last, linear.weight, linear.bias))
        return graph.node("Reshape", start, np.array([0, num_layers, size]))
    shape = graph.node("Concat", graph.node("Shape", "lengths"), np.array([num_layers, size]), axis=0)
    return graph.node("Expand", np.float32(0), shape)


def _layers(model: Seq2Seq) -> int:
    return model.bridge.shape[0]


def _context_weights(model: Seq2Seq) -> tuple[Tensor, Tensor]:
    """W_c (3D, M) of the gates, and W_vc (O, M) of the read-out."""
    decoder, memory_size = model.decoder, model.encoder.memory_size
    return decoder.cell.weight_ih[:, :memory_size], decoder.readout.weight[:, decoder.cell.hidden_size :]


def _word_gates(graph: Graph, model: Seq2Seq) -> str:
    """W_y y + b_ih (B, K, 3D) of the words y; in fp32, since nothing bounds the entries of an embedding."""
    decoder, memory_size = model.decoder, model.encoder.memory_size
    weight = decoder.cell.weight_ih[:, memory_size:] * decoder.embedding.scale
    gates = graph.product_in_fp32(graph.rows(decoder.embedding.weight, "words"), weight)
    return graph.node("Add", gates, array(decoder.cell.bias_ih))


def _next(graph: Graph, inputs: Value, recurrent: str, hidden: str) -> str:
    """The next state (..., D) of a GRU from its two products (..., 3D); the reset gate comes after the product."""
    reset_in, update_in, new_in = graph.nodes("Split", 3, inputs, axis=-1)
    reset_re, update_re, new_re = graph.nodes("Split", 3, recurrent, axis=-1)
    reset = graph.node("Sigmoid", graph.node("Add", reset_in, reset_re))
    update = graph.node("Sigmoid", graph.node("Add", update_in, update_re))
    new = graph.node("Tanh", graph.node("Add", new_in, graph.node("Mul", reset, new_re)))
    return graph.node("Add", new, graph.node("Mul", update, graph.node("Sub", hidden, new)))


def _attend(graph: Graph, score: FoldedScore, hidden: str, keys: str, mask: str) -> str:
    """Weights (B, K, S) of the states ``hidden`` (B, K, D) on ``keys`` (B, S, A)."""
    query = hidden if score.query is None else graph.product(hidden, score.query)
    if score.weight is None:
        scores = graph.node("MatMul", query, graph.node("Transpose", keys, perm=[0, 2, 1]))
    else:
        both = graph.node("Add", graph.node("Unsqueeze", query, _axes(2)), graph.node("Unsqueeze", keys, _axes(1)))
        scores = graph.node("MatMul", graph.node("Sigmoid", both), array(score.weight))
    scores = graph.node("Where", graph.node("Unsqueeze", mask, _axes(1)), scores, np.float32(-math.inf))
    return graph.node("Softmax", scores, axis=-1)


def _log_probs(graph: Graph, model: Seq2Seq, top: str, weights: str) -> str:
    """(B, K, V) from the top layer's states and the weights of the context that is read out."""
    decoder = model.decoder
    of_state = graph.product(top, decoder.readout.weight[:, : decoder.cell.hidden_size])
    readout = graph.node("Tanh", graph.node("Add", of_state, graph.node("MatMul", weights, "to_readout")))
    return graph.node("LogSoftmax", graph.product(readout, decoder.output.weight, decoder.output.bias), axis=-1)


def _best(graph: Graph, log_probs: str, vocab_size: int, forbidden: Sequence[int]) -> list[str]:
    """Log-probabilities and words (B, K, n), the ``count`` best that are allowed among them."""
    count = graph.node("Add", "count", np.array([len(forbidden)]))
    count = graph.node("Min", count, np.array([vocab_size]))
    best, words = graph.nodes("TopK", 2, log_probs, count, axis=-1)
    allowed = np.zeros(vocab_size, np.float32)
    allowed[list(forbidden)] = -math.inf
    return [graph.node("Add", best, graph.node("Gather", allowed, words)), graph.cast(words, "int32")]


def _axes(*axes: int) -> NDArray[Any]:
    return np.array(axes)
