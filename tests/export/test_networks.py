"""The graphs compute what the model does, for every attention, and a graph that does not is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from small_models import enlarged, make_model

from seq2seq.errors import ExportError
from seq2seq.export import networks, verify
from seq2seq.export.networks import decoder_graph, encoder_graph
from seq2seq.export.verify import Network
from seq2seq.model import Seq2Seq

SHAPES = [
    {"encoder_layers": 1, "decoder_layers": 1, "bridge": "tanh", "tie": "none"},
    {"encoder_layers": 2, "decoder_layers": 3, "bridge": "zeros", "tie": "target"},
    {"encoder_layers": 3, "decoder_layers": 2, "bridge": "tanh", "tie": "all"},
    {"encoder_layers": 1, "decoder_layers": 1, "bridge": "zeros", "tie": "all"},
    {"encoder_layers": 1, "decoder_layers": 2, "bridge": "tanh", "tie": "none", "transitions": 3},
]


def small(**options: Any) -> Seq2Seq:
    torch.manual_seed(3)
    return enlarged(make_model(**options)).eval()


def graphs(model: Seq2Seq, precision: str = "fp32") -> tuple[bytes, bytes]:
    return encoder_graph(model, precision), decoder_graph(model, precision, (0, 2))


@pytest.mark.parametrize("options", SHAPES, ids=lambda options: "-".join(map(str, options.values())))
def test_graphs_equal_the_model(variant: str, options: dict[str, Any]) -> None:
    model = small(variant=variant, **options)
    assert verify.largest_difference(model, *graphs(model)) < 1e-5
    assert verify.largest_difference(model, *graphs(model, "int8")) < 0.5


def test_what_stands_in_the_padding_changes_nothing(variant: str) -> None:
    encode = Network(encoder_graph(small(variant=variant, encoder_layers=2), "fp32"))
    lengths = np.array([6, 2, 4], np.int32)
    src = np.arange(18, dtype=np.int32).reshape(3, 6) % 11
    other = np.where(np.arange(6) < lengths[:, None], src, 10).astype(np.int32)
    one, two = (encode({"src": ids, "lengths": lengths}) for ids in (src, other))
    assert all((one[name] == two[name]).all() for name in one)
    alone = encode({"src": src[1:2, :2], "lengths": lengths[1:2]})
    np.testing.assert_allclose(one["state"][1:2], alone["state"], atol=1e-6)
    np.testing.assert_allclose(one["weights"][1, 0], [*alone["weights"][0, 0], 0, 0, 0, 0], atol=1e-6)
    assert (one["weights"][1, 0, 2:] == 0).all()


def test_the_best_words_are_those_of_the_log_probabilities() -> None:
    model = small()
    encode, step = map(Network, graphs(model))
    outputs = encode({"src": np.array([[4, 5, 6]], np.int32), "lengths": np.array([3], np.int32)})
    state = {name: np.repeat(outputs.pop(name), 2, axis=1) for name in ("state", "weights")}
    for count in (1, 4, 100):
        found = step({"words": np.array([[2, 7]], np.int32), "count": np.array([count]), **state, **outputs})
        for row in range(2):
            allowed = found["log_probs"][0, row].copy()
            allowed[[0, 2]] = -np.inf
            best, words = found["best_log_probs"][0, row], found["best_words"][0, row]
            order = np.argsort(-best, kind="stable")[:count]
            assert words[order][: 11 - 2].tolist() == np.argsort(-allowed, kind="stable")[: min(count, 9)].tolist()
            assert (best == allowed[words]).all()
        assert np.exp(found["log_probs"]).sum(axis=2) == pytest.approx(1)  # forbidden words keep their share


def changed(graph: bytes, op: str, attribute: str, value: int) -> bytes:
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        for one in node.attribute:
            if (node.op_type, one.name) == (op, attribute):
                one.i = value
    return bytes(model.SerializeToString())


def test_a_reset_gate_before_the_product_is_found() -> None:
    """The mistake that exporters have made: it shows only on trained weights, and nothing fails."""
    model = small()
    encoder, decoder = graphs(model)
    wrong = changed(encoder, "GRU", "linear_before_reset", 0)
    assert wrong != encoder
    with pytest.raises(ExportError, match=r"^precision=fp32: the exported model differs .* nothing was written"):
        verify.check(model, wrong, decoder, "fp32")
    verify.check(model, encoder, decoder, "fp32")


def test_gates_in_torchs_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_reordered", lambda gates: gates)
    assert verify.largest_difference(small(), *graphs(small())) > 0.1


def test_no_size_is_frozen() -> None:
    """All sizes but those of the model are names; an exporter that traces may write a number."""
    for graph in graphs(small(decoder_layers=2)):
        for port in onnx.load_from_string(graph).graph.input:
            dims = [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim]
            assert dims in ([1], ["B"]) or dims[:2] in (["B", "S"], ["B", "K"])


def test_a_tied_matrix_is_written_once() -> None:
    tied, free = (len(decoder_graph(small(vocab_size=500, tie=tie), "fp32", ())) for tie in ("all", "none"))
    assert free - tied == pytest.approx(4 * 500 * 4, abs=100)
