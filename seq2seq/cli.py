"""The frame of every script: Hydra's errors and ours as one line, messages to the terminal and the log."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO, TypeVar

import hydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from seq2seq.config import SCRIPTS, did_you_mean, keys_of, load_settings, register_schemas, training_keys
from seq2seq.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"
Settings = TypeVar("Settings")
OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EMFILE", "ENFILE", "EIO")
    if hasattr(errno, name)
}
"""Disks that are full, read-only or broken, and files that can't be opened: nothing that a traceback explains."""


def run(task: Callable[[Settings], Any], schema: type[Settings]) -> None:
    """Compose the settings of ``schema`` from configs/ and the command line, check them, run ``task``.

    What the user can mend ends the script with one line and exit status 1.
    """
    script = next(name for name, known in SCRIPTS.items() if known is schema)

    def job(config: DictConfig) -> Any:  # its value is what sweepers go by
        with user_errors(script):
            return task(load_settings(config, schema))

    threading.excepthook = _report_thread
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that what is wrong with the settings arrives here
    register_schemas()
    with user_errors(script):
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=script)(job)()


@contextmanager
def user_errors(script: str) -> Iterator[None]:
    """End the process with one line instead of a traceback."""
    try:
        yield
    except UserError as error:
        fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        fail(explain(error, script))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        _forget_output()
        sys.exit(1)
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        fail(f"{error.filename or 'the output'}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """A traceback, but not of a full disk: TensorBoard's thread hands that on to the script, which says it."""
    if not (isinstance(failure.exc_value, OSError) and failure.exc_value.errno in OF_THE_MACHINE):
        threading.__excepthook__(failure)


def say(message: str) -> None:
    """Print it, if anybody still reads our output."""
    try:
        print(message, flush=True)
    except BrokenPipeError:
        _forget_output()


def _forget_output() -> None:
    """Nothing more is to be flushed into a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str) -> None:
    """Print the one line and end."""
    sys.exit(f"error: {message}")


def explain(error: Exception, script: str) -> str:
    """One line for what Hydra or OmegaConf found wrong with the settings."""
    if isinstance(error, MissingConfigException):
        return _unknown_name(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not an override; write KEY=VALUE, with quotes around spaces and special signs"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: a value is needed; give {error.full_key}=…"
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return f"{cause.full_key}: no such setting{_nearest_key(str(cause.full_key), script)}"
    if isinstance(cause, OmegaConfBaseException):
        return f"{cause.full_key}: {_first_line(cause)}"
    return _first_line(error)


def _unknown_name(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    options = [option for option in error.options or [] if option != "schema"]
    if not group:
        return f"{name}: no such config"
    hint = did_you_mean(name, options)
    if group == "attention" and name in ("dot", "general", "concat"):
        hint = f"; did you mean attention=luong attention.score={name}?"
    return f"{group}={name}: unknown; valid are {', '.join(options)}{hint}"


def _nearest_key(given: str, script: str) -> str:
    """Where else the key is, or which is nearest to it."""
    keys = training_keys() if script == "train" else dict.fromkeys(keys_of(SCRIPTS[script]), "")
    if given in keys:
        return f" here; {keys[given]} has it"
    last = given.rpartition(".")[2]
    homes = [key for key in keys if key.rpartition(".")[2] == last]
    return f"; did you mean {' or '.join(homes)}?" if homes else did_you_mean(given, keys)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def log_to(stream: TextIO, path: Path | None = None) -> None:
    """Messages to ``stream``, and with times into the file ``path``."""
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    handlers[0].setFormatter(logging.Formatter("%(message)s"))
    if path is not None:
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
        handlers[1].setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.raiseExceptions = False  # of a terminal that has gone; the log file still says it
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def summary(path: Path, metric: str, result: Mapping[str, Any]) -> str:
    """How a run ended, and what to do next."""
    best, took = result["best"], timedelta(seconds=round(result["seconds"]))
    return "\n".join(
        [
            f"finished: {result['stopped']}; {result['steps']:,} updates in {took}",
            f"best {metric} {best[metric]:.2f} at update {result['best_step']:,} "
            f"(BLEU {best['bleu']:.2f}, chrF {best['chrf']:.2f}, teacher-forced perplexity {best['ppl']:.2f})",
            f"the run is in {path}; next:",
            f"  python scripts/evaluate.py run={path} split=test",
            f"  python scripts/translate.py run={path}",
            f"  tensorboard --logdir {path}",
        ]
    )
