"""Products in each precision, against exact ones and integers multiplied in a loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seq2seq.decoding.products import Int8Product, product
from seq2seq.precision import FP32, Precision

BF16, INT8 = Precision("bf16"), Precision("int8")


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_in_8_bits_sums_are_exact_at_the_largest_bytes(rows: int) -> None:
    """Sums of two products in 16 bits would saturate if inputs used the whole range of a byte."""
    torch.manual_seed(rows)
    weights = torch.randint(-127, 128, (70, 130), dtype=torch.int8)
    weights[0], weights[1] = 127, -127
    inputs = torch.randint(-63, 64, (rows, 130))
    inputs[0] = 63
    outputs = Int8Product(weights, torch.ones(70), torch.zeros(70))(inputs / 63) * 63
    assert outputs.round().tolist() == (inputs @ weights.long().t()).tolist()


def test_rounding_by_hand() -> None:
    """The largest weight of an output is 127 units; inputs are rounded to 1/63."""
    rounded = product(torch.tensor([[12.7, -0.1, 0.04], [0.0, 0.0, 0.0]]), torch.tensor([0.5, 1.0]), INT8)
    assert isinstance(rounded, Int8Product)
    assert rounded.rows.tolist() == [[127, -1, 0], [0, 0, 0]]
    outputs = rounded(torch.tensor([[0.0, 1.0, 1.0], [0.6 / 63, 0.4 / 63, 0.0]]))
    torch.testing.assert_close(outputs, torch.tensor([[0.4, 1.0], [0.5 + 12.7 / 63, 1.0]]))


@pytest.mark.parametrize(("precision", "error"), [(FP32, 1e-6), (BF16, 0.005), (INT8, 0.02)])
def test_products_are_near_exact_ones_and_so_are_their_parts(precision: Precision, error: float) -> None:
    torch.manual_seed(0)
    linear, inputs = nn.Linear(48, 20), torch.randn(7, 48).tanh()
    mapped = product(linear.weight.detach(), linear.bias.detach(), precision)
    some = torch.tensor([3, 0, 19])
    exact = linear(inputs).detach()
    assert mapped(inputs).dtype == torch.float32
    assert (mapped(inputs) - exact).norm() < error * exact.norm()
    torch.testing.assert_close(mapped.select(some)(inputs), mapped(inputs)[:, some])
