"""Speed and memory of training, varying one size at a time, on random words; and a plot of them."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarking.settings import BenchmarkConfig
from benchmarking.training import SPAWN, peak_memory, precision_of, updater
from seq2seq.build.model import model as new_model
from seq2seq.data.batch import Batch, collate
from seq2seq.machine import prepare, resolve_device, synchronize
from seq2seq.storage.rows import Rows

BASE = {"sentences a batch": 128, "sentence length": 16, "state size": 512, "vocabulary": 8000}
AXES = {
    "sentences a batch": (16, 32, 64, 128, 256),
    "sentence length": (4, 8, 16, 32, 64),
    "state size": (128, 256, 512, 1024),
    "vocabulary": (1000, 4000, 8000, 16000, 32000),
}


def scaling(config: BenchmarkConfig) -> list[dict[str, Any]]:
    """For each axis and value: speed and peak memory of the plain loop and of the fast path, in turn."""
    return [
        {"axis": axis, "value": value, **speeds(config, sizes), **memory(config, sizes)}
        for axis, values in AXES.items()
        for value in values
        for sizes in [{**BASE, axis: value}]
    ]


def new_update(config: BenchmarkConfig, sizes: dict[str, int], fused: bool) -> Callable[[Batch], None]:
    """A new model's update: in fp32 through the plain loop, or fused in the precision ``machine.precision``."""
    config = copy.deepcopy(config)
    device = resolve_device(config.machine.device)
    config.model.decoder_size, config.model.encoder_size = sizes["state size"], sizes["state size"] // 2
    config.machine.fused = fused
    model = new_model(config, sizes["vocabulary"], sizes["vocabulary"]).to(device).train()
    return updater(config, model, precision_of(config, config.machine.precision if fused else "fp32"), device)


def memory(config: BenchmarkConfig, sizes: dict[str, int]) -> dict[str, int]:
    """Peak bytes of a process that does two updates and nothing else."""
    with SPAWN.Pool(1, maxtasksperchild=1) as pool:
        return {
            "plain_memory": pool.apply(peak_of_updates, (config, sizes, False)),
            "fused_memory": pool.apply(peak_of_updates, (config, sizes, True)),
        }


def peak_of_updates(config: BenchmarkConfig, sizes: dict[str, int], fused: bool) -> int:
    """Peak bytes of this process, which should be a new one, after two updates."""
    prepare(config.machine.num_threads)
    update, batch = new_update(config, sizes, fused), random_batch(sizes)
    for _ in range(2):
        update(batch)
    return peak_memory(resolve_device(config.machine.device))


def speeds(config: BenchmarkConfig, sizes: dict[str, int]) -> dict[str, float]:
    """Target tokens a second at these sizes, "plain" and "fused"."""
    device, batch = resolve_device(config.machine.device), random_batch(sizes)
    updates = {"plain": new_update(config, sizes, False), "fused": new_update(config, sizes, True)}
    fastest = {name: float("inf") for name in updates}
    for number in range(config.benchmark.rounds + 1):  # the first is to warm up
        for name, update in updates.items():
            started = time.perf_counter()
            update(batch)
            synchronize(device)
            if number > 0:
                fastest[name] = min(fastest[name], time.perf_counter() - started)
    return {name: batch.tgt_out.numel() / seconds for name, seconds in fastest.items()}


def random_batch(sizes: dict[str, int]) -> Batch:
    """Random words; all sentences are of one length, ends included."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, sizes["sentences a batch"], sizes["sentence length"] - 1)
    src, tgt = torch.randint(4, sizes["vocabulary"], shape, generator=generator).tolist()
    return collate(Rows.of(src), Rows.of(tgt))


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """A column for each axis: speed above, memory below."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(2, len(AXES), sharey="row", sharex="col")
    for column, axis in enumerate(AXES):
        shown = [row for row in rows if row["axis"] == axis]
        values = [row["value"] for row in shown]
        for name, style in (("fused", "o-"), ("plain", "s--")):
            panels[0, column].plot(values, [row[name] for row in shown], style, label=name)
            panels[1, column].plot(values, [row[f"{name}_memory"] / 1e9 for row in shown], style)
        panels[1, column].set_xscale("log", base=2)
        panels[1, column].set_xticks(
            values, [str(value) if value % 1000 else f"{value // 1000}k" for value in values]
        )
        panels[1, column].minorticks_off()
        panels[1, column].set_xlabel(axis)
    for axes in panels.flat:
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("target tokens/s")
    panels[1, 0].set_ylabel("peak memory, GB")
    panels[0, 0].legend()
    figure.savefig(path, dpi=110)
