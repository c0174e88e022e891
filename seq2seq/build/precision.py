"""The precision of matrix products and the library that makes them, chosen by measuring them on this machine.

A processor's instructions say little: with the same ones, bf16 may be several times as fast as fp32 or half as
fast. So products of the model's own shapes are timed, in a fraction of a second, and the rates are kept for the
next start on the same kind of processor.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from seq2seq.decoding.products import product
from seq2seq.errors import ConfigError
from seq2seq.model.fused.products import ONEDNN, Matrix, Products, products_in
from seq2seq.precision import Precision
from seq2seq.processor import processor_name
from seq2seq.settings.schema import MachineConfig, ModelConfig
from seq2seq.storage.atomic import write_json

logger = logging.getLogger(__name__)

GAIN = 1.2  # least ratio of products at which a lower precision is faster as a whole, its casts included
LIBRARY_GAIN = 1.15  # least ratio at which another library is used
BLEU_LOSS = 0.1  # most that a precision of search may cost on validation
SMALL = 10**6  # multiplications of the largest product of a model that is fast in any precision
ROUNDS, SECONDS = 6, 0.005  # for each product: how often it is timed, and at least how long
HOPELESS = 3  # times as slow as the fastest: not timed again

ROWS, LENGTH = 64, 16  # of a typical batch: sentences, and tokens of each


class Shape(NamedTuple):
    """A product of inputs (R, K) with a matrix (N, K), and how many an update has."""

    rows: int
    inputs: int
    outputs: int
    times: int

    @property
    def multiplications(self) -> int:
        """Those of one product; there are as many additions."""
        return self.rows * self.inputs * self.outputs


def shapes(model: ModelConfig, num_words: int) -> list[Shape]:
    """The largest products of an update: two of a decoder step, forward and backward, and the output layer's."""
    gates, rows = 3 * model.decoder_size, ROWS * LENGTH // 4
    return [
        Shape(ROWS, model.decoder_size, gates, 2 * LENGTH),
        Shape(ROWS, 2 * model.encoder_size, gates, 2 * LENGTH),
        Shape(rows, model.readout_size, num_words, 3 * 4),
    ]


Kind: TypeAlias = Callable[[Shape], Callable[[], object]]
"""A way of multiplying: takes a shape, gives a call that makes one product."""


def _step(products: Products, shape: Shape) -> Callable[[], object]:
    inputs, base = torch.full((shape.rows, shape.inputs), 0.5), torch.zeros(shape.rows, shape.outputs)
    matrix, out = Matrix(torch.ones(shape.outputs, shape.inputs), products, shape.rows), torch.empty_like(base)
    return lambda: matrix.add(base, inputs, out)


def _prepared(name: str, shape: Shape) -> Callable[[], object]:
    inputs, matrix = torch.full((shape.rows, shape.inputs), 0.5), torch.ones(shape.outputs, shape.inputs)
    multiply = product(matrix, None, Precision(name))
    return lambda: multiply(inputs)


TRAINING: dict[str, Kind] = {
    "fp32": partial(_step, products_in(torch.float32)),
    "fp32 by oneDNN": partial(_step, products_in(torch.float32, packed=ONEDNN)),
    "bf16": partial(_step, products_in(torch.bfloat16)),
}
SEARCH: dict[str, Kind] = {
    name: partial(_prepared, name) for name in ("fp32", "bf16", *(["int8"] if ONEDNN else []))
}


def training_precision(
    settings: MachineConfig,
    device: torch.device,
    measured: Sequence[Shape],
    so_far: Mapping[str, Any] | None = None,
) -> Precision:
    """The precision of training; ``so_far`` is that of the run that is resumed, which auto keeps.

    Raises:
        ConfigError: fp16 on a CPU, where its range is too narrow.
    """
    name = settings.precision
    _check(name, device)
    if device.type == "cpu":
        best = _of_cpu(name, _rates(settings, measured, TRAINING))
    else:
        best = _of_gpu(device) if name == "auto" else Precision(name)
    if so_far and name in ("auto", so_far["name"]) and (so_far["name"], device.type) != ("fp16", "cpu"):
        if so_far["name"] != best.name:
            logger.info(
                "the run goes on in %s, as it began; %s is faster here (%s): machine.precision=%s would change it",
                *(so_far["name"], best.name, best.reason, best.name),
            )
        return Precision(so_far["name"], "as in the run so far", bool(so_far["packed"]))
    if so_far and name != "auto":
        logger.info("the run was in %s so far and goes on in %s, as asked for", so_far["name"], name)
    return best if name in ("auto", best.name) else Precision(name)


def _of_cpu(name: str, rates: Mapping[str, float]) -> Precision:
    if not rates:
        return Precision("fp32", "the model is small")
    exact, other, low = (rates[kind] for kind in TRAINING)
    if name == "auto" and low > GAIN * max(exact, other):
        return Precision("bf16", _described(rates))
    return Precision("fp32", _described(rates), packed=other > LIBRARY_GAIN * exact)


def search_precision(
    settings: MachineConfig, device: torch.device, measured: Sequence[Shape], losses: Mapping[str, float]
) -> Precision:
    """The precision of search; ``losses`` of BLEU on validation, of those that were tried.

    Raises:
        ConfigError: fp16 on a CPU, where its range is too narrow; int8 on any other device.
    """
    _check(settings.precision, device)
    if settings.precision == "int8":
        return Precision("int8", beside=_beside_int8(_rates(settings, measured, SEARCH)))
    if settings.precision != "auto":
        return Precision(settings.precision)
    if device.type != "cpu":
        return _of_gpu(device)
    for precision in faster_in_search(settings, device, measured):
        if losses.get(precision.name, 100.0) <= BLEU_LOSS:
            return precision
    return Precision("fp32", "no other is faster and as good on validation")


def faster_in_search(settings: MachineConfig, device: torch.device, measured: Sequence[Shape]) -> list[Precision]:
    """The precisions in which this processor searches faster than in fp32, the fastest first; none of a GPU."""
    if device.type != "cpu":
        return []
    rates = _rates(settings, measured, SEARCH)
    faster = [name for name in rates if rates[name] > GAIN * rates["fp32"]]
    reason, beside = _described(rates), _beside_int8(rates)
    return [Precision(name, reason, beside=beside) for name in sorted(faster, key=lambda name: -rates[name])]


def _beside_int8(rates: Mapping[str, float]) -> str:
    """The precision of the products that are not in 8 bits."""
    return "bf16" if rates and rates["bf16"] > GAIN * rates["fp32"] else "fp32"


def _check(name: str, device: torch.device) -> None:
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("machine.precision=fp16 is for GPUs; on a CPU use machine.precision=auto, bf16 or fp32")
    if name == "int8" and device.type != "cpu":
        raise ConfigError("machine.precision=int8 is for CPUs; on a GPU use machine.precision=auto, bf16 or fp16")


def _of_gpu(device: torch.device) -> Precision:
    if device.type == "mps":
        return Precision("fp32", "the Apple GPU's low precision is untried")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision("bf16", "the GPU has bf16 products")
    if torch.cuda.get_device_capability(device) >= (7, 0):
        return Precision("fp16", "the GPU has fp16 products, but none in bf16")
    return Precision("fp32", "the GPU has no faster products")


def _described(rates: Mapping[str, float]) -> str:
    return "measured " + ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items()) + " GFLOP/s"


def _rates(settings: MachineConfig, measured: Sequence[Shape], kinds: Mapping[str, Kind]) -> dict[str, float]:
    """Operations a second of each kind, measured now or at an earlier start; none of a small model."""
    if max(shape.multiplications for shape in measured) < SMALL:
        return {}
    texts = [processor_name(), f"torch {torch.__version__}", f"{torch.get_num_threads()} threads", *kinds]
    key = " | ".join([*texts, *("×".join(map(str, shape)) for shape in measured)])
    known = {} if settings.measure_again else _read_cache()
    if set(known.get(key, {})) != set(kinds):
        with torch.no_grad():
            known = {**_read_cache(), key: _measured(measured, kinds)}
        _write_cache(known)
    return known[key]


def _measured(products: Sequence[Shape], kinds: Mapping[str, Kind]) -> dict[str, float]:
    """The kinds take turns, and the fastest call counts: other programs disturb some."""
    calls = {name: [kind(shape) for shape in products] for name, kind in kinds.items()}
    seconds = {name: [math.inf] * len(products) for name in kinds}
    for _ in range(ROUNDS):
        for name in calls:
            seconds[name] = list(map(min, seconds[name], map(_seconds, calls[name])))
        fastest = min(sum(seconds[name]) for name in calls)
        calls = {name: own for name, own in calls.items() if sum(seconds[name]) < HOPELESS * fastest}
    operations = 2 * sum(shape.times * shape.multiplications for shape in products)
    return {
        name: operations / sum(shape.times * best for shape, best in zip(products, seconds[name], strict=True))
        for name in kinds
    }


def _seconds(call: Callable[[], object]) -> float:
    best, began = math.inf, time.perf_counter()
    while (started := time.perf_counter()) - began < SECONDS:
        call()
        best = min(best, time.perf_counter() - started)
    return best


def cache_path() -> Path:
    """The user's file of measured rates."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    return Path(base) / "seq2seq" / "products.json"


def _read_cache() -> dict[str, dict[str, float]]:
    try:
        entries = json.loads(cache_path().read_text(encoding="utf-8"))
        return {key: {name: float(rate) for name, rate in rates.items()} for key, rates in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: measured again
        return {}


def _write_cache(entries: Mapping[str, Mapping[str, float]]) -> None:
    try:
        cache_path().parent.mkdir(parents=True, exist_ok=True)
        write_json(cache_path(), entries)
    except OSError as error:  # no home that can be written: measured at each start
        logger.debug("%s: can't be written (%s)", cache_path(), error.strerror)
