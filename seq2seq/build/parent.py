"""The runs whose weights and vocabulary a new run starts from."""

from __future__ import annotations

import re
from pathlib import Path

from seq2seq.errors import ConfigError
from seq2seq.runs.checkpoint import checkpoint_path, read_info
from seq2seq.runs.layout import BEST, CONFIG, PARENT, run_path
from seq2seq.settings.compose import read_train_config
from seq2seq.settings.schema import TrainConfig, directories, flat, written

SHAPING = ("tokenizer.", "model.", "attention.")
"""Sections of settings that the vocabulary and the weights' shapes depend on, but for ``FREE``."""
FREE = r"tokenizer\.(sample|sampling_alpha|src_vectors|tgt_vectors)|model\.dropout\..*"


def parents_of(config: TrainConfig) -> list[Path]:
    """The checkpoints that ``init_from`` names, whose weights fit the model of ``config``.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is not whole.
        ConfigError: it is this run itself, or its vocabulary or its model is not of these settings.
    """
    return [_parent(config, name) for name in directories(config.init_from)]


def _parent(config: TrainConfig, name: str) -> Path:
    path = checkpoint_path(Path(name), BEST, PARENT)
    if path.resolve().is_relative_to(run_path(config).resolve()):
        raise ConfigError(f"{PARENT}={name}: this run would replace it; choose another name=")
    read_info(path)
    made, asked = _shaping(read_train_config(path / CONFIG)), _shaping(config)
    differing = {key: value for key, value in made.items() if key in asked and asked[key] != value}
    if differing:
        key, value = next(iter(differing.items()))
        needed = " ".join(f"{key}={value}" for key, value in differing.items())
        raise ConfigError(
            f"{key}={asked[key]}: {PARENT}={name} was trained with {key}={value}, and its weights fit "
            f"nothing else; give {needed}"
        )
    return path


def _shaping(config: TrainConfig) -> dict[str, str]:
    """The settings that the vocabulary and the weights' shapes depend on: key → value, as on the command line."""
    return {
        key.removesuffix(".name"): written(value)
        for key, value in flat(config).items()
        if key.startswith(SHAPING) and not re.fullmatch(FREE, key)
    }
