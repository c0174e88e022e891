"""A sweep: every job is run, even if others fail, here or in other processes; a table at the end compares them."""

from __future__ import annotations

import json
import logging
import math
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from seq2seq.commands.explain import one_line
from seq2seq.commands.output import say
from seq2seq.runs.layout import run_path, sweep_name
from seq2seq.runs.table import Run, number, read_run, table_of_runs, valid_heading
from seq2seq.settings.compose import SweepJob, sweep_directory
from seq2seq.settings.schema import TrainConfig
from seq2seq.signals import STOPPED_STATUS, handled
from seq2seq.storage.atomic import write_json
from seq2seq.tables import terminal_width

logger = logging.getLogger(__name__)
BLEU = "BLEU"


class Pruned(Exception):  # noqa: N818  # no error
    """Raised in a job that is not worth finishing; says why."""


class Outcome(NamedTuple):
    """What a job leaves in the directory of its sweep, for the process that launched it."""

    row: Run
    value: float
    ranked_by: str = BLEU  # heading of a column
    remark: str = ""  # why it failed
    runs_dir: str = ""  # that holds the run

    def saved(self) -> dict[str, Any]:
        """As plain values, for ``read``."""
        return {**self._asdict(), "row": self.row._asdict()}

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Outcome:
        """From what ``saved`` gave, maybe by way of JSON, which has NaN as a text."""
        scores = {heading: float(value) for heading, value in saved["row"]["scores"].items()}
        return cls(**{**saved, "value": float(saved["value"]), "row": Run(**{**saved["row"], "scores": scores})})


class Sweep:
    """The jobs of a sweep. It travels with each job to the process that runs it; results come back as files."""

    def __init__(self, task: Callable[[Any], Any], schema: type, overrides: Sequence[str]) -> None:
        """``overrides`` tell what is swept, and maybe where the results go (hydra.sweep.dir)."""
        self._task, self.schema, self.overrides = task, schema, overrides
        self.directory = sweep_directory(overrides)
        self.forget_processes()
        for left in self.directory.glob("job-*.json"):  # by an earlier sweep
            left.unlink()
        self._stop_file.unlink(missing_ok=True)

    @property
    def _stop_file(self) -> Path:
        return self.directory / "stop"

    @property
    def stopped(self) -> bool:
        """Whether a signal has asked to stop."""
        return self._stop_file.exists()

    @contextmanager
    def launching(self, results: Callable[[], list[Outcome]]) -> Iterator[None]:
        """The block launches jobs: afterwards print the ``results``, and end the process unless all went well.

        In the block a signal lets no further job begin, and stops those that run in processes of this machine. A
        second one ends this process at once.
        """
        try:
            with handled(self._stop_all) if issubclass(self.schema, TrainConfig) else nullcontext():
                yield
        except Exception:
            if not self.stopped:  # else a process that was stopped too early to say so
                raise
        finally:
            if outcomes := results():
                say(report(outcomes))
        if self.stopped:
            say(f"stopped: {signal.Signals(int(self._stop_file.read_text())).name}; the same command resumes")
            sys.exit(STOPPED_STATUS)
        if any(outcome.row.state == "failed" for outcome in outcomes):
            sys.exit(1)

    def _stop_all(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self._stop_file.write_text(str(number))
        for file in self.directory.glob("job-*.pid"):
            with suppress(OSError, ValueError):  # it has just ended
                os.kill(int(file.read_text()), signal.SIGTERM)

    def forget_processes(self) -> None:
        """Forget processes that have died: others may have their numbers."""
        for file in self.directory.glob("job-*.pid"):
            file.unlink()

    def run(self, job: SweepJob, load: Callable[[], Any]) -> float:
        """Run one job, whose settings ``load`` gives; returns its score, or NaN if there is none."""
        if not job.beside:
            if self.stopped:
                _stop(int(self._stop_file.read_text()))
            with handled(_stop) if issubclass(self.schema, TrainConfig) else nullcontext():
                return self._recorded(job, load)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launching process passes on what Ctrl-C means
        pid = self.directory / f"job-{job.number}.pid"
        pid.write_text(str(os.getpid()))
        try:
            with handled(_stop):
                return math.nan if self.stopped else self._recorded(job, load)
        except SystemExit:  # stopped
            return math.nan
        finally:
            pid.unlink()

    def _recorded(self, job: SweepJob, load: Callable[[], Any]) -> float:
        with _output_of(job) as tell:
            outcome = self._outcome(job, load, tell)
            if job.beside and outcome.row.state == "finished":
                scores = [f"{heading} {number(value)}" for heading, value in outcome.row.scores.items()]
                tell(f"{_described(job)}: {', '.join(['finished', *scores])}")
        write_json(self.directory / f"job-{job.number}.json", outcome.saved())
        return outcome.value

    def _outcome(self, job: SweepJob, load: Callable[[], Any], tell: Callable[[str], None]) -> Outcome:
        row = Run("", job.swept, state="failed")
        try:
            settings = load()
            if job.beside and settings.machine.num_threads is None:
                settings.machine.num_threads = _share_of_threads(job.beside)
            row = row._replace(name=self._name(settings, job, tell))
            value = self._value(settings, job)
            return self._finished(settings, row, math.nan if value is None else float(value))
        except BrokenPipeError:  # nobody reads our output
            raise
        except Pruned as pruned:
            tell(f"{_described(job)}: {pruned}")
            outcome = self._finished(settings, row, math.nan)
            return outcome._replace(row=outcome.row._replace(state="pruned"))
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code != 1:  # asked to stop by a signal
                raise
            return Outcome(row, math.nan, remark=self._failure(job, error))

    def _value(self, settings: Any, job: SweepJob) -> float | None:
        value: float | None = self._task(settings)
        return value

    def _name(self, settings: Any, job: SweepJob, tell: Callable[[str], None]) -> str:
        if type(settings) is not TrainConfig:
            return str(getattr(settings, "run", ""))
        settings.name = sweep_name(settings, job.swept, job.name)
        tell(f"{_described(job)}: {run_path(settings)}")
        return str(settings.name)

    def _finished(self, settings: Any, row: Run, value: float) -> Outcome:
        if type(settings) is not TrainConfig:
            scores = {} if math.isnan(value) else {BLEU: value}
            return Outcome(row._replace(scores=scores, state="finished"), value)
        metrics = dict.fromkeys([settings.trainer.metric, "bleu"])
        row = read_run(run_path(settings), [*metrics])._replace(choices=row.choices)
        return Outcome(row, value, valid_heading(settings.trainer.metric), runs_dir=settings.runs_dir)

    def _failure(self, job: SweepJob, error: BaseException) -> str:
        message = one_line(error, self.schema) if isinstance(error, Exception) else "ended with status 1"
        if message is None:
            message = f"{type(error).__name__}: {error}"
            logger.error("%s:", _described(job), exc_info=error)
        title = _described(job)
        message = message if message.startswith(title) else f"{title}: {message}"
        print(f"error: {message}", file=sys.__stderr__ if job.beside else sys.stderr, flush=True)
        return message

    def outcome(self, number: int) -> Outcome | None:
        """What job ``number`` has left; None if it has not ended."""
        with suppress(FileNotFoundError):
            return Outcome.read(json.loads((self.directory / f"job-{number}.json").read_text(encoding="utf-8")))
        return None

    def outcomes(self) -> list[Outcome]:
        """What the jobs have left, in their order."""
        numbers = sorted(int(file.stem.removeprefix("job-")) for file in self.directory.glob("job-*.json"))
        return [outcome for number in numbers if (outcome := self.outcome(number))]


def report(outcomes: list[Outcome]) -> str:
    """The table, with the best job first, and the errors of failed jobs."""
    ranked_by = next((outcome.ranked_by for outcome in outcomes if outcome.ranked_by != BLEU), BLEU)
    table = table_of_runs([outcome.row for outcome in outcomes], ranked_by, terminal_width())
    failed = [f"failed: {outcome.remark}" for outcome in outcomes if outcome.row.state == "failed"]
    runs_dirs = [outcome.runs_dir for outcome in outcomes if outcome.runs_dir]
    command = f"seq2seq runs {shlex.quote(runs_dirs[0])} --tensorboard" if len(runs_dirs) > 1 else ""
    hint = [f"the same table, and these runs in TensorBoard (tab HPARAMS): {command}"] if command else []
    return "\n".join(["", *table, *failed, *hint])


def _share_of_threads(jobs: int) -> int:
    """Threads for each of ``jobs`` side by side, or of one for each processor if that is negative."""
    from seq2seq.machine import usable_cores  # with torch

    given = int(os.environ["OMP_NUM_THREADS"])  # the user's, or what joblib makes of the number of processors
    return max(1, min(given, usable_cores() // jobs)) if jobs > 0 else given


@contextmanager
def _output_of(job: SweepJob) -> Iterator[Callable[[str], None]]:
    """Yields what prints a line. Of jobs side by side, the terminal shows these alone; logs have the rest."""
    terminal = sys.stdout

    def tell(line: str) -> None:
        print(line, file=terminal, flush=True)

    if not job.beside:
        yield tell
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nothing,
        redirect_stdout(nothing),
        redirect_stderr(nothing),
    ):
        yield tell


def _stop(number: int, frame: FrameType | None = None) -> NoReturn:
    """Between two jobs of a sweep, also while one starts."""
    print(f"stopped: {signal.Signals(number).name} between two jobs; the same command resumes", flush=True)
    sys.exit(STOPPED_STATUS)


def _described(job: SweepJob) -> str:
    return " ".join(f"{key}={value}" for key, value in job.swept.items())
