"""What ONNX graphs are built of: nodes, weights, and products with a matrix in fp32 or int8. Only here is onnx.

The graphs are written node by node from the weights. Nothing is traced, so no size is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seq2seq.decoding.products import UNITS, WEIGHT_UNITS
from seq2seq.errors import ConfigError

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError:
    raise ConfigError("seq2seq export needs onnx: pip install 'seq2seq-nmt[export]'") from None

OPSET, IR_VERSION = 17, 8  # those of onnxruntime 1.12, of 2022, and of all since
TYPES = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
ZERO = np.uint8(64)  # what stands for 0 in an input of 8 bits, as in ``decoding.products``

Value: TypeAlias = str | NDArray[Any] | np.generic
"""A value of the graph by its name, or a constant."""


class Port(NamedTuple):
    """An input or output of a graph."""

    name: str
    type: str  # a key of ``TYPES``
    shape: Sequence[str | int]  # a text names a size that may change from call to call


class Graph:
    """Nodes and weights, in the order in which they are added."""

    def __init__(self, precision: str) -> None:
        """Products are in ``precision``: fp32 or int8."""
        self.precision = precision
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._matrices: dict[int, tuple[Tensor, str]] = {}  # by id; a tensor that is kept keeps its id

    def nodes(self, op: str, count: int, *inputs: Value, **attributes: Any) -> list[str]:
        """Add a node; returns the names of its first ``count`` outputs."""
        outputs = [f"{op}_{len(self._nodes)}_{i}" for i in range(count)]
        self._nodes.append(helper.make_node(op, [self._name(value) for value in inputs], outputs, **attributes))
        return outputs

    def node(self, op: str, *inputs: Value, **attributes: Any) -> str:
        """Add a node; returns the name of its first output."""
        return self.nodes(op, 1, *inputs, **attributes)[0]

    def weight(self, array: NDArray[Any] | np.generic) -> str:
        """Add a constant; returns its name."""
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def _name(self, value: Value) -> str:
        return value if isinstance(value, str) else self.weight(value)

    def _matrix(self, weight: Tensor) -> str:
        """The constant ``weight``, written once however often it is used."""
        if id(weight) not in self._matrices:
            self._matrices[id(weight)] = weight, self.weight(array(weight))
        return self._matrices[id(weight)][1]

    def cast(self, value: str, to: str) -> str:
        """The numbers of ``value`` as another type, a key of ``TYPES``."""
        return self.node("Cast", value, to=TYPES[to])

    def product(self, inputs: str, weight: Tensor, bias: Tensor | None = None) -> str:
        """(..., K) to (..., N): x Wᵀ + b, with ``weight`` (N, K); in int8, for inputs from -1 to 1.

        In int8 this is the product of ``decoding.products.Int8Product``.
        """
        if self.precision == "int8":
            rows, unit = quantized(weight)
            rounded = self.node("QuantizeLinear", inputs, np.float32(1 / UNITS), ZERO)
            sums = self.node("MatMulInteger", rounded, rows.T, ZERO)
            outputs = self.node("Mul", self.cast(sums, "float32"), unit / np.float32(UNITS))
        else:
            outputs = self.product_in_fp32(inputs, weight)
        return outputs if bias is None else self.node("Add", outputs, array(bias))

    def product_in_fp32(self, inputs: str, weight: Tensor) -> str:
        """(..., K) to (..., N): x Wᵀ, whatever the precision of the graph."""
        return self.node("MatMul", inputs, self.node("Transpose", self._matrix(weight), perm=[1, 0]))

    def rows(self, weight: Tensor, numbers: str) -> str:
        """The rows of ``weight`` (N, K) with the given ``numbers`` (...): (..., K)."""
        if self.precision != "int8":
            return self.node("Gather", self._matrix(weight), numbers)
        rounded, unit = quantized(weight)
        rows = self.cast(self.node("Gather", rounded, numbers), "float32")
        return self.node("Mul", rows, self.node("Gather", unit[:, None], numbers))

    def built(self, name: str, inputs: Sequence[Port], outputs: Sequence[tuple[Port, str]]) -> bytes:
        """The whole model, checked, as it is written to a file; each output is a port and the value it has."""
        self._name_outputs({port.name: value for port, value in outputs})
        taken, given = [_info(port) for port in inputs], [_info(port) for port, _ in outputs]
        graph = helper.make_graph(self._nodes, name, taken, given, initializer=self._weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="seq2seq",
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _name_outputs(self, outputs: Mapping[str, str]) -> None:
        """Give values the names of outputs; one that is an input, or several outputs, is copied."""
        names: dict[str, str] = {}
        made = {name for node in self._nodes for name in node.output}
        for output, value in outputs.items():
            if value in made and value not in names:
                names[value] = output
            else:
                self._nodes.append(helper.make_node("Identity", [value], [output]))
        for node in self._nodes:
            for ends in (node.input, node.output):
                ends[:] = [names.get(name, name) for name in ends]


def _info(port: Port) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(port.name, TYPES[port.type], [*port.shape])


def array(tensor: Tensor) -> NDArray[np.float32]:
    """The numbers of ``tensor`` in fp32."""
    numbers: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return numbers


def quantized(weight: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``weight`` (N, K) rounded to int8, and the unit of each row (N,)."""
    numbers = array(weight)
    unit = np.maximum(np.abs(numbers).max(axis=1), 1e-30).astype(np.float32) / np.float32(WEIGHT_UNITS)
    return np.rint(numbers / unit[:, None]).astype(np.int8), unit
