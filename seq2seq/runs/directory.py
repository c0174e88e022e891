"""A run's directory, and what a start finds there: nothing yet, a run to resume, or a finished run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.runs.checkpoint import read_info, read_result
from seq2seq.runs.layout import (
    BEST,
    CONFIG,
    EVALUATIONS,
    LOCATION,
    MATERIAL,
    PATHS,
    REPORTING,
    RESULT,
    RESUMABLE,
    SOURCES,
    absolute,
    located,
    run_path,
)
from seq2seq.runs.ownership import IN_BEST, NAMES, REPLACED, refuse_strangers, remains, remove_own
from seq2seq.settings.compose import read_train_config
from seq2seq.settings.schema import LinearConfig, TrainConfig, flat
from seq2seq.storage.atomic import recover
from seq2seq.storage.lock import locked

logger = logging.getLogger(__name__)

LOCK, LOG = ".lock", "train.log"
KEPT = (LOCK, LOG)
STARTING = ("overwrite", "resume", "machine.", "decode.workers")
"""Settings that may differ between two starts of a run, as those of LOCATION may: how to start and compute."""
LENGTH = ("trainer.max_steps", "trainer.max_epochs", "trainer.patience")
"""Settings of a run's length, which may change, except under a linear schedule, which is made for one length."""
REMEDY = "choose another name=, or overwrite=true to start over"


def finished_result(config: TrainConfig) -> dict[str, Any] | None:
    """The result of this run, if its directory holds it finished; None if there is something to do.

    That its data is the same is to be checked with ``sources.check``.

    Raises:
        ConfigError: the directory holds another run, or one that ``resume`` does not allow to resume.
    """
    path = run_path(config)
    saved = [name for name in (*RESUMABLE, BEST, RESULT) if (path / name).exists()]
    begun = (path / CONFIG).exists() and saved and not config.overwrite  # else there is nothing to lose
    if config.resume == "must" and not (begun and set(saved) & set(RESUMABLE)):
        raise ConfigError(f"resume=must: {path} holds no run to resume; resume=auto would begin one")
    if not begun:
        return None
    made, asked = flat(absolute(located(read_train_config(path / CONFIG), path))), flat(absolute(config))
    free = LOCATION + STARTING + REPORTING + (() if isinstance(config.schedule, LinearConfig) else LENGTH)
    material = () if (path / SOURCES).exists() else MATERIAL  # without a record of their content, paths count
    compared = [key for key in asked if key.startswith(material) or not key.startswith(free + PATHS)]
    _refuse_changes(path, {key: (made.get(key), asked[key]) for key in compared})
    result = read_result(path)
    if result is not None and all(made.get(key) == asked[key] for key in LENGTH):
        return result
    if config.resume == "never":
        raise ConfigError(f"{path} holds a run that could be resumed, and resume=never: {REMEDY}")
    return None


def _refuse_changes(path: Path, settings: dict[str, tuple[Any, Any]]) -> None:
    changed = [f"{key} {saved} → {asked}" for key, (saved, asked) in settings.items() if saved != asked]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ConfigError(f"{path} holds a run with other settings ({', '.join(changed[:3])}{more}): {REMEDY}")


@contextmanager
def opened(config: TrainConfig) -> Iterator[Path]:
    """Make the run's directory, or recover it after a process that died there, and lock it for the block.

    Raises:
        ConfigError: it can't be written; it holds something other than a run, or files of others that the run
            would replace; or another process is training there.
    """
    path = run_path(config)
    new = [directory for directory in (path, *path.parents) if not directory.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be written ({error.strerror}); choose another runs_dir= or name="
        ) from None
    _refuse_other_directories(path)
    with locked(path / LOCK):
        recover(path, NAMES)
        if (path / BEST).is_dir():
            recover(path / BEST, IN_BEST)
        for name in REPLACED:
            refuse_strangers(path / name)
        try:
            yield path
        finally:
            _remove_unused(path, new)


def _remove_unused(path: Path, new: list[Path]) -> None:
    """Remove the directories that a start has made, if it came to nothing: there is no more than lock and log."""
    if path in new and not {file.name for file in path.iterdir()} - set(KEPT):
        with suppress(OSError):  # an open file on Windows, or a file that somebody else has just put there
            for file in path.iterdir():
                file.unlink()
            for directory in new:
                directory.rmdir()


def _refuse_other_directories(path: Path) -> None:
    """Raise ``ConfigError`` if there are files but no run, so that none of them is ever replaced or removed."""
    if (path / CONFIG).exists():
        read_train_config(path / CONFIG)
    elif strangers := [file.name for file in path.iterdir() if file.name not in KEPT and file.name[0] != "."]:
        raise ConfigError(f"{path} holds no run, but {', '.join(sorted(strangers)[:3])}: choose another name=")


def checkpoint_to_resume(config: TrainConfig) -> Path | None:
    """The newest whole checkpoint; None if there is nothing to resume. Newer, damaged ones are removed.

    Raises:
        CheckpointError: there are some, but all are damaged; or best/ stands alone.
    """
    path = run_path(config)
    checkpoints = [path / name for name in RESUMABLE if (path / name).exists()]
    if config.overwrite or not (checkpoints or (path / BEST).exists()):
        return None
    for i, checkpoint in enumerate(checkpoints):
        try:
            read_info(checkpoint)
        except CheckpointError as error:
            logger.warning("passed over: %s", error)
        else:
            for damaged in checkpoints[:i]:  # else the next save would replace the whole one with it
                remove_own(damaged)
            return checkpoint
    raise CheckpointError(f"{path}: no checkpoint to resume from is whole; {REMEDY}")


def resume(path: Path) -> None:
    """Record that the run is not finished any more."""
    (path / RESULT).unlink(missing_ok=True)


def begin(path: Path) -> None:
    """Remove the files of an earlier run, if any, and no others.

    Its settings, without which it is not recognised as a run, and the record of its data stay until new ones
    take their place.
    """
    for file in remains(path):
        remove_own(file)
    with suppress(OSError):  # there is none, or it holds other files
        (path / EVALUATIONS).rmdir()
