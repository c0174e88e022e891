"""Lets the contenders take turns, and reports the results as tables and as JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import torch

from benchmarking.decoding import decoding
from benchmarking.opennmt import OpenNMT
from benchmarking.scaling import plot, scaling
from benchmarking.settings import BenchmarkConfig
from benchmarking.training import (
    Measured,
    Worker,
    fixed_batches,
    products_of,
    seconds_to_first_update,
    variants,
)
from seq2seq.data.batch import Batch, collate
from seq2seq.machine import prepare, resolve_device
from seq2seq.storage.atomic import write_json

logger = logging.getLogger(__name__)


class Contender(Protocol):
    """A program, or a way of computing, that is compared with others."""

    name: str

    def round(self) -> Measured:
        """Train for a while."""

    def close(self) -> None:
        """End the contender's process, if it has one."""


def run(config: BenchmarkConfig) -> str:
    """Measure what ``config`` asks for, write OUTPUT/benchmark.json, and return the tables."""
    prepare(config.machine.num_threads)
    device = resolve_device(config.machine.device)
    directory = Path(config.benchmark.output)
    directory.mkdir(parents=True, exist_ok=True)
    batches, vocab_sizes = fixed_batches(config)
    tokens = sum(len(batch.places) for batch in batches)
    operations = sum(products_of(config, vocab_sizes, batch) for batch in batches) / tokens
    measured: dict[str, Any] = {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "attention": config.attention.variant,
        "vocabulary": vocab_sizes,
        "sentences_a_batch": config.benchmark.sentences,
        "target_tokens_a_batch": tokens / len(batches),
        "operations_a_token": operations,
        "seconds_to_collate_a_batch": seconds_to_collate(batches) / len(batches),
        "seconds_to_first_update": seconds_to_first_update(config),
        "training": [summary(name, rounds, operations) for name, rounds in take_turns(config, directory).items()],
    }
    if config.benchmark.run:
        measured["decoding"] = decoding(config, directory)
    if config.benchmark.scaling:
        measured["scaling"] = scaling(config)
        plot(measured["scaling"], directory / "scaling.png")
    write_json(directory / "benchmark.json", measured)
    return "\n".join(describe(measured))


def take_turns(config: BenchmarkConfig, directory: Path) -> dict[str, list[Measured]]:
    """The rounds of every contender: the first of each, then the second of each, and so on."""
    contenders: list[Contender] = [Worker(config, variant) for variant in variants(config)]
    if config.benchmark.peer == "opennmt":
        contenders.append(OpenNMT(config, directory / "opennmt"))
    rounds: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
    for number in range(config.benchmark.rounds):
        for contender in contenders:
            measured = contender.round()
            rounds[contender.name].append(measured)
            speed = f"{measured.tokens_per_second:,.0f}"
            logger.info("round %d: %s: %s tokens/s", number + 1, contender.name, speed)
    for contender in contenders:
        contender.close()
    return rounds


def summary(name: str, rounds: list[Measured], operations: float) -> dict[str, Any]:
    """Medians over the rounds; the limit is the speed if only products took time, at the measured product rate."""
    speed = median(measured.tokens_per_second for measured in rounds)
    rates = [measured.product_rate for measured in rounds if measured.product_rate is not None]
    return {
        "name": name,
        "tokens_per_second": speed,
        "rounds": [measured.tokens_per_second for measured in rounds],
        "share_of_limit": speed * operations / median(rates) if rates else None,
        "product_rate": median(rates) if rates else None,
        "peak_memory": max(measured.peak_memory for measured in rounds),
        "page_faults_an_update": rounds[-1].page_faults,
    }


def seconds_to_collate(batches: Sequence[Batch]) -> float:
    """Seconds to build these batches from token ids."""
    rows = [[part.tolist() for part in (batch.src, batch.tgt_out)] for batch in batches]
    started = time.perf_counter()
    for src, tgt in rows:
        collate(src, tgt)
    return time.perf_counter() - started


def describe(measured: dict[str, Any]) -> Iterable[str]:
    """The table: a line for each contender, with the ratios of its speed to that of every other."""
    rows = measured["training"]
    yield (
        f"training, {measured['attention']}, {measured['sentences_a_batch']} sentences a batch, vocabulary "
        f"{measured['vocabulary'][1]:,}, {measured['device']}, {measured['threads']} threads"
    )
    yield ""
    yield (
        "| | target tokens/s | share of the limit | peak memory | page faults an update | "
        + " | ".join(f"× {number}" for number in range(1, len(rows) + 1))
        + " |"
    )
    yield "| --- |" + " --- |" * (4 + len(rows))
    for number, row in enumerate(rows, start=1):
        share = f"{row['share_of_limit']:.0%}" if row["share_of_limit"] else ""
        faults = "" if row["page_faults_an_update"] is None else f"{row['page_faults_an_update']:,.0f}"
        ratios = (f"{row['tokens_per_second'] / other['tokens_per_second']:.2f}" for other in rows)
        yield (
            f"| {number}. {row['name']} | {row['tokens_per_second']:,.0f} | {share} | "
            f"{row['peak_memory'] / 1e9:.1f} GB | {faults} | {' | '.join(ratios)} |"
        )
    yield ""
    yield f"from the start of a process to its first update: {measured['seconds_to_first_update']:.1f} s"
    update = measured["target_tokens_a_batch"] / max(row["tokens_per_second"] for row in rows)
    yield f"making a batch: {measured['seconds_to_collate_a_batch'] / update:.2%} of an update"
    if "decoding" in measured:
        yield ""
        yield from describe_decoding(measured["decoding"])
    if "scaling" in measured:
        yield ""
        yield from describe_scaling(measured["scaling"])


def describe_decoding(rows: list[dict[str, Any]]) -> Iterable[str]:
    """The table of search; ratios are to the last row of the same beam, which is the peer if there is one."""
    last = {row["beam"]: row for row in rows}
    yield "| beam | | sentences/s | ratio | BLEU |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        speed = row["sentences_per_second"]
        ratio = speed / last[row["beam"]]["sentences_per_second"]
        yield f"| {row['beam']} | {row['name']} | {speed:,.0f} | {ratio:.2f} | {row['bleu']:.2f} |"
    yield ""
    yield f"BLEU: {rows[0]['signature']}"


def describe_scaling(rows: list[dict[str, Any]]) -> Iterable[str]:
    """The table of speed and memory against sizes."""
    yield "| size | | plain, tokens/s | fused, tokens/s | ratio | plain, peak memory | fused, peak memory |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        speeds = f"{row['plain']:,.0f} | {row['fused']:,.0f} | {row['fused'] / row['plain']:.2f}"
        memory = f"{row['plain_memory'] / 1e9:.2f} GB | {row['fused_memory'] / 1e9:.2f} GB"
        yield f"| {row['axis']} | {row['value']:,} | {speeds} | {memory} |"
