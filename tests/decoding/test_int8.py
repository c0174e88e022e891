"""Products in 8 bits against exact ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seq2seq.decoding.int8 import Int8GRUCell, Int8Linear, quantized, quantized_copy
from seq2seq.model import Seq2Seq

NewModel = Callable[..., Seq2Seq]


def test_rounding_by_hand() -> None:
    """The largest of a row is 127 units; 0.5 of 254 is a quarter of a unit, which is rounded away."""
    rows, unit = quantized(torch.tensor([[254.0, -2.0, 0.5], [0.0, 0.0, 0.0]]))
    assert rows.tolist() == [[127, -1, 0], [0, 0, 0]]
    assert unit[0].item() == 2.0


def test_whole_numbers_are_exact() -> None:
    weight = torch.tensor([[127.0, 3.0], [-50.0, 127.0]])
    linear = Int8Linear(weight, torch.tensor([0.5, -1.0]))
    inputs = torch.tensor([[[127.0, 1.0]], [[-2.0, 127.0]]])
    torch.testing.assert_close(linear(inputs), inputs @ weight.t() + torch.tensor([0.5, -1.0]))


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_products_are_off_by_what_rounding_can_do(rows: int) -> None:
    """Each factor is off by half a unit at most, so a sum of K products by at most K times what one can be."""
    torch.manual_seed(rows)
    linear, inputs = nn.Linear(48, 20), torch.randn(rows, 48)
    exact = linear(inputs)
    outputs = Int8Linear(linear.weight, linear.bias)(inputs)
    x, w = inputs.abs().amax(dim=1, keepdim=True), linear.weight.abs().amax(dim=1)
    assert ((outputs - exact).abs() <= 48 * x * w * (1 / 127 + 1 / 254**2)).all()
    assert (outputs - exact).norm() < 0.02 * exact.norm()


def test_gru_cell() -> None:
    torch.manual_seed(0)
    cell, inputs, hidden = nn.GRUCell(24, 16), torch.randn(5, 24), torch.randn(5, 16).tanh()
    torch.testing.assert_close(Int8GRUCell(cell)(inputs, hidden), cell(inputs, hidden), atol=0.02, rtol=0)


@torch.no_grad()
def test_only_the_copy_is_rounded(new_model: NewModel, variant: str) -> None:
    model = new_model(variant=variant).float()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = quantized_copy(model)
    src, tokens = torch.tensor([[4, 5, 6], [7, 8, 1]]), torch.tensor([2, 2])
    exact, rough = (searched.step(tokens, searched.encode(src, src != 0))[0] for searched in (model, copy))
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(
        isinstance(module, (nn.GRUCell, nn.Linear)) for module in (copy.decoder.cell, copy.decoder.output)
    )
