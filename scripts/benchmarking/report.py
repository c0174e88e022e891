"""Lets the contenders take turns and says what came out, as a table and as JSON."""

from __future__ import annotations

import json
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
    contenders,
    fixed_batches,
    products_of,
    seconds_to_first_update,
)
from seq2seq.data.batch import Batch, collate
from seq2seq.machine import prepare, resolve_device
from seq2seq.storage.atomic import write_text

logger = logging.getLogger(__name__)


class Contestant(Protocol):
    """Whoever trains in the benchmark."""

    name: str

    def round(self) -> Measured:
        """Train for a while."""

    def close(self) -> None:
        """End what was started."""


def run(config: BenchmarkConfig) -> str:
    """Measure what ``config`` asks for; writes OUTPUT/benchmark.json and gives the tables."""
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
        "training": [row(name, rounds, operations) for name, rounds in take_turns(config, directory).items()],
    }
    if config.benchmark.run:
        measured["decoding"] = decoding(config, directory)
    if config.benchmark.scaling:
        measured["scaling"] = scaling(config)
        plot(measured["scaling"], directory / "scaling.png")
    write_text(directory / "benchmark.json", json.dumps(measured, indent=1) + "\n")
    return "\n".join(describe(measured))


def take_turns(config: BenchmarkConfig, directory: Path) -> dict[str, list[Measured]]:
    """The rounds of everyone: the first of each, then the second of each, and so on."""
    contestants: list[Contestant] = [Worker(config, contender) for contender in contenders(config)]
    if config.benchmark.peer == "opennmt":
        contestants.append(OpenNMT(config, directory / "opennmt"))
    found: dict[str, list[Measured]] = {contestant.name: [] for contestant in contestants}
    for number in range(config.benchmark.rounds):
        for contestant in contestants:
            found[contestant.name].append(contestant.round())
            speed = found[contestant.name][-1].tokens_per_second
            logger.info("round %d: %s: %s tokens/s", number + 1, contestant.name, f"{speed:,.0f}")
    for contestant in contestants:
        contestant.close()
    return found


def row(name: str, rounds: list[Measured], operations: float) -> dict[str, Any]:
    """Medians over the rounds; the limit is what products alone would allow, at the rate measured beside them."""
    speed = median(each.tokens_per_second for each in rounds)
    rates = [each.product_rate for each in rounds if each.product_rate is not None]
    return {
        "name": name,
        "tokens_per_second": speed,
        "rounds": [each.tokens_per_second for each in rounds],
        "share_of_limit": speed * operations / median(rates) if rates else None,
        "product_rate": median(rates) if rates else None,
        "peak_memory": max(each.peak_memory for each in rounds),
        "page_faults_an_update": rounds[-1].page_faults,
    }


def seconds_to_collate(batches: Sequence[Batch]) -> float:
    """What it takes to make these batches of token ids."""
    rows = [[part.tolist() for part in (batch.src, batch.tgt_out)] for batch in batches]
    started = time.perf_counter()
    for src, tgt in rows:
        collate(src, tgt)
    return time.perf_counter() - started


def describe(measured: dict[str, Any]) -> Iterable[str]:
    """The table, a line for each contender, with its speed as a ratio to each other's."""
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
    for number, each in enumerate(rows, start=1):
        share = f"{each['share_of_limit']:.0%}" if each["share_of_limit"] else ""
        faults = "" if each["page_faults_an_update"] is None else f"{each['page_faults_an_update']:,.0f}"
        ratios = (f"{each['tokens_per_second'] / other['tokens_per_second']:.2f}" for other in rows)
        yield (
            f"| {number}. {each['name']} | {each['tokens_per_second']:,.0f} | {share} | "
            f"{each['peak_memory'] / 1e9:.1f} GB | {faults} | {' | '.join(ratios)} |"
        )
    yield ""
    yield f"from the start of a process to its first update: {measured['seconds_to_first_update']:.1f} s"
    update = measured["target_tokens_a_batch"] / max(each["tokens_per_second"] for each in rows)
    yield f"making a batch: {measured['seconds_to_collate_a_batch'] / update:.2%} of an update"
    if "decoding" in measured:
        yield ""
        yield from describe_decoding(measured["decoding"])
    if "scaling" in measured:
        yield ""
        yield from describe_scaling(measured["scaling"])


def describe_decoding(rows: list[dict[str, Any]]) -> Iterable[str]:
    """The table of search; ratios are to the last row of the same beam, which is the peer if there is one."""
    last = {each["beam"]: each for each in rows}
    yield "| beam | | sentences/s | ratio | BLEU |"
    yield "| --- | --- | --- | --- | --- |"
    for each in rows:
        speed = each["sentences_per_second"]
        ratio = speed / last[each["beam"]]["sentences_per_second"]
        yield f"| {each['beam']} | {each['name']} | {speed:,.0f} | {ratio:.2f} | {each['bleu']:.2f} |"
    yield ""
    yield f"BLEU: {rows[0]['signature']}"


def describe_scaling(rows: list[dict[str, Any]]) -> Iterable[str]:
    """The table of speed and memory against sizes."""
    yield "| size | | plain, tokens/s | fused, tokens/s | ratio | plain, peak memory | fused, peak memory |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for each in rows:
        speeds = f"{each['plain']:,.0f} | {each['fused']:,.0f} | {each['fused'] / each['plain']:.2f}"
        memory = f"{each['plain_memory'] / 1e9:.2f} GB | {each['fused_memory'] / 1e9:.2f} GB"
        yield f"| {each['axis']} | {each['value']:,} | {speeds} | {memory} |"
