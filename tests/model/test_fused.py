"""The fused recurrences against the plain model: outputs and every gradient."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import NewModel, enlarged, make_model
from torch import Tensor

from seq2seq.model import ATTENTIONS, Encoder, Seq2Seq
from seq2seq.model.attention import Memory
from seq2seq.model.decoder import Unrolled
from seq2seq.model.fused import FUSED_SCORES, FusedDecoder, FusedEncoder
from seq2seq.model.fused.gru import GRURecurrence
from seq2seq.model.fused.products import packing


def fused_copy(model: Seq2Seq) -> Seq2Seq:
    """The same weights on the fast path."""
    fast = copy.deepcopy(model)
    fast.encoder.__class__, fast.decoder.__class__ = FusedEncoder, FusedDecoder
    return fast


def random_batch(num: int, src_length: int, tgt_length: int, vocab: int = 11) -> tuple[Tensor, Tensor, Tensor]:
    """Random words, lengths and a mask of at least one word a row; the padding holds words too."""
    lengths = torch.randint(1, src_length + 1, (num,))
    mask = torch.arange(src_length) < lengths.unsqueeze(1)
    return torch.randint(vocab, (num, src_length)), mask, torch.randint(vocab, (num, tgt_length))


def assert_same(plain: Seq2Seq, fast: Seq2Seq, batch: tuple[Tensor, Tensor, Tensor], tolerance: float) -> None:
    """Read-outs, weights and the gradients of all parameters are equal."""
    outputs = []
    for model in (plain, fast):
        output = model(*batch)
        random = torch.randn(output.readout.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        (output.readout * random.to(output.readout.dtype)).sum().backward()
        outputs.append(output)
    torch.testing.assert_close(outputs[0].readout, outputs[1].readout, atol=tolerance, rtol=0)
    torch.testing.assert_close(outputs[0].weights, outputs[1].weights, atol=tolerance, rtol=0)
    for (name, parameter), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None) == name.startswith("decoder.output"), name
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, other.grad, atol=tolerance, rtol=0, msg=name)


@settings(max_examples=40, deadline=None)
@given(
    variant=st.sampled_from(list(ATTENTIONS)),
    num=st.integers(1, 5),
    lengths=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    layers=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    transitions=st.integers(1, 3),
    hidden=st.integers(1, 4),
    bridge=st.sampled_from(["tanh", "zeros"]),
    seed=st.integers(0, 1000),
)
def test_equals_the_plain_model(
    variant: str,
    num: int,
    lengths: tuple[int, int],
    layers: tuple[int, int],
    transitions: int,
    hidden: int,
    bridge: str,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    sizes = {"encoder_layers": layers[0], "decoder_layers": layers[1], "transitions": transitions}
    model = enlarged(make_model(variant, hidden=hidden, bridge=bridge, **sizes)).double()
    assert_same(model, fused_copy(model), random_batch(num, *lengths), tolerance=1e-9)


def test_equals_the_plain_model_at_real_size(variant: str) -> None:
    torch.manual_seed(1)
    model = make_model(variant, vocab_size=200, hidden=64, embedding=96, transitions=2)
    assert_same(model, fused_copy(model), random_batch(16, 12, 13, vocab=200), tolerance=3e-4)


def with_context_dropout(model: Seq2Seq, words: Tensor, keep: Tensor, start: Tensor, memory: Memory) -> Unrolled:
    """The recurrence as a loop in which the contexts fed back are multiplied by ``keep`` (T, B, M)."""
    decoder = model.decoder
    hidden, contexts = [start], [decoder.attention(start, memory)]
    for t in range(words.size(1)):
        inputs = torch.cat([contexts[-1][0] * keep[t], words[:, t]], dim=1)
        hidden.append(decoder.cell(inputs, hidden[-1]))
        contexts.append(decoder.attention(hidden[-1], memory))
    read = contexts[1:] if decoder.attention.reads_new_context else contexts[:-1]
    return Unrolled(
        torch.stack(hidden[1:], dim=1), *(torch.stack(steps, dim=1) for steps in zip(*read, strict=True))
    )


@settings(max_examples=30, deadline=None)
@given(variant=st.sampled_from(list(ATTENTIONS)), rate=st.sampled_from([0.2, 0.7]), seed=st.integers(0, 1000))
def test_dropout_of_the_context(variant: str, rate: float, seed: int) -> None:
    torch.manual_seed(seed)
    model = make_model(variant).double()
    mask = torch.arange(4) < torch.randint(1, 5, (3, 1))
    keep = torch.bernoulli(torch.full((5, 3, 6), 1 - rate)).double() / (1 - rate)
    results = []
    for fast in (False, True):
        leaves = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()
                  for shape in ((3, 4, 6), (3, 6), (3, 5, 4))]  # fmt: skip
        states, start, words = leaves
        memory = model.decoder.attention.prepare(states, mask)
        if fast:
            decoder = fused_copy(model).decoder
            decoder.load_state_dict(model.decoder.state_dict())
            assert isinstance(decoder, FusedDecoder)
            decoder._keep = lambda length, values: keep  # type: ignore[method-assign]
            memory = decoder.attention.prepare(states, mask)
            result = decoder.unroll(words, start, memory)
        else:
            decoder = model.decoder
            result = with_context_dropout(model, words, keep, start, memory)
        (result.hidden.sin().sum() + result.contexts.square().sum()).backward()
        parameters = [parameter.grad for parameter in decoder.parameters()]
        results.append([*result, *(leaf.grad for leaf in leaves), *parameters])
        model.zero_grad()
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


def test_dropout_is_drawn_when_training_only() -> None:
    model = fused_copy(make_model("bahdanau", dropout=0.5))
    batch = random_batch(2, 3, 4)
    assert not torch.equal(model.train()(*batch).readout, model(*batch).readout)
    assert torch.equal(model.eval()(*batch).readout, model(*batch).readout)


def test_gradients_of_the_whole_model(new_model: NewModel, variant: str) -> None:
    model = fused_copy(new_model(variant=variant, hidden=2, embedding=2, vocab_size=5))
    src, tgt = torch.tensor([[4, 3], [3, 0]]), torch.tensor([[2, 4], [2, 1]])
    names = [name for name, _ in model.named_parameters()]

    def loss(*values: Tensor) -> Tensor:
        output = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (src, src != 0, tgt))
        return output.readout.square().sum()

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()), check_batched_grad=False)


def test_encoder_equals_the_plain_one() -> None:
    torch.manual_seed(2)
    plain = make_model(encoder_layers=3).encoder.double()
    fast = copy.deepcopy(plain)
    fast.__class__ = FusedEncoder
    src, mask, _ = random_batch(6, 7, 1)
    torch.testing.assert_close(fast(src, mask), Encoder.forward(plain, src, mask), atol=1e-12, rtol=0)


def test_gradcheck_of_the_gru() -> None:
    torch.manual_seed(3)
    shapes = (2, 4, 2, 9), (2, 9, 3), (2, 9)
    inputs, weight, bias = (torch.randn(shape).double().requires_grad_() for shape in shapes)
    real = torch.tensor([[1, 0], [1, 0], [1, 1], [1, 1]]).unsqueeze(2).double()
    mask = torch.stack([real, real.flip(0)])
    assert torch.autograd.gradcheck(
        lambda x, w, b: GRURecurrence.apply(x, mask, w, b, torch.float64), (inputs, weight, bias)
    )


def test_every_attention_has_a_fused_score() -> None:
    assert set(FUSED_SCORES) == set(ATTENTIONS.values())


def test_padding_is_weighted_exactly_zero(new_model: NewModel, variant: str) -> None:
    model = fused_copy(new_model(variant=variant))
    src, mask, tgt = random_batch(4, 6, 3)
    weights = model(src, mask, tgt).weights
    assert weights.masked_select(~mask.unsqueeze(1)).abs().sum() == 0
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(4, 3).double())


def test_packed_products_stay_near(variant: str) -> None:
    """oneDNN's products of steps, against torch's own: outputs and gradients."""
    torch.manual_seed(5)
    model = fused_copy(make_model(variant, vocab_size=50, hidden=16, embedding=16, dropout=0.3)).train()
    batch, results = random_batch(4, 6, 7, vocab=50), []
    for enabled in (False, True):
        torch.manual_seed(6)  # of the dropout
        with packing(enabled):
            output = model(*batch)
        output.readout.square().sum().backward()
        results.append([output.readout, *(p.grad for p in model.parameters() if p.grad is not None)])
        model.zero_grad()
    assert len(results[0]) > 10
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_low_precision_products_stay_near(new_model: NewModel, variant: str) -> None:
    """Under autocast the products are in bfloat16, whose numbers have 8 bits, and nothing else is."""
    torch.manual_seed(4)
    model = fused_copy(make_model(variant, vocab_size=50, hidden=16, embedding=16))
    batch = random_batch(4, 6, 7, vocab=50)
    exact = model(*batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(*batch)
    assert exact.weights.dtype == rough.weights.dtype == torch.float32
    difference = (exact.readout - rough.readout.float()).abs().max()
    assert 0 < difference < 0.05
    rough.readout.float().square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    untouched = [name for name, gradient in gradients.items() if gradient is None]
    assert untouched == ["decoder.output.weight", "decoder.output.bias"]
    assert {gradient.dtype for gradient in gradients.values() if gradient is not None} == {torch.float32}
