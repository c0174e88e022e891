"""Speed of search with a trained model, on its test set."""

from __future__ import annotations

import time
from typing import Any

from seq2seq import build
from seq2seq.config import BenchmarkConfig, DecodeOverrides
from seq2seq.metrics import bleu


def decoding(config: BenchmarkConfig) -> list[dict[str, Any]]:
    """Sentences a second and BLEU of greedy search and of a beam of 5; the fastest of the rounds each."""
    assert config.benchmark.run is not None
    found = []
    for beam_size in (1, 5):
        overrides = DecodeOverrides(beam_size=beam_size)
        loaded = build.load_run(config.benchmark.run, "best", overrides, config.machine)
        text = build.read_split(config.data, "test")
        seconds = float("inf")
        for _ in range(config.benchmark.rounds):
            started = time.perf_counter()
            translations = loaded.translator.translate(text.src)
            seconds = min(seconds, time.perf_counter() - started)
        score = bleu([each.text for each in translations], text.tgt, config.data.tgt)
        found.append({"beam": beam_size, "sentences_per_second": len(text) / seconds, "bleu": score.value})
    return found
