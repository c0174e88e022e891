"""A run's directory: its name, the files in it, and where its data is. Imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from seq2seq.settings.schema import TrainConfig

BEST = "best"
RESUMABLE = LAST, PREVIOUS = "last", "previous"  # hold all that resuming needs; newest first
STEP = r"step-\d+"  # names of the checkpoints of single validations
WEIGHTS, INFO, TRAINING, CONFIG, TOKENIZER, RESULT, SOURCES = (
    "model.safetensors",
    "checkpoint.json",
    "training.pt",
    "config.yaml",
    "tokenizer",
    "result.json",
    "sources.json",
)
ROWS, SAMPLES, EVENTS, CURVES = "metrics.jsonl", "samples.jsonl", "events.out.tfevents.*", "curves.png"
CORPUS, REPORT, CARD = "corpus.json", "report.html", "README.md"  # the card is in best/
EVALUATIONS = "evaluation"
SCORES, TRANSLATIONS, ALIGNMENTS, ATTENTION = (  # of an evaluation
    "scores.json",
    "translations.txt",
    "alignments.txt",
    "weights.npz",
)
LOCATION = ("name", "data.download_dir", "data.cache_dir", "data.verify")
"""Settings that, like ``PATHS``, say where things are. They may differ and don't change the results."""
MATERIAL = (
    *("data.train.", "data.valid.", "data.mix.src", "data.mix.tgt"),
    *("tokenizer.src_vectors", "tokenizer.tgt_vectors"),
)
"""Paths of the files that a run is made from. Their content is part of its identity, their names are not."""
PATHS = ("runs_dir", "data.root", "data.test.", *MATERIAL)
"""Paths that a run keeps absolute. Caches stay relative to the directory that a command is started in."""
PARENT = "init_from"
"""A path that is kept absolute too; but which run a training starts from changes the results."""
NO_CHOICES = (*LOCATION, *PATHS, "resume", "overwrite")
"""Beginnings of settings that can't explain how well a run does: paths, and how to start."""
REPORTING = ("trainer.log_every", "trainer.num_samples", "trainer.save_every")
IN_DEFAULT_NAME = ("data", "data.src", "data.tgt", "attention", "attention.score", "tokenizer", "seed")
LONGEST_NAME = 120
Section = TypeVar("Section")


def run_path(config: TrainConfig) -> Path:
    """The run's directory, named by ``name`` or else by its main settings."""
    return Path(config.runs_dir) / (config.name or default_name(config))


def run_of(checkpoint: Path) -> Path:
    """The directory of the run that a checkpoint belongs to; of a copy, the checkpoint's own."""
    return checkpoint.parent if (checkpoint.parent / CONFIG).exists() else checkpoint


def absolute(config: TrainConfig) -> TrainConfig:
    """``config`` with the paths ``PATHS`` and ``PARENT`` absolute: as a run keeps them."""
    return _with_paths(config, lambda path: str(Path(path).absolute()))


def located(config: TrainConfig, run: Path) -> TrainConfig:
    """``config``, kept by the run at ``run``, with its paths as they are now.

    A path is good as it was kept: absolute or, by an earlier version, relative to the current directory. If
    nothing is there, the same place as seen from the run's directory is tried: runs and data may have moved
    together.
    """

    def now(kept: str) -> str:
        if Path(kept).exists():
            return kept
        try:
            moved = os.path.normpath(run / os.path.relpath(kept, run_path(config)))
        except ValueError:  # on another drive of Windows
            return kept
        return moved if Path(moved).exists() else kept

    return _with_paths(config, now)


def _with_paths(settings: Section, change: Callable[[str], str], prefix: str = "") -> Section:
    changed: dict[str, Any] = {}
    for name, value in vars(settings).items():
        if dataclasses.is_dataclass(value):
            changed[name] = _with_paths(value, change, f"{prefix}{name}.")
        elif value and f"{prefix}{name}".startswith((*PATHS, PARENT)):
            changed[name] = [*map(change, value)] if isinstance(value, list) else change(value)
    return dataclasses.replace(settings, **changed)  # type: ignore[type-var]


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
