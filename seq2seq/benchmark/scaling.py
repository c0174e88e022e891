"""Speed of training against one size at a time, on random words, and a plot of it."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from seq2seq import build
from seq2seq.benchmark.training import synchronise, updater
from seq2seq.config import BenchmarkConfig
from seq2seq.data.batch import Batch, collate
from seq2seq.machine import choose_precision

BASE = {"sentences a batch": 128, "sentence length": 16, "state size": 512, "vocabulary": 8000}
AXES = {
    "sentences a batch": (16, 32, 64, 128, 256),
    "sentence length": (4, 8, 16, 32, 64),
    "state size": (128, 256, 512, 1024),
    "vocabulary": (1000, 4000, 8000, 16000, 32000),
}


def scaling(config: BenchmarkConfig) -> list[dict[str, Any]]:
    """For each axis and value: target tokens a second of the plain loop and of the fast path, in turn."""
    return [
        {"axis": axis, "value": value, **speeds(config, {**BASE, axis: value})}
        for axis, values in AXES.items()
        for value in values
    ]


def speeds(config: BenchmarkConfig, sizes: dict[str, int]) -> dict[str, float]:
    """Target tokens a second at these sizes, "plain" and "fused"."""
    config = copy.deepcopy(config)
    where = build.device(config.machine)
    config.model.decoder_size, config.model.encoder_size = sizes["state size"], sizes["state size"] // 2
    batch = random_batch(sizes)
    updates = {}
    for fused in (False, True):
        config.machine.fused = fused
        model = build.model(config, sizes["vocabulary"], sizes["vocabulary"]).to(where).train()
        precision = choose_precision(config.machine.precision if fused else "fp32", where)
        updates["fused" if fused else "plain"] = updater(config, model, precision, where)
    found = {name: float("inf") for name in updates}
    for number in range(config.benchmark.rounds + 1):  # the first is to warm up
        for name, update in updates.items():
            started = time.perf_counter()
            update(batch)
            synchronise(where)
            if number > 0:
                found[name] = min(found[name], time.perf_counter() - started)
    return {name: batch.tgt_out.numel() / seconds for name, seconds in found.items()}


def random_batch(sizes: dict[str, int]) -> Batch:
    """Random words; all sentences are of one length, ends included."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, sizes["sentences a batch"], sizes["sentence length"] - 1)
    src, tgt = torch.randint(4, sizes["vocabulary"], shape, generator=generator).tolist()
    return collate(src, tgt)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel for each axis."""
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    for axes, axis in zip(figure.subplots(1, len(AXES), sharey=True), AXES, strict=True):
        shown = [row for row in rows if row["axis"] == axis]
        for name, style in (("fused", "o-"), ("plain", "s--")):
            axes.plot([row["value"] for row in shown], [row[name] for row in shown], style, label=name)
        axes.set_xscale("log", base=2)
        axes.set_xticks([row["value"] for row in shown], [f"{row['value']:,}" for row in shown])
        axes.minorticks_off()
        axes.set_xlabel(axis)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("target tokens/s")
    figure.axes[0].legend()
    figure.savefig(path, dpi=110)
