"""Lets the contenders take turns, and reports the results as tables and as JSON."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import torch

from benchmarking.decoding import decoding
from benchmarking.peers import TOOLKITS
from benchmarking.peers.peer import Peer
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
from seq2seq.commands import frame
from seq2seq.data.batch import Batch, collate
from seq2seq.errors import ConfigError
from seq2seq.machine import prepare, resolve_device
from seq2seq.processor import processor_name
from seq2seq.storage.atomic import write_json
from seq2seq.storage.rows import Rows

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
    frame.log_to(sys.stderr)
    prepare(config.machine.num_threads)
    device = resolve_device(config.machine.device)
    if config.benchmark.peers and device.type != "cpu":
        raise ConfigError(f"benchmark.peers: measured on the CPU only, not on {device}; add machine.device=cpu")
    directory = Path(config.benchmark.output)
    directory.mkdir(parents=True, exist_ok=True)
    measured: dict[str, Any] = {
        "processor": processor_name(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "attention": config.attention.variant,
        "seconds_to_first_update": seconds_to_first_update(config),
        "training": [training(config, sentences, directory) for sentences in config.benchmark.sentences],
    }
    if config.benchmark.run:
        measured["decoding"] = decoding(config, directory)
        compare(measured["decoding"], "sentences_per_second")
    if config.benchmark.scaling:
        measured["scaling"] = scaling(config)
        plot(measured["scaling"], directory / "scaling.png")
    write_json(directory / "benchmark.json", measured)
    return "\n".join(describe(measured))


def training(config: BenchmarkConfig, sentences: int, directory: Path) -> dict[str, Any]:
    """All contenders with batches of ``sentences``."""
    batches, vocab_sizes = fixed_batches(config, sentences)
    tokens = sum(len(batch.places) for batch in batches)
    operations = sum(products_of(config, vocab_sizes, batch) for batch in batches) / tokens
    rounds = take_turns(config, sentences, directory)
    rows = [summary(name, results, operations) for name, results in rounds.items()]
    compare(rows, "tokens_per_second")
    return {
        "sentences": sentences,
        "vocabulary": vocab_sizes,
        "target_tokens_a_batch": tokens / len(batches),
        "operations_a_token": operations,
        "seconds_to_collate_a_batch": seconds_to_collate(batches) / len(batches),
        "contenders": rows,
    }


def take_turns(config: BenchmarkConfig, sentences: int, directory: Path) -> dict[str, list[Measured]]:
    """The rounds of every contender: the first of each, then the second of each, and so on."""
    peers = [Peer(config, TOOLKITS[key], directory).trainer(sentences) for key in config.benchmark.peers]
    contenders: list[Contender] = [Worker(config, variant, sentences) for variant in variants(config)]
    contenders += peers
    rounds: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
    for number in range(config.benchmark.rounds):
        for contender in contenders:
            measured = contender.round()
            rounds[contender.name].append(measured)
            logger.info(
                "%d sentences, round %d: %s: %s tokens/s",
                *(sentences, number + 1, contender.name, f"{measured.tokens_per_second:,.0f}"),
            )
    for contender in contenders:
        contender.close()
    return rounds


def compare(rows: list[dict[str, Any]], speed: str) -> None:
    """Add to each row its ratio to the fastest peer of the same beam size, if there is a peer."""
    for row in rows:
        peers = [other[speed] for other in rows if is_peer(other) and other.get("beam") == row.get("beam")]
        row["times_fastest_peer"] = row[speed] / max(peers) if peers else None


def is_peer(row: dict[str, Any]) -> bool:
    """Whether a row is of another toolkit."""
    return row["name"] in {toolkit.name for toolkit in TOOLKITS.values()}


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
    rows = [[Rows.of(part.tolist()) for part in (batch.src, batch.tgt_out)] for batch in batches]
    started = time.perf_counter()
    for src, tgt in rows:
        collate(src, tgt)
    return time.perf_counter() - started


def describe(measured: dict[str, Any]) -> Iterable[str]:
    """The tables: a line for each contender."""
    machine = (f"{measured[key]}" for key in ("processor", "device", "torch"))
    yield f"{', '.join(machine)}, {measured['threads']} threads"
    yield ""
    yield from describe_training(measured)
    yield f"from the start of a process to its first update: {measured['seconds_to_first_update']:.1f} s"
    if "decoding" in measured:
        yield ""
        yield from describe_decoding(measured["decoding"])
    if "scaling" in measured:
        yield ""
        yield from describe_scaling(measured["scaling"])


def describe_training(measured: dict[str, Any]) -> Iterable[str]:
    """The table of training, with the columns of each batch size side by side."""
    sizes = measured["training"]
    yield f"training, {measured['attention']}, vocabulary {sizes[0]['vocabulary'][1]:,}; target tokens/s"
    yield ""
    columns = ("sentences", "× fastest peer", "share of the limit", "peak memory")
    yield row_of("", *(f"{size['sentences']} {columns[0]} | {' | '.join(columns[1:])}" for size in sizes))
    yield row_of(*["---"] * (1 + len(columns) * len(sizes)))
    for rows in zip(*(size["contenders"] for size in sizes), strict=True):
        yield row_of(rows[0]["name"], *(cell for row in rows for cell in training_cells(row)))
    for size in sizes:
        yield from headline(f"training, {size['sentences']} sentences a batch", size["contenders"])
    yield ""
    for size in sizes:
        update = size["target_tokens_a_batch"] / max(row["tokens_per_second"] for row in size["contenders"])
        share = size["seconds_to_collate_a_batch"] / update
        yield f"making a batch of {size['sentences']}: {share:.2%} of an update"


def training_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Speed, ratio, share of the limit and memory."""
    share = f"{row['share_of_limit']:.0%}" if row["share_of_limit"] else ""
    return f"{row['tokens_per_second']:,.0f}", ratio_of(row), share, f"{row['peak_memory'] / 1e9:.1f} GB"


def describe_decoding(rows: list[dict[str, Any]]) -> Iterable[str]:
    """The table of search."""
    yield row_of("beam", "", "sentences/s", "× fastest peer", "BLEU", "peak memory")
    yield row_of(*["---"] * 6)
    for row in rows:
        cells = (f"{row['sentences_per_second']:,.0f}", ratio_of(row), f"{row['bleu']:.2f}")
        yield row_of(str(row["beam"]), row["name"], *cells, f"{row['peak_memory'] / 1e9:.1f} GB")
    for beam in dict.fromkeys(row["beam"] for row in rows):
        yield from headline(f"search, beam {beam}", [row for row in rows if row["beam"] == beam])
    yield ""
    yield f"BLEU: {rows[0]['signature']}"


def headline(what: str, rows: list[dict[str, Any]]) -> Iterable[str]:
    """How many times as fast as the fastest peer we are in our fastest way; nothing without a peer."""
    best = max((row for row in rows if not is_peer(row)), key=lambda row: row["times_fastest_peer"] or 0)
    if best["times_fastest_peer"]:
        yield f"**{what}: {best['times_fastest_peer']:.1f}× the fastest peer** ({best['name']})"


def ratio_of(row: dict[str, Any]) -> str:
    return f"{row['times_fastest_peer']:.2f}" if row["times_fastest_peer"] else ""


def row_of(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def describe_scaling(rows: list[dict[str, Any]]) -> Iterable[str]:
    """The table of speed and memory against sizes."""
    yield "| size | | plain, tokens/s | fused, tokens/s | ratio | plain, peak memory | fused, peak memory |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        speeds = f"{row['plain']:,.0f} | {row['fused']:,.0f} | {row['fused'] / row['plain']:.2f}"
        memory = f"{row['plain_memory'] / 1e9:.2f} GB | {row['fused_memory'] / 1e9:.2f} GB"
        yield f"| {row['axis']} | {row['value']:,} | {speeds} | {memory} |"
