"""What every command shares: Hydra, errors as one line, messages to the terminal and the log."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

import hydra
from omegaconf import DictConfig

from seq2seq.commands.explain import OF_THE_MACHINE, one_line
from seq2seq.commands.output import forget_output
from seq2seq.commands.sweep import Sweep
from seq2seq.errors import ConfigError
from seq2seq.resources import shipped
from seq2seq.settings.compose import load_settings, register_schemas, sweep_job

CONFIGS = shipped("configs")
Settings = TypeVar("Settings")


def run(command: str, task: Callable[[Settings], Any], schema: type[Settings]) -> None:
    """Compose the settings of ``schema`` from configs/COMMAND.yaml and the command line, check them, run ``task``.

    A user's mistake ends the command with one line and exit status 1; in a sweep (-m), it ends only that job.
    """
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    with user_errors(schema):
        sweep = Sweep(task, schema, overrides) if "--multirun" in sys.argv else None

    def job(config: DictConfig) -> Any:
        if sweep_job(config, overrides):
            return one_of(sweep, config)
        with user_errors(schema):
            return task(load_settings(config, schema))

    threading.excepthook = report_thread
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra's exceptions arrive here
    register_schemas(**{command: schema})
    with user_errors(schema), sweep.launching(sweep.outcomes) if sweep else nullcontext():
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=command)(job)()


def one_of(sweep: Sweep | None, config: DictConfig) -> float:
    """Run the job of a sweep that ``config`` was composed for, in this process or another; see ``Sweep.run``."""
    if sweep is None:
        raise ConfigError("hydra.mode=MULTIRUN: a sweep needs -m")
    one = sweep_job(config, sweep.overrides)
    assert one is not None
    log_to(sys.stderr)  # no longer to the log of the previous job
    logging.getLogger("hydra").setLevel(logging.WARNING)  # the sweep prints what it starts
    return sweep.run(one, partial(load_settings, config, sweep.schema))


@contextmanager
def user_errors(schema: type) -> Iterator[None]:
    """End the process with one line instead of a traceback."""
    try:
        yield
    except BrokenPipeError:  # the reader of our output has gone, as `head` may
        forget_output()
        sys.exit(1)
    except Exception as error:
        if (message := one_line(error, schema)) is None:
            raise
        fail(message)


def report_thread(failure: threading.ExceptHookArgs) -> None:
    """Print a traceback, but not for a full disk: TensorBoard's thread passes that on to the main thread."""
    if not (isinstance(failure.exc_value, OSError) and failure.exc_value.errno in OF_THE_MACHINE):
        threading.__excepthook__(failure)


def fail(message: str) -> None:
    """Print one line and end with status 1."""
    sys.exit(f"error: {message}")


def log_to(stream: TextIO, path: Path | None = None) -> None:
    """Send messages to ``stream`` and, with the time, to the file ``path``."""
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    handlers[0].setFormatter(logging.Formatter("%(message)s"))
    if path is not None:
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
        handlers[1].setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.raiseExceptions = False  # no errors if the terminal has gone: the log file still has the messages
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
