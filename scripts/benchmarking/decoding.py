"""Speed of search with a trained model, on its test set; compared with a peer's, if there is one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from benchmarking import opennmt
from benchmarking.settings import BenchmarkConfig
from seq2seq.build.data import read_split
from seq2seq.build.inference import load_run
from seq2seq.evaluation.metrics import all_scores
from seq2seq.machine import choose_precision, resolve_device
from seq2seq.settings.schema import DecodeConfigOverrides
from seq2seq.text.tokenizer import UNK

BEAM_SIZES = (1, 5)


class Searched(NamedTuple):
    """The results of one pass over the test set."""

    seconds: float
    translations: list[str]


Search: TypeAlias = Callable[[Sequence[str]], Searched]


def decoding(config: BenchmarkConfig, directory: Path) -> list[dict[str, Any]]:
    """Sentences a second and BLEU of greedy search and of a beam of 5.

    The contenders take turns, as in training; the fastest round of each counts.
    """
    text = read_split(config.data, "test")
    rows = []
    for beam_size in BEAM_SIZES:
        seconds: dict[str, float] = {}
        translations: dict[str, list[str]] = {}
        contenders = searches(config, beam_size, directory)
        for _ in range(config.benchmark.rounds):
            for name, search in contenders.items():
                taken, translations[name] = search(text.src)
                seconds[name] = min(taken, seconds.get(name, taken))
        for name in contenders:
            score = all_scores(translations[name], text.tgt, config.data.tgt)["BLEU"]
            rows.append(
                {
                    "name": name,
                    "beam": beam_size,
                    "sentences_per_second": len(text) / seconds[name],
                    "bleu": score.value,
                    "signature": score.signature,
                }
            )
    return rows


def searches(config: BenchmarkConfig, beam_size: int, directory: Path) -> dict[str, Search]:
    """Our search in fp32, in the best precision of training and, on a CPU, in 8 bits; and the peer's."""
    device = resolve_device(config.machine.device)
    best = choose_precision(config.machine.precision, device).name
    precisions = dict.fromkeys(("fp32", best, "int8") if device.type == "cpu" else ("fp32", best))
    contenders = {f"seq2seq, {precision}": ours(config, beam_size, precision) for precision in precisions}
    if config.benchmark.peer_model:
        contenders[opennmt.NAME] = peers(config, beam_size, directory / "opennmt")
    return contenders


def ours(config: BenchmarkConfig, beam_size: int, precision: str) -> Search:
    """The run's translator, from text to text."""
    assert config.benchmark.run is not None
    machine = dataclasses.replace(config.machine, precision=precision)
    loaded = load_run(config.benchmark.run, "best", DecodeConfigOverrides(beam_size=beam_size), machine)

    def search(lines: Sequence[str]) -> Searched:
        started = time.perf_counter()
        translations = [str(translation) for translation in loaded.translator.translate(lines)]
        return Searched(time.perf_counter() - started, translations)

    return search


def peers(config: BenchmarkConfig, beam_size: int, directory: Path) -> Search:
    """OpenNMT-py's translator, from pieces to pieces; they are the pieces of our run."""
    assert config.benchmark.run is not None
    loaded = load_run(config.benchmark.run, "best", DecodeConfigOverrides(), config.machine)
    tokenizers = loaded.translator.tokenizers
    ids = {piece: i for i, piece in enumerate(tokenizers.tgt.pieces(range(len(tokenizers.tgt))))}

    def search(lines: Sequence[str]) -> Searched:
        src = [" ".join(tokenizers.src.pieces(row)) for row in tokenizers.src.encode(lines)]
        seconds, tgt = opennmt.translate(config, src, beam_size, directory)
        rows = ([ids.get(piece, UNK) for piece in line.split(" ")] for line in tgt)
        return Searched(seconds, [tokenizers.tgt.decode(row) for row in rows])

    return search
