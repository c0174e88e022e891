"""A sweep (-m): every job is run, even if others fail, and a table at the end compares them."""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any, NoReturn

from seq2seq.commands.explain import one_line
from seq2seq.commands.runs import terminal_width
from seq2seq.runs.layout import run_path, sweep_name
from seq2seq.runs.table import Run, read_run, table_of_runs, valid_heading
from seq2seq.settings.compose import SweepJob
from seq2seq.settings.schema import TrainConfig
from seq2seq.signals import STOPPED_STATUS, handled

logger = logging.getLogger(__name__)
BLEU = "BLEU"


class Sweep:
    """The jobs of a sweep and their results."""

    def __init__(self, task: Callable[[Any], Any], schema: type) -> None:
        self._task, self._schema = task, schema
        self._ranked_by = BLEU  # heading of a column
        self.between_jobs = ExitStack()  # holds what signals do there
        self.rows: list[Run] = []
        self.failures: list[str] = []

    def run(self, job: SweepJob, load: Callable[[], Any]) -> float:
        """Run one job, whose settings ``load`` gives; returns its score, NaN if the job failed."""
        row = Run("", job.swept, state="failed")
        try:
            settings = load()
            row = row._replace(name=self._name(settings, job))
            value = self._task(settings)
            row = self._finished(settings, row, value)
        except BrokenPipeError:  # nobody reads our output
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code != 1:  # asked to stop by a signal
                raise
            self._fail(job, error)
            value = math.nan
        if not self.rows and self._schema is TrainConfig:
            self.between_jobs.enter_context(handled(_stop))
        self.rows.append(row)
        return math.nan if value is None else float(value)

    def _name(self, settings: Any, job: SweepJob) -> str:
        if type(settings) is not TrainConfig:
            return str(getattr(settings, "run", ""))
        settings.name = sweep_name(settings, job.swept, job.name)
        print(f"{_described(job)}: {run_path(settings)}", flush=True)
        return str(settings.name)

    def _finished(self, settings: Any, row: Run, value: float | None) -> Run:
        if type(settings) is not TrainConfig:
            return row._replace(scores={} if value is None else {BLEU: value}, state="finished")
        self._ranked_by = valid_heading(settings.trainer.metric)
        metrics = dict.fromkeys([settings.trainer.metric, "bleu"])
        return read_run(run_path(settings), [*metrics])._replace(choices=row.choices)

    def _fail(self, job: SweepJob, error: BaseException) -> None:
        message = one_line(error, self._schema) if isinstance(error, Exception) else "ended with status 1"
        if message is None:
            message = f"{type(error).__name__}: {error}"
            logger.error("%s:", _described(job), exc_info=error)
        title = _described(job)
        self.failures.append(message if message.startswith(title) else f"{title}: {message}")
        print(f"error: {self.failures[-1]}", file=sys.stderr, flush=True)

    def report(self) -> str:
        """The table, with the best job first, and the errors of failed jobs."""
        failed = [f"failed: {failure}" for failure in self.failures]
        return "\n".join(["", *table_of_runs(self.rows, self._ranked_by, terminal_width()), *failed])


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Between the first job of a sweep and its last, also while one starts."""
    print(f"stopped: {signal.Signals(number).name} between two jobs; the same command resumes", flush=True)
    sys.exit(STOPPED_STATUS)


def _described(job: SweepJob) -> str:
    return " ".join(f"{key}={value}" for key, value in job.swept.items())
