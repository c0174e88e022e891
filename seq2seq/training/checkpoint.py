"""Run directories and checkpoints: what is saved, where, and how it is read back.

    runs/NAME/
      config.yaml  tokenizer/  train.log  metrics.jsonl  events.out.tfevents.*  result.json (when finished)
      best/        model.safetensors  config.yaml  tokenizer/  checkpoint.json
      last/        the same, and training.pt: optimizer, schedule, average and random state
      step-N/      weights of the last validations, if they are kept

``best/`` needs nothing outside itself. No file is loaded in a way that could run code.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_model
from torch import Tensor

from seq2seq.atomic import atomic_directory, write_text
from seq2seq.data.tokenizer_pair import TokenizerPair
from seq2seq.errors import CheckpointError
from seq2seq.model.seq2seq import Seq2Seq

FORMAT = 1
WEIGHTS, INFO, TRAINING, CONFIG, TOKENIZER, RESULT = (
    "model.safetensors",
    "checkpoint.json",
    "training.pt",
    "config.yaml",
    "tokenizer",
    "result.json",
)


class CheckpointInfo(NamedTuple):
    """What a checkpoint says of itself."""

    step: int
    epoch: int
    metrics: dict[str, float]  # of the validation it was saved after
    vocabulary: str  # fingerprint of its tokenizers


class RunDirectory:
    """One run's files: the one place that saves."""

    def __init__(self, path: Path, config_yaml: str, tokenizers: TokenizerPair) -> None:
        """Make the directory and write what does not change during the run."""
        self.path = path
        self._config_yaml = config_yaml
        self._tokenizers = tokenizers
        path.mkdir(parents=True, exist_ok=True)
        self._write_static(path)

    def save(
        self,
        name: str,
        model: Seq2Seq,
        step: int,
        epoch: int,
        metrics: Mapping[str, float],
        training: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the checkpoint ``name``, whole or not at all; ``training`` is what going on would need."""
        info = CheckpointInfo(step, epoch, dict(metrics), self._tokenizers.fingerprint())
        with atomic_directory(self.path / name) as temporary:
            save_model(model, str(temporary / WEIGHTS))
            write_text(temporary / INFO, json.dumps({"format": FORMAT, **info._asdict()}, indent=2) + "\n")
            if training is not None:
                torch.save(training, temporary / TRAINING)
            self._write_static(temporary)
        return self.path / name

    def keep_newest_steps(self, count: int) -> list[Path]:
        """Remove the step checkpoints but the newest ``count``; give those, oldest first."""
        steps = sorted(self.path.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
        cut = max(0, len(steps) - count)
        for path in steps[:cut]:
            shutil.rmtree(path)
        return steps[cut:]

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write down that the run came to its end, and how."""
        write_text(self.path / RESULT, json.dumps(result, indent=2) + "\n")

    def _write_static(self, directory: Path) -> None:
        write_text(directory / CONFIG, self._config_yaml)
        with atomic_directory(directory / TOKENIZER) as temporary:
            self._tokenizers.save(temporary)


def read_result(run: Path) -> dict[str, Any] | None:
    """How the run ended, or None if it did not."""
    try:
        result: dict[str, Any] = json.loads((run / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return result


def checkpoint_path(run: Path, name: str) -> Path:
    """The directory of the checkpoint ``name`` of ``run``, or ``run`` itself if it is a copied checkpoint."""
    if (run / WEIGHTS).is_file():
        return run
    if not run.is_dir():
        near = sorted(
            path.name for path in run.parent.glob("*") if path.is_dir() and not path.name.startswith(".")
        )
        raise CheckpointError(f"run={run}: no such directory; {run.parent} has {', '.join(near[:8]) or 'no runs'}")
    if not (run / name / WEIGHTS).is_file():
        raise CheckpointError(f"run={run}: no checkpoint {name}/ there; has it been validated once?")
    return run / name


def read_info(path: Path, tokenizers: TokenizerPair) -> CheckpointInfo:
    """What the checkpoint says of itself.

    Raises:
        CheckpointError: it is of another format, or its tokenizers are not the ones it was trained with.
    """
    try:
        fields = json.loads((path / INFO).read_text(encoding="utf-8"))
        found = fields.pop("format")
        if found != FORMAT:
            raise CheckpointError(f"{path / INFO}: format {found}; this version reads format {FORMAT}")
        info = CheckpointInfo(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path / INFO}: can't be read ({error}); the checkpoint is not whole") from error
    if info.vocabulary != tokenizers.fingerprint():
        raise CheckpointError(f"{path / TOKENIZER}: not the vocabulary that the weights were trained with")
    return info


def load_weights(path: Path, model: Seq2Seq) -> None:
    """Fill ``model`` with the checkpoint's weights.

    Raises:
        CheckpointError: the file is missing, damaged or of another model.
    """
    try:
        load_model(model, str(path / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path / WEIGHTS}: the weights don't fit or can't be read ({reason})") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The checkpoint's weights by name."""
    return load_file(str(path / WEIGHTS))
