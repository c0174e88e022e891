"""One line of figures that a user can paste into an issue: nothing is downloaded, and it takes under a minute."""

from __future__ import annotations

import copy
import dataclasses
import platform
import time
from collections.abc import Callable, Iterator

import torch

from benchmarking.scaling import random_batch
from benchmarking.settings import BenchmarkConfig
from benchmarking.training import precision_of, precisions, product_rate, updater
from seq2seq import __version__
from seq2seq.build.data import read_split
from seq2seq.build.inference import load_run
from seq2seq.build.model import model as new_model
from seq2seq.data.batch import Batch
from seq2seq.machine import prepare, resolve_device, synchronize, usable_cores
from seq2seq.processor import processor_name
from seq2seq.settings.schema import DecodeConfigOverrides, PhrasebookConfig

SIZES = {"sentences a batch": 40, "sentence length": 14, "vocabulary": 8000}  # as the recipes have them
SECONDS = 5.0  # for each way of training
SEARCHED = 200  # sentences


def line(config: BenchmarkConfig) -> str:
    """Processor, versions, products a second, target tokens a second, sentences a second."""
    prepare(config.machine.num_threads)
    parts = [
        processor_name(),
        f"{usable_cores()} processors, {torch.get_num_threads()} threads, {config.machine.device}",
        f"seq2seq {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        f"products GF/s (step, output): {', '.join(products(config))}",
        f"training {config.attention.variant}, {SIZES['sentences a batch']} sentences, tokens/s: "
        f"{', '.join(training(config))}",
    ]
    if config.benchmark.run:
        parts.append(f"greedy search, sentences/s: {', '.join(search(config))}")
    return "; ".join(parts)


def products(config: BenchmarkConfig) -> Iterator[str]:
    """The rates of a decoder step's product and of the output layer's, in each precision."""
    device = resolve_device(config.machine.device)
    rows, length, vocabulary = SIZES.values()
    step = (rows, config.model.decoder_size, 3 * config.model.decoder_size)
    output = (rows * length, config.model.readout_size, vocabulary)
    for name in precisions(config):
        rates = (product_rate(precision_of(config, name), device, shape) / 1e9 for shape in (step, output))
        yield f"{name} {' and '.join(f'{rate:.3g}' for rate in rates)}"


def training(config: BenchmarkConfig) -> Iterator[str]:
    """The plain loop, and the fast path in each precision, on random words: the fastest update of each counts."""
    labels = precisions(config)
    for label, fused, name in [("plain fp32", False, "fp32"), *((f"fused {labels[p]}", True, p) for p in labels)]:
        yield f"{label} {fastest(config, fused, name):,.0f}"


def fastest(config: BenchmarkConfig, fused: bool, precision: str) -> float:
    """Target tokens a second of the fastest update within ``SECONDS``."""
    device, batch = resolve_device(config.machine.device), random_batch(SIZES)
    update, seconds = update_of(config, fused, precision), list[float]()
    while sum(seconds) < SECONDS:  # the first one is slow, but a processor without bf16 has no time for two
        started = time.perf_counter()
        update(batch)
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return len(batch.places) / min(seconds)


def update_of(config: BenchmarkConfig, fused: bool, precision: str) -> Callable[[Batch], None]:
    """A new model's update."""
    changed, device = copy.deepcopy(config), resolve_device(config.machine.device)
    changed.machine.fused = fused
    model = new_model(changed, SIZES["vocabulary"], SIZES["vocabulary"]).to(device).train()
    return updater(changed, model, precision_of(config, precision), device)


def search(config: BenchmarkConfig) -> Iterator[str]:
    """Greedy search with ``benchmark.run`` on the phrasebook's sentences, in the run's source language."""
    assert config.benchmark.run is not None
    for name, label in precisions(config).items():
        machine = dataclasses.replace(config.machine, precision=name)
        loaded = load_run(config.benchmark.run, "best", DecodeConfigOverrides(beam_size=1), machine)
        src = ("en", "de") if loaded.config.data.src == "en" else ("de", "en")
        lines = read_split(PhrasebookConfig(src=src[0], tgt=src[1]), "test").src[:SEARCHED]
        started = time.perf_counter()
        count = sum(1 for _ in loaded.translator.translate(lines))
        yield f"{label} {count / (time.perf_counter() - started):,.0f}"
