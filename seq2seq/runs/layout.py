"""A run's directory: its name, and the files in it. Imports no torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from seq2seq.settings.schema import TrainConfig

BEST = "best"
RESUMABLE = LAST, PREVIOUS = "last", "previous"  # hold all that resuming needs; newest first
WEIGHTS, INFO, TRAINING, CONFIG, TOKENIZER, RESULT = (
    "model.safetensors",
    "checkpoint.json",
    "training.pt",
    "config.yaml",
    "tokenizer",
    "result.json",
)
ROWS = "metrics.jsonl"
EVALUATIONS = "evaluation"
LOCATION = ("name", "runs_dir", "data.root", "data.download_dir", "data.cache_dir")
"""Settings that say where things are. They may differ between machines and don't change the results."""
NO_CHOICES = (
    *(*LOCATION, "resume", "overwrite", "data.train.", "data.valid.", "data.test."),
    *("tokenizer.src_vectors", "tokenizer.tgt_vectors"),
)
"""Beginnings of settings that can't explain how well a run does: paths, and how to start."""
REPORTING = ("trainer.log_every", "trainer.num_samples", "trainer.save_every")
IN_DEFAULT_NAME = ("data", "data.src", "data.tgt", "attention", "attention.score", "tokenizer", "seed")
LONGEST_NAME = 120


def run_path(config: TrainConfig) -> Path:
    """The run's directory, named by ``name`` or else by its main settings."""
    return Path(config.runs_dir) / (config.name or default_name(config))


def default_name(config: TrainConfig) -> str:
    """A name made of the settings ``IN_DEFAULT_NAME``."""
    data = config.data
    return (
        f"{data.name}_{data.src}_{data.tgt}_{config.attention.variant}_{config.tokenizer.name}_seed{config.seed}"
    )


def sweep_name(config: TrainConfig, swept: Mapping[str, str], template: str = "") -> str:
    """The name of a run in a sweep: its usual name, then KEY-VALUE for each swept setting not in that name.

    Args:
        config: the run's settings.
        swept: full key or group → its value in this run, for all that the sweep varies.
        template: ``config.name`` before interpolation; it shows which settings it contains, such as ``${seed}``.

    Returns:
        A valid name, different for each run of the sweep.
    """
    base = config.name or default_name(config)
    parts = [
        f"_{key.rpartition('.')[2]}-{value}"
        for key, value in swept.items()
        if value != base and not (_tells(template, key) if config.name else key in IN_DEFAULT_NAME)
    ]
    clean = [re.sub(r"[^\w.+-]+", "-", part) for part in parts]
    name = base + "".join(clean)
    ambiguous = any(re.search("-.*_.*-", part) for part in parts)  # a value that looks like two settings
    if clean == parts and not ambiguous and len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(repr(sorted(swept.items())).encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}_{digest}"


def _tells(template: str, key: str) -> bool:
    return key == "name" or "${hydra:" in template or f"${{{key}}}" in template or f"${{{key}." in template
