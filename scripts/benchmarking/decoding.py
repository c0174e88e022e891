"""Speed of search with a trained model, on its test set, from text to text; beside that of the peers' models."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from benchmarking.peers import TOOLKITS
from benchmarking.peers.peer import Peer, Searched
from benchmarking.settings import BenchmarkConfig
from benchmarking.training import SPAWN, peak_memory, precisions
from seq2seq.build.data import read_split
from seq2seq.build.inference import load_run
from seq2seq.evaluation.metrics import all_scores
from seq2seq.machine import prepare, resolve_device
from seq2seq.settings.schema import DecodeConfigOverrides

BEAM_SIZES = (1, 5)

Search: TypeAlias = Callable[[Sequence[str]], Searched]


def decoding(config: BenchmarkConfig, directory: Path) -> list[dict[str, Any]]:
    """Sentences a second, BLEU and memory of greedy search and of a beam of 5.

    The contenders take turns, as in training; the fastest round of each counts.
    """
    text = read_split(config.data, "test")
    rows = []
    for beam_size in BEAM_SIZES:
        contenders = searches(config, beam_size, directory)
        rounds: dict[str, list[Searched]] = {name: [] for name in contenders}
        for _ in range(config.benchmark.rounds):
            for name, search in contenders.items():
                rounds[name].append(search(text.src))
        for name, done in rounds.items():
            score = all_scores(done[-1].translations, text.tgt, config.data.tgt)["BLEU"]
            rows.append(
                {
                    "name": name,
                    "beam": beam_size,
                    "sentences_per_second": len(text) / min(searched.seconds for searched in done),
                    "peak_memory": max(searched.peak_memory for searched in done),
                    "bleu": score.value,
                    "signature": score.signature,
                }
            )
    return rows


def searches(config: BenchmarkConfig, beam_size: int, directory: Path) -> dict[str, Search]:
    """Our search in each precision, and the search of each peer with a model of its own."""
    labels = precisions(config)
    if resolve_device(config.machine.device).type == "cpu":
        labels.setdefault("int8", "int8")
    contenders: dict[str, Search] = {
        f"seq2seq, {label}": partial(ours, config, beam_size, precision) for precision, label in labels.items()
    }
    assert config.benchmark.run is not None
    pair = load_run(config.benchmark.run).translator.tokenizers
    for key in config.benchmark.peers:
        peer = Peer(config, TOOLKITS[key], directory)
        contenders[peer.name] = partial(peer.translate, pair, beam_size=beam_size)
    return contenders


def ours(config: BenchmarkConfig, beam_size: int, precision: str, lines: Sequence[str]) -> Searched:
    """The run's translator, from text to text, in a new process, as a peer's search is."""
    with SPAWN.Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(translated, (config, beam_size, precision, lines))


def translated(config: BenchmarkConfig, beam_size: int, precision: str, lines: Sequence[str]) -> Searched:
    """Load the run's model, then translate; only that is timed."""
    assert config.benchmark.run is not None
    prepare(config.machine.num_threads)
    machine = dataclasses.replace(config.machine, precision=precision)
    loaded = load_run(config.benchmark.run, "best", DecodeConfigOverrides(beam_size=beam_size), machine)
    started = time.perf_counter()
    translations = [str(translation) for translation in loaded.translator.translate(lines)]
    seconds = time.perf_counter() - started
    return Searched(seconds, translations, peak_memory(resolve_device(config.machine.device)))
