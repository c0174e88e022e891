"""`seq2seq tune`: search for good settings."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.commands import frame
from seq2seq.commands.explain import killed, one_line
from seq2seq.commands.sweep import Outcome, Sweep
from seq2seq.commands.train import train
from seq2seq.errors import ConfigError
from seq2seq.runs.table import Run
from seq2seq.settings.compose import Dimension, Launch, SweepJob, launcher, search_space
from seq2seq.settings.schema import TrainConfig, TuneConfig, as_run
from seq2seq.storage.lock import locked

if TYPE_CHECKING:
    from seq2seq.commands.study import Study

NOT_SEARCHED = ("runs_dir", "trainer.metric", "trials", "jobs", "startup", "prune_after")


def main() -> None:
    """Run the command. Its own settings are composed with the first value of each that is searched over."""
    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    with frame.user_errors(TuneConfig):
        space = search_space(given)
        if refused := [key for key in space if key in NOT_SEARCHED]:
            raise ConfigError(f"{refused[0]}: takes one value; it can't be searched over")
    fixed = [argument for argument in sys.argv[1:] if argument.partition("=")[0] not in space]
    sys.argv[1:] = [*fixed, *(f"{key}={dimension.values[0]}" for key, dimension in space.items())]
    frame.run("tune", partial(tune, space=space, given=given), TuneConfig)


def tune(settings: TuneConfig, space: Mapping[str, Dimension], given: Sequence[str]) -> None:
    """Run trials, some side by side, until there are ``settings.trials``; earlier ones in runs_dir count.

    Raises:
        ConfigError: nothing is searched over, or runs_dir holds another search.
    """
    from seq2seq.commands.study import Study

    if not space:
        raise ConfigError("nothing to search over: give KEY=A,B or 'KEY=interval(LOW,HIGH)'; seq2seq tune --help")
    runs_dir = Path(settings.runs_dir)
    runs_dir.mkdir(parents=True, exist_ok=True)
    with locked(runs_dir / ".tune.lock"):
        trials = Trials(settings, given)
        launch = launcher("tune", _fixed(settings, space, given), partial(frame.one_of, trials), _samples(space))
        study = Study(settings, space)
        with trials.launching(study.outcomes):
            while not trials.stopped and (numbers := study.next()):
                _try(study, trials, launch, numbers)


def _try(study: Study, trials: Trials, launch: Launch, numbers: list[int]) -> None:
    """Run trials side by side, and record how they end. Those that one has taken with it are tried again alone."""
    lost = _launched(launch, [study.overrides(number) for number in numbers], numbers[0])
    if lost:
        trials.forget_processes()
    for number in numbers:
        if outcome := trials.outcome(number):
            study.tell(number, outcome)
        elif trials.stopped or not lost:
            continue
        elif len(numbers) > 1:
            _try(study, trials, launch, [number])
        else:
            row = Run("", study.params(number), state="failed")
            study.tell(number, Outcome(row, math.nan, remark=f"{' '.join(study.overrides(number))}: {lost}"))


def _launched(launch: Launch, jobs: list[list[str]], first: int) -> str | None:
    """Run ``jobs``; returns what there is to say if the process of one was killed."""
    try:
        for job in launch(jobs, first):
            _ = job.return_value  # or the error that was no error of the job
    except Exception as error:
        if not killed(error):
            raise
        return one_line(error, TuneConfig)
    return None


def _samples(space: Mapping[str, Dimension]) -> list[list[str]]:
    """Settings in which each value occurs."""
    first = {key: dimension.values[0] for key, dimension in space.items()}
    samples = [{**first, key: value} for key, dimension in space.items() for value in dimension.values]
    return [[f"{key}={value}" for key, value in sample.items()] for sample in samples]


class Trials(Sweep):
    """The trials as jobs of a sweep."""

    def __init__(self, settings: TuneConfig, overrides: Sequence[str]) -> None:
        super().__init__(train, TuneConfig, overrides)
        self._settings = settings

    def run(self, job: SweepJob, load: Callable[[], Any]) -> float:
        return super().run(job, lambda: as_run(load()))

    def _value(self, settings: TrainConfig, job: SweepJob) -> float:
        from seq2seq.commands.study import report

        return train(settings, on_validation=partial(report, self._settings, job.number))


def _fixed(settings: TuneConfig, space: Mapping[str, Dimension], given: Sequence[str]) -> list[str]:
    """What all trials have in common, and the launcher."""
    beside = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={settings.jobs}"]
    chosen = settings.jobs == 1 or any(one.startswith("hydra/launcher=") for one in given)
    return [one for one in given if one.partition("=")[0] not in space] + ([] if chosen else beside)
