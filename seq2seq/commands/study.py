"""A search for settings, kept in a file of Optuna's. Only this module imports Optuna."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from pathlib import Path

from seq2seq.commands.sweep import Outcome, Pruned
from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.runs.layout import NO_CHOICES, REPORTING
from seq2seq.settings.compose import Dimension
from seq2seq.settings.reference import known_leaves
from seq2seq.settings.schema import LOWER_IS_BETTER, TuneConfig, flat, written

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import Trial, TrialState
except ModuleNotFoundError:
    raise ConfigError("seq2seq tune needs Optuna: pip install 'seq2seq-nmt[sweeps]'") from None

FILE = "study.journal"  # text, a line for each change
NAME = "tune"  # of the one study in the file
FREE = (*NO_CHOICES, *REPORTING, "machine.", "decode.workers", "trials", "jobs", "startup", "prune_after")
"""Beginnings of settings that may change while the search goes on."""


class Study:
    """The trials of a search. A trial is known by its number."""

    def __init__(self, settings: TuneConfig, space: Mapping[str, Dimension]) -> None:
        """Open the study in ``settings.runs_dir``, or begin it there.

        Raises:
            ConfigError: that study has another search space, or other settings.
        """
        self._settings = settings
        self._distributions = {key: _distribution(key, dimension) for key, dimension in space.items()}
        self._study = _opened(settings)
        given = {key: written(value) for key, value in flat(settings).items() if not key.startswith(FREE)}
        given |= {key: repr(distribution) for key, distribution in self._distributions.items()}
        made = self._study.user_attrs.get("made_with")
        if made is None:
            self._study.set_user_attr("made_with", given)
        elif changes := [key for key in {**made, **given} if made.get(key) != given.get(key)]:
            raise ConfigError(
                f"{Path(settings.runs_dir) / FILE} holds a search with other settings "
                f"({', '.join(f'{key} {made.get(key)} → {given.get(key)}' for key in changes[:3])}): "
                "choose another runs_dir="
            )

    def next(self) -> list[int]:
        """Trials to run now, consecutive and all different: what an earlier process has left, else new ones."""
        running = [trial.number for trial in self._study.get_trials(states=(TrialState.RUNNING,))]
        new = min(self._settings.jobs, self._settings.trials - len(self._study.trials))
        batch: list[int] = []
        for number in running or [self._ask() for _ in range(new)]:
            known = [self.overrides(earlier) for earlier in batch]
            if len(batch) == self._settings.jobs or (batch and number > batch[-1] + 1):
                break
            if self.overrides(number) in known:  # it finds a finished run when its turn comes
                break
            batch.append(number)
        return batch

    def _ask(self) -> int:
        # Each trial has a seed of its own: a search that was interrupted goes on as if it had not been.
        seed = (self._settings.seed + len(self._study.trials)) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._settings.startup)
        return self._study.ask(self._distributions).number

    def overrides(self, number: int) -> list[str]:
        """The settings of a trial, numbers in four digits."""
        return [f"{key}={value}" for key, value in self.params(number).items()]

    def params(self, number: int) -> dict[str, str]:
        """Key → value in a trial."""
        params = self._study.get_trials(deepcopy=False)[number].params
        return {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in params.items()}

    def tell(self, number: int, outcome: Outcome) -> None:
        """Record how a trial has ended. Failed and pruned ones, and those without a score, have no value."""
        if outcome.row.state == "finished" and math.isnan(outcome.value):
            row = outcome.row._replace(state="failed")
            remark = f"{row.name}: {self._settings.trainer.metric} is not a number"
            outcome = outcome._replace(row=row, remark=remark)
        self._study.set_user_attr(f"outcome {number}", outcome.saved())
        state = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}.get(outcome.row.state)
        self._study.tell(number, None if state else outcome.value, state)

    def outcomes(self) -> list[Outcome]:
        """How the trials have ended."""
        saved = [self._study.user_attrs.get(f"outcome {trial.number}") for trial in self._study.trials]
        found = [Outcome.read(one) for one in saved if one]
        return [*{one.row.name or i: one for i, one in enumerate(found)}.values()]  # a run tried again is one run


def report(settings: TuneConfig, number: int, when: int, value: float) -> None:
    """Record what a validation of a trial has found.

    Raises:
        Pruned: it is worse than the median of the finished trials then.
    """
    if math.isnan(value):
        return
    study = _opened(settings)
    storage = study._storage
    study_id = storage.get_study_id_from_name(NAME)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    trial = Trial(study, trial_id)
    if when not in storage.get_trial(trial_id).intermediate_values:  # else a resumed run repeats an epoch
        trial.report(value, when)
    if trial.should_prune():
        metric, unit = settings.trainer.metric, settings.trainer.validate_unit.removesuffix("s")
        raise Pruned(f"pruned at {unit} {when}: {metric} {value:.2f} is worse than the median of finished trials")


def _opened(settings: TuneConfig) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = Path(settings.runs_dir) / FILE
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if settings.prune_after is not None:
        pruner = optuna.pruners.MedianPruner(settings.startup, settings.prune_after)
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            pruner=pruner,
            study_name=NAME,
            direction="minimize" if settings.trainer.metric in LOWER_IS_BETTER else "maximize",
            load_if_exists=True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, or of another version of Optuna ({error}); remove it") from None


def _distribution(key: str, dimension: Dimension) -> BaseDistribution:
    if dimension.bounds is None:
        return CategoricalDistribution(dimension.values)
    low, high = dimension.bounds
    kind = known_leaves(TuneConfig)[key].type
    try:
        if int in (kind, *typing.get_args(kind)):
            return IntDistribution(int(low), int(high), log=dimension.is_log)
        return FloatDistribution(low, high, log=dimension.is_log)
    except ValueError as error:
        raise ConfigError(f"{key}=interval({low:g},{high:g}): {error}") from None
