"""Run directories and checkpoints: which files are saved, and how they are read back.

    runs/NAME/
      config.yaml  tokenizer/  sources.json  corpus.json (what was read and dropped)  train.log
      metrics.jsonl  samples.jsonl  curves.png  events.out.tfevents.*
      result.json  report.html (when finished)
      best/        model.safetensors  config.yaml  tokenizer/  checkpoint.json  README.md (when finished)
      last/        the same, and training.pt: optimizer, schedule, average, random state, position in the data
      previous/    the last/ before this one, in case last/ gets damaged
      step-N/      weights of the last validations, if they are kept

tokenizer/ has the lexicon too, which decode.shortlist uses. ``best/`` needs nothing outside itself.
checkpoint.json has the size and the hash of every other file, so that a checkpoint knows whether it is whole; but
not of README.md, the model card, which is for people to edit. No file is loaded in a way that could run code.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor

from seq2seq.errors import CheckpointError
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runs.card import is_edited
from seq2seq.runs.layout import BEST, CARD, CONFIG, INFO, LAST, PREVIOUS, RESULT, TOKENIZER, TRAINING, WEIGHTS
from seq2seq.runs.ownership import refuse_strangers, remove_own, step_checkpoints, step_of
from seq2seq.settings.compose import read_train_config, to_yaml
from seq2seq.settings.schema import DataConfig, MachineConfig, TrainConfig
from seq2seq.storage.atomic import atomic_directory, write_json, write_text
from seq2seq.storage.integrity import DENIED, check_files, identities
from seq2seq.text.lexicon import LEXICON, Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair

FORMAT = 2


class CheckpointInfo(NamedTuple):
    """The contents of checkpoint.json, except for the hashes."""

    step: int
    epoch: int
    metrics: dict[str, float]  # of the validation it was saved after
    vocabulary: str  # fingerprint of its tokenizers
    bleu_losses: dict[str, float]  # on validation, of the precisions of search that were tried


class RunDirectory:
    """The files of one run. Only this class saves them."""

    def __init__(self, path: Path, config_yaml: str, tokenizers: TokenizerPair, lexicon: Lexicon) -> None:
        """Make the directory and write the files that do not change during the run."""
        self.path = path
        self._config_yaml = config_yaml
        self._tokenizers = tokenizers
        self._lexicon = lexicon
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
        """Write the checkpoint ``name``, whole or not at all; with ``training``, the state that resuming needs.

        Raises:
            CheckpointError: it can't be written; the checkpoint saved before is unchanged.
            ConfigError: it would replace a directory that holds files of others.
        """
        for replaced in (name, PREVIOUS) if name == LAST else (name,):
            refuse_strangers(self.path / replaced)
        info = CheckpointInfo(step, epoch, dict(metrics), self._tokenizers.fingerprint(), {})
        keep = self.path / PREVIOUS if name == LAST else None
        try:
            with atomic_directory(self.path / name, keep) as temporary:
                save_model(model, str(temporary / WEIGHTS))
                if training is not None:
                    state = io.BytesIO()  # when torch writes a file itself, its errors don't say what went wrong
                    torch.save(training, state)
                    (temporary / TRAINING).write_bytes(state.getbuffer())
                self._write_static(temporary)
                fields = {"format": FORMAT, **info._asdict(), "files": identities(temporary)}
                write_json(temporary / INFO, fields)
                if name == BEST and is_edited(card := self.path / BEST / CARD):
                    shutil.copyfile(card, temporary / CARD)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors raise their own
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
            raise CheckpointError(
                f"{self.path / name}: can't be saved ({reason}); what was saved before is whole: "
                "put this right, and the same command resumes from it"
            ) from error
        return self.path / name

    def record_losses(self, bleu_losses: Mapping[str, float]) -> None:
        """Add to best/ how much BLEU the precisions of search lose."""
        path = self.path / BEST / INFO
        write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "bleu_losses": bleu_losses})

    def keep_newest_steps(self, count: int) -> list[Path]:
        """Remove all step checkpoints except the newest ``count``; returns those, oldest first."""
        steps = step_checkpoints(self.path)
        cut = max(0, len(steps) - count)
        for path in steps[:cut]:
            remove_own(path)
        return steps[cut:]

    def forget_after(self, step: int) -> None:
        """Remove the step checkpoints of later updates, which will be made again."""
        for path in step_checkpoints(self.path):
            if step_of(path) > step:
                remove_own(path)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Record that the run has ended, and its ``result``."""
        write_json(self.path / RESULT, result)

    def _write_static(self, directory: Path) -> None:
        write_text(directory / CONFIG, self._config_yaml)
        with atomic_directory(directory / TOKENIZER) as temporary:
            self._tokenizers.save(temporary)
            self._lexicon.save(temporary / LEXICON)


def pack(best: Path, directory: Path) -> None:
    """Write a copy of the checkpoint ``best``, with weights in fp16 and nothing of the machine in its settings.

    Raises:
        CheckpointError: it is not whole.
    """
    info, config = read_info(best), read_train_config(best / CONFIG)
    of_no_machine = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, cache_dir=DataConfig.cache_dir),
        machine=MachineConfig(),
        runs_dir=TrainConfig.runs_dir,
    )
    with atomic_directory(directory) as temporary:
        save_file({name: weight.half() for name, weight in read_weights(best).items()}, temporary / WEIGHTS)
        write_text(temporary / CONFIG, to_yaml(of_no_machine))
        shutil.copytree(best / TOKENIZER, temporary / TOKENIZER)
        write_json(temporary / INFO, {"format": FORMAT, **info._asdict(), "files": identities(temporary)})


class UnwrittenRun(RunDirectory):
    """The run's directory as processes other than rank 0 have it: they read there, and write nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, name: str, *what: Any) -> Path:
        return self.path / name

    def record_losses(self, bleu_losses: Mapping[str, float]) -> None: ...

    def keep_newest_steps(self, count: int) -> list[Path]:
        steps = step_checkpoints(self.path)
        return steps[max(0, len(steps) - count) :]

    def forget_after(self, step: int) -> None: ...

    def finish(self, result: Mapping[str, Any]) -> None: ...


def read_result(run: Path) -> dict[str, Any] | None:
    """The result of a finished run; None if it is not finished."""
    try:
        result: dict[str, Any] = json.loads((run / RESULT).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # if it is damaged, the run is resumed and writes a new one
        return None
    return result


def checkpoint_path(run: Path, name: str, key: str = "run") -> Path:
    """The directory of the checkpoint ``name`` of ``run``, or ``run`` itself if it is a copied checkpoint.

    Raises:
        CheckpointError: there is none; ``key`` is the setting that gave ``run``.
    """
    if (run / WEIGHTS).is_file():
        return run
    if not run.is_dir():
        near = sorted(
            path.name for path in run.parent.glob("*") if path.is_dir() and not path.name.startswith(".")
        )
        below = Path(TrainConfig.runs_dir) / run
        hint = (
            f"did you mean {key}={below}?"
            if below.is_dir()
            else f"{run.parent} has {', '.join(near[:8]) or 'no runs'}"
        )
        raise CheckpointError(f"{key}={run}: no such directory; {hint}")
    if not (run / name / WEIGHTS).is_file():
        raise CheckpointError(f"{key}={run}: no checkpoint {name}/ there; has it been validated once?")
    return run / name


def read_info(path: Path) -> CheckpointInfo:
    """The checkpoint's information, once all its files have been checked against their hashes.

    Raises:
        CheckpointError: it is of another format or not whole.
        OSError: this process may not open a file, or has too many open.
    """
    try:
        fields = json.loads((path / INFO).read_text(encoding="utf-8"))
        version = fields.pop("format")
        if version != FORMAT:
            raise CheckpointError(f"{path / INFO}: format {version}; this version reads format {FORMAT}")
        files = {str(name): dict(identity) for name, identity in fields.pop("files").items()}
        fields["metrics"] = {name: float(value) for name, value in fields["metrics"].items()}  # "inf" too
        info = CheckpointInfo(**{"bleu_losses": {}, **fields})  # which earlier versions didn't save
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in DENIED:
            raise
        raise CheckpointError(f"{path / INFO}: can't be read ({error}); the checkpoint is not whole") from error
    check_files(path, files)
    return info


def check_vocabulary(path: Path, info: CheckpointInfo, tokenizers: TokenizerPair) -> None:
    """Raise ``CheckpointError`` unless the weights were trained with these tokenizers."""
    if info.vocabulary != tokenizers.fingerprint():
        raise CheckpointError(f"{path}: its weights were trained with another vocabulary")


def read_training(path: Path) -> dict[str, Any]:
    """The state from which training resumes.

    Raises:
        CheckpointError: it can't be read, or holds anything but numbers, texts and tensors.
    """
    try:
        state: dict[str, Any] = torch.load(path / TRAINING, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged or hostile file can make torch raise anything
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path / TRAINING}: can't be read ({type(error).__name__}: {reason})") from None
    return state


def load_weights(path: Path, model: Seq2Seq) -> None:
    """Fill ``model`` with the checkpoint's weights, which may be stored in another precision than the model's.

    Raises:
        CheckpointError: the file is missing, damaged or of another model.
    """
    try:
        load_model(model, str(path / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path / WEIGHTS}: the weights don't fit or can't be read ({reason})") from error


def check_finite(path: Path, model: Seq2Seq) -> None:
    """Raise ``CheckpointError`` if a weight of ``model``, which was loaded from ``path``, is not finite."""
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise CheckpointError(
                f"{path / WEIGHTS}: {name} has weights that are not finite; train again with a lower optimizer.lr"
            )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The checkpoint's weights by name."""
    return load_file(str(path / WEIGHTS))
