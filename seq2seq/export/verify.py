"""Whether exported graphs compute what the model does, on lengths and batches drawn at random."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq.errors import ConfigError, ExportError
from seq2seq.model.seq2seq import Decoding, Seq2Seq

try:
    import onnxruntime
except ModuleNotFoundError:
    raise ConfigError("seq2seq export needs onnxruntime: pip install 'seq2seq-nmt[export]'") from None

VERSION = onnxruntime.__version__
TOLERANCE = {"fp32": 1e-5, "int8": 0.5}
"""Largest difference of an output, relative to 1 or to its size. In 8 bits only what is grossly wrong is found."""
SHAPES = (1, 1, 1), (3, 7, 2), (2, 23, 5), (5, 12, 3), (4, 2, 1)
"""Sentences, length of the longest, and partial translations of each."""
STEPS = 4
Arrays = dict[str, NDArray[Any]]


class Network:
    """A graph that can be run."""

    def __init__(self, model: bytes) -> None:
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """The outputs by name."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))


def check(model: Seq2Seq, encoder: bytes, decoder: bytes, precision: str) -> float:
    """The largest difference from ``model`` of what the graphs give.

    Raises:
        ExportError: it is larger than ``TOLERANCE``.
    """
    found = largest_difference(model, encoder, decoder)
    if not found <= TOLERANCE[precision]:  # NaN either
        raise ExportError(
            f"precision={precision}: the exported model differs from the trained one by {found:.1e}, more than "
            f"{TOLERANCE[precision]:.0e}; nothing was written; try another onnxruntime than {VERSION}"
        )
    return found


@torch.no_grad()
def largest_difference(model: Seq2Seq, encoder: bytes, decoder: bytes) -> float:
    """Of all outputs over ``SHAPES`` and ``STEPS`` of random words, from those of ``model`` in fp64."""
    exact = copy.deepcopy(model).cpu().double().eval()
    encode, step, rng = Network(encoder), Network(decoder), random.Random(1)
    return max(_difference(exact, encode, step, shape, rng) for shape in SHAPES)


def _difference(
    model: Seq2Seq, encode: Network, step: Network, shape: tuple[int, int, int], rng: random.Random
) -> float:
    num, longest, beam = shape
    lengths = [longest, *(rng.randint(1, longest) for _ in range(num - 1))]
    src = _drawn(rng, model.encoder.embedding.num_embeddings, num, longest)  # words stand in the padding too
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    outputs = encode({"src": src.numpy(), "lengths": np.array(lengths, np.int32)})
    expected = model.encode(src.long() * mask, mask)
    differences = [_largest(outputs, expected)]
    state, memory = _split(outputs, beam)
    expected = expected.repeat(beam)
    for _ in range(STEPS):
        words = _drawn(rng, model.decoder.embedding.num_embeddings, num, beam)
        outputs = step({"words": words.numpy(), "count": np.array([1]), **state, **memory})
        logits, attention, expected = model.step(words.long().flatten(), expected)
        state = {name: outputs[f"new_{name}"] for name in state}
        differences.append(_largest(state, expected))
        log_probs = logits.log_softmax(dim=1).numpy().reshape(outputs["log_probs"].shape)
        differences.append(_far(outputs["log_probs"], log_probs))
        differences.append(_far(outputs["attention"], attention.numpy().reshape(outputs["attention"].shape)))
    return max(differences)


def _drawn(rng: random.Random, vocab_size: int, rows: int, columns: int) -> Tensor:
    """Random words (rows, columns)."""
    return torch.tensor(
        [[rng.randrange(vocab_size) for _ in range(columns)] for _ in range(rows)], dtype=torch.int32
    )


def _split(outputs: Arrays, beam: int) -> tuple[Arrays, Arrays]:
    """The first state, ``beam`` times, and the memory."""
    state = {name: np.repeat(outputs.pop(name), beam, axis=1) for name in ("state", "weights")}
    return state, outputs


def _largest(outputs: Mapping[str, NDArray[Any]], expected: Decoding) -> float:
    state = expected.state
    layers = torch.cat([state.hidden.unsqueeze(1), state.upper], dim=1).numpy()
    pairs = (outputs["state"], layers), (outputs["weights"], state.weights.numpy())
    return max(_far(given, right.reshape(given.shape)) for given, right in pairs)


def _far(given: NDArray[Any], right: NDArray[Any]) -> float:
    return float(np.max(np.abs(given - right) / np.maximum(1, np.abs(right)), initial=0.0))
