"""The recurrence against the formulas as plain loops, and ``forward`` against ``step``."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import NewModel
from torch import Tensor, nn

from seq2seq.model import Seq2Seq


def gru(cell: torch.nn.GRUCell, x: Tensor, h: Tensor) -> Tensor:
    """Cho et al. (2014), with the reset gate after the product as in cuDNN."""
    gates_x = cell.weight_ih @ x + cell.bias_ih
    gates_h = cell.weight_hh @ h + cell.bias_hh
    (r_x, z_x, n_x), (r_h, z_h, n_h) = gates_x.chunk(3), gates_h.chunk(3)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


def oracle(model: Seq2Seq, states: Tensor, s: Tensor, tokens: list[int]) -> list[Tensor]:
    """Logits for one sentence: states (S, M), s_0 (D,), the words fed in."""
    decoder = model.decoder
    attention = decoder.attention
    memory = attention.prepare(states.unsqueeze(0), torch.ones(1, len(states), dtype=torch.bool))

    def attend(state: Tensor) -> Tensor:
        return attention(state.unsqueeze(0), memory)[0][0]

    vectors = math.sqrt(decoder.embedding.embedding_dim) * decoder.embedding.weight
    logits = []
    for token in tokens:
        before = attend(s)  # what builds s_t
        s = gru(
            decoder.cell,
            torch.cat([before, vectors[token]]),
            s,
        )
        read = before if type(attention).__name__ == "Bahdanau" else attend(s)
        v = torch.cat([s, read])
        logits.append(decoder.output.weight @ torch.tanh(decoder.readout.weight @ v) + decoder.output.bias)
    return logits


def encoded(model: Seq2Seq) -> tuple[Tensor, Tensor]:
    src = torch.tensor([[4, 5, 6, 3], [7, 8, 3, 0]])
    return src, src != 0


def test_follows_the_formulas(new_model: NewModel, variant: str) -> None:
    model = new_model(variant=variant)
    src, mask = encoded(model)
    tgt = torch.tensor([[2, 5, 9, 4], [2, 6, 6, 1]])
    logits = model.decoder.output(model(src, mask, tgt).readout)
    start = model.encode(src, mask)
    for row, length in enumerate([4, 3]):
        states = start.memory.values[row, :length]
        expected = oracle(model, states, start.state.hidden[row], tgt[row].tolist())
        torch.testing.assert_close(logits[row], torch.stack(expected), atol=1e-12, rtol=0)


def test_further_transitions_are_grus_whose_input_is_zero(new_model: NewModel, variant: str) -> None:
    model, words = new_model(variant=variant, transitions=3), torch.randn(2, 4, dtype=torch.float64)
    start = model.encode(*encoded(model))
    state = model.decoder.cell(torch.cat([start.state.context, words], dim=1), start.state.hidden)
    for transition in model.decoder.transitions:
        cell = nn.GRUCell(1, 6).double()
        cell.load_state_dict({**cell.state_dict(), **transition.state_dict()})
        state = cell(torch.zeros(2, 1, dtype=torch.float64), state)
    new = model.decoder.next_state(words, start.state, start.memory)
    torch.testing.assert_close(new.hidden, state, atol=1e-12, rtol=0)
    torch.testing.assert_close(new.context, model.decoder.attention(state, start.memory)[0], atol=1e-12, rtol=0)
    assert len(model.decoder.transitions) == 2


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_forward_is_step_repeated(new_model: NewModel, variant: str, layers: int) -> None:
    model = new_model(variant=variant, decoder_layers=layers, transitions=4 - layers)
    src, mask = encoded(model)
    tgt = torch.tensor([[2, 5, 9, 4, 4], [2, 6, 6, 1, 7]])
    output = model(src, mask, tgt)
    state = model.encode(src, mask)
    for t in range(tgt.size(1)):
        logits, weights, state = model.step(tgt[:, t], state)
        torch.testing.assert_close(logits, model.decoder.output(output.readout[:, t]), atol=1e-12, rtol=0)
        torch.testing.assert_close(weights, output.weights[:, t], atol=1e-12, rtol=0)
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("layers", [1, 3])
def test_select_commutes_with_step(new_model: NewModel, variant: str, layers: int) -> None:
    model = new_model(variant=variant, decoder_layers=layers)
    state = model.encode(*encoded(model))
    words, rows = torch.tensor([5, 7]), torch.tensor([1, 0, 1])
    after = model.step(words, state)
    selected = model.step(words[rows], state.select(rows))
    torch.testing.assert_close(selected[0], after[0][rows])
    for ours, theirs in zip(selected[2], after[2].select(rows), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)


def test_repeated_rows_share_their_memory(new_model: NewModel, variant: str) -> None:
    model = new_model(variant=variant)
    single = model.encode(*encoded(model))
    words, rows = torch.tensor([5, 7]), torch.tensor([0, 0, 0, 1, 1, 1])
    repeated = single.repeat(3)
    assert repeated.memory is single.memory
    _, _, repeated = model.step(words[rows], repeated)
    _, _, single = model.step(words, single)
    for chosen in (torch.tensor([2, 0, 1, 4, 4, 3]), torch.tensor([5, 4, 3])):  # both sources, the second only
        ours, theirs = repeated.select(chosen), single.select(rows[chosen])
        logits = model.step(words[rows[chosen]], ours)[0]
        torch.testing.assert_close(logits, model.step(words[rows[chosen]], theirs)[0], atol=1e-12, rtol=0)
        assert len(ours.memory.mask) == len(chosen) // 3


@pytest.mark.parametrize(("layers", "bridge"), [(1, "tanh"), (2, "tanh"), (2, "zeros")])
def test_padding_never_matters(new_model: NewModel, variant: str, layers: int, bridge: str) -> None:
    model = new_model(variant=variant, encoder_layers=layers, decoder_layers=layers, bridge=bridge)
    alone = torch.tensor([[7, 8, 3]])
    tgt = torch.tensor([[2, 6, 9]])
    expected = model(alone, alone != 0, tgt)
    padded = torch.tensor([[7, 8, 3, 9, 10], [4, 5, 6, 8, 3]])  # real words in the padding, to be ignored
    mask = torch.tensor([[True, True, True, False, False], [True] * 5])
    output = model(padded, mask, torch.tensor([[2, 6, 9, 1], [2, 5, 5, 5]]))
    torch.testing.assert_close(output.readout[:1, :3], expected.readout, atol=1e-12, rtol=0)
    torch.testing.assert_close(output.weights[:1, :3, :3], expected.weights, atol=1e-12, rtol=0)
    assert output.weights[0, :, 3:].abs().max() == 0


def test_gradients_of_the_whole_model(new_model: NewModel, variant: str) -> None:
    model = new_model(variant=variant, hidden=2, embedding=2, vocab_size=5)
    src, tgt = torch.tensor([[4, 3], [3, 0]]), torch.tensor([[2, 4], [2, 1]])
    names = [name for name, _ in model.named_parameters()]

    def loss(*values: Tensor) -> Tensor:
        output = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (src, src != 0, tgt))
        return output.readout.square().sum()

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()), check_batched_grad=False)


def test_bridge_gives_the_first_state(new_model: NewModel) -> None:
    model = new_model(bridge="tanh")
    src, mask = encoded(model)
    states, _ = model.encoder(src, mask)
    last = torch.stack(
        [torch.cat([states[0, 3, :3], states[0, 0, 3:]]), torch.cat([states[1, 2, :3], states[1, 0, 3:]])]
    )
    expected = torch.tanh(last @ model.bridge.linear.weight.T + model.bridge.linear.bias)
    torch.testing.assert_close(model.encode(src, mask).state.hidden, expected)
    assert new_model(bridge="zeros").encode(src, mask).state.hidden.abs().max() == 0


@pytest.mark.parametrize("tie", ["none", "target", "all"])
def test_tied_matrices_are_one(new_model: NewModel, tie: str) -> None:
    model = new_model(tie=tie)
    same_output = model.decoder.output.weight is model.decoder.embedding.weight
    same_source = model.encoder.embedding.weight is model.decoder.embedding.weight
    assert (same_output, same_source) == {"none": (False, False), "target": (True, False), "all": (True, True)}[
        tie
    ]
    untied = new_model(tie="none").num_parameters()
    matrix = model.decoder.embedding.weight.numel()
    assert untied - model.num_parameters() == {"none": 0, "target": 1, "all": 2}[tie] * matrix


def test_dropout_only_while_training(new_model: NewModel, variant: str) -> None:
    model = new_model(variant=variant, dropout=0.5, encoder_layers=2, decoder_layers=2)
    src, mask = encoded(model)
    tgt = torch.tensor([[2, 5], [2, 6]])
    assert torch.equal(model(src, mask, tgt).readout, model(src, mask, tgt).readout)
    model.train()
    assert not torch.equal(model(src, mask, tgt).readout, model(src, mask, tgt).readout)
