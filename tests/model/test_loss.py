"""The loss against torch's own and against a plain loop."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq.model.fused.products import Products, packing
from seq2seq.model.loss import CHUNK_ROWS, LinearCrossEntropy, output_loss, smoothed_cross_entropy

SMOOTHINGS = [0.0, 0.1, 0.5, 1.0]


def example(count: int = 7, vocab: int = 5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return 3 * torch.randn(count, vocab, dtype=torch.float64), torch.randint(vocab, (count,))


def by_hand(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[float, float]:
    smoothed = nll = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        total = sum(math.exp(x) for x in row)
        log_probs = [math.log(math.exp(x) / total) for x in row]
        wanted = [smoothing / len(row) + (1 - smoothing) * (i == target) for i in range(len(row))]
        smoothed -= sum(q * log_p for q, log_p in zip(wanted, log_probs, strict=True))
        nll -= log_probs[target]
    return smoothed, nll


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_equals_a_plain_loop(smoothing: float) -> None:
    logits, targets = example()
    loss = smoothed_cross_entropy(logits, targets, smoothing)
    assert (loss.smoothed.item(), loss.nll.item()) == pytest.approx(by_hand(logits, targets, smoothing), abs=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_equals_torch_with_its_gradient(smoothing: float) -> None:
    logits, targets = example()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = smoothed_cross_entropy(ours, targets, smoothing)
    expected = cross_entropy(theirs, targets, label_smoothing=smoothing, reduction="sum")
    assert loss.smoothed.item() == pytest.approx(expected.item(), abs=1e-12)
    assert loss.nll.item() == pytest.approx(cross_entropy(logits, targets, reduction="sum").item(), abs=1e-12)
    loss.smoothed.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients(smoothing: float) -> None:
    logits, targets = example(3, 4)
    assert torch.autograd.gradcheck(
        lambda x: tuple(smoothed_cross_entropy(x, targets, smoothing)), (logits.requires_grad_(),)
    )


def test_large_logits_do_not_overflow() -> None:
    loss = smoothed_cross_entropy(torch.tensor([[1e4, 0.0], [-1e4, 0.0]]), torch.tensor([0, 0]), 0.1)
    assert loss.nll.item() == pytest.approx(1e4)
    assert loss.smoothed.item() == pytest.approx(0.05 * 1e4 + 0.95 * 1e4)


def test_sums_of_parts_add_up() -> None:
    logits, targets = example()
    whole = smoothed_cross_entropy(logits, targets, 0.1)
    parts = [smoothed_cross_entropy(logits[a:b], targets[a:b], 0.1) for a, b in ((0, 2), (2, 7))]
    for i in range(2):
        assert whole[i].item() == pytest.approx(sum(part[i].item() for part in parts), abs=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("count", [1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS + 17])
def test_chunks_equal_the_loss_of_all_logits(count: int, smoothing: float) -> None:
    torch.manual_seed(2)
    output = nn.Linear(6, 13).double()
    readout, targets = torch.randn(count, 6, dtype=torch.float64), torch.randint(13, (count,))
    results = []
    for chunked in (True, False):
        inputs = readout.clone().requires_grad_()
        output.zero_grad()
        loss = (
            output_loss(output, inputs, targets, smoothing)
            if chunked
            else smoothed_cross_entropy(output(inputs), targets, smoothing)
        )
        (3 * loss.smoothed).backward()
        results.append([*loss, inputs.grad, output.weight.grad, output.bias.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


def test_chunks_need_no_gradient() -> None:
    output = nn.Linear(6, 13)
    with torch.inference_mode():
        loss = output_loss(output, torch.zeros(5, 6), torch.arange(5))
    assert loss.nll.item() == pytest.approx(
        smoothed_cross_entropy(output(torch.zeros(5, 6)), torch.arange(5)).nll.item()
    )


def test_all_logits_never_exist_at_once() -> None:
    """The largest tensor made is the weight's gradient or a chunk, not N × V numbers."""
    output = nn.Linear(4, 50)
    readout = torch.randn(8 * CHUNK_ROWS, 4, requires_grad=True)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel())
            return result

    with Watch():
        output_loss(output, readout, torch.zeros(8 * CHUNK_ROWS, dtype=torch.int64), 0.1).smoothed.backward()
    assert CHUNK_ROWS * 50 <= largest < 2 * CHUNK_ROWS * 50


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("confident", [0.0, 0.3])
def test_gradients_do_not_underflow_in_fp16(smoothing: float, confident: float) -> None:
    """They are made before the loss is scaled, but of a sum over tokens, so that they need no scale.

    ``confident`` moves the targets' rows of the matrix towards their read-outs: most tokens are then near right.
    """
    torch.manual_seed(0)
    readout, weight, bias = torch.tanh(torch.randn(300, 64)), torch.randn(4000, 64) / 4, torch.zeros(4000)
    targets = torch.randperm(4000)[:300]
    weight[targets] += confident * readout
    grads = {}
    for dtype in (torch.float32, torch.float16):
        leaves = [part.clone().requires_grad_() for part in (readout, weight, bias)]
        loss, _ = LinearCrossEntropy.apply(*leaves, targets, smoothing, Products(dtype))
        (loss / 300).backward()
        grads[dtype] = [leaf.grad for leaf in leaves]
    for rough, exact in zip(grads[torch.float16], grads[torch.float32], strict=True):
        assert (rough - exact).norm() < 2e-3 * exact.norm()


def test_packed_products_give_the_same_loss_and_gradients() -> None:
    torch.manual_seed(7)
    output, readout = nn.Linear(12, 40), torch.randn(CHUNK_ROWS + 9, 12)
    targets, results = torch.randint(40, (len(readout),)), []
    for enabled in (False, True):
        inputs = readout.clone().requires_grad_()
        with packing(enabled):
            loss = output_loss(output, inputs, targets, 0.1)
        loss.smoothed.backward()
        results.append([loss.smoothed, loss.nll, inputs.grad, output.weight.grad, output.bias.grad])
        output.zero_grad()
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)
