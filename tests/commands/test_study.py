"""A search for settings on curves instead of trainings: what is found, pruned, failed, resumed, refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from seq2seq.commands.study import Study, report
from seq2seq.commands.sweep import Outcome, Pruned
from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.runs.table import Run
from seq2seq.settings.compose import Dimension, search_space
from seq2seq.settings.schema import TrainerConfig, TuneConfig

Curve = Callable[[dict[str, str]], Sequence[float]]
SPACE = search_space(["attention=luong,bahdanau", "optimizer.lr=tag(log,interval(1e-3,1))"])
Ended = tuple[dict[str, str], str, float]


@pytest.fixture
def settings(tmp_path: Path) -> TuneConfig:
    return TuneConfig(trainer=TrainerConfig(), runs_dir=str(tmp_path), trials=12, startup=3)


def search(
    settings: TuneConfig, curve: Curve, space: dict[str, Dimension] = SPACE, most: int = 10**9
) -> list[Ended]:
    """Run ``most`` trials, each with the values that ``curve`` has for its settings; gives all that have ended."""
    study = Study(settings, space)
    while most and (numbers := study.next()):
        most -= 1
        for number in numbers:
            study.tell(number, outcome_of(settings, number, curve(study.params(number)), study.params(number)))
    return [(dict(one.row.choices), one.row.state, one.value) for one in study.outcomes()]


def outcome_of(settings: TuneConfig, number: int, values: Sequence[float], params: dict[str, str]) -> Outcome:
    row = Run(" ".join(params.values()), params)
    if not values:
        return Outcome(row._replace(state="failed"), math.nan, remark="diverged")
    for epoch, value in enumerate(values[:-1], 1):
        try:
            report(settings, number, epoch, value)
        except Pruned as pruned:
            return Outcome(row._replace(state="pruned"), math.nan, remark=str(pruned))
    return Outcome(row, values[-1])


def near(params: dict[str, str]) -> float:
    """How near the rate is to 0.03, at most 100; Bahdanau is better."""
    return 100 - 40 * abs(math.log10(float(params["optimizer.lr"]) / 0.03)) - 50 * (params["attention"] == "luong")


def rising(params: dict[str, str]) -> list[float]:
    return [near(params) * share for share in (0.2, 0.5, 1.0)]


def test_good_settings_are_found(settings: TuneConfig) -> None:
    ended = search(replace(settings, trials=30, prune_after=None), lambda params: [near(params)])
    assert len(ended) == 30
    assert max(value for *_, value in ended) > 95
    late = [params["attention"] for params, *_ in ended[10:]]
    assert late.count("bahdanau") > 0.6 * len(late)
    losses = replace(settings, runs_dir=f"{settings.runs_dir}/x", trainer=TrainerConfig(metric="loss"), trials=30)
    Path(losses.runs_dir).mkdir()
    late = [params["attention"] for params, *_ in search(losses, lambda params: [near(params)])[10:]]
    assert late.count("luong") > 0.6 * len(late)


def test_trials_below_the_median_are_pruned(settings: TuneConfig) -> None:
    """Of those that have finished, once these are 3."""
    finished: list[float] = []
    ended = search(settings, rising)
    for params, state, _ in ended:
        worse = len(finished) >= 3 and near(params) < median(finished)
        assert state == ("pruned" if worse else "finished")
        if not worse:
            finished.append(near(params))
    assert 0 < len(finished) < 12


@pytest.mark.parametrize(("prune_after", "epochs"), [(None, {1, 2}), (3, {1, 2}), (2, {1, 2})])
def test_nothing_is_pruned_before_its_time(
    settings: TuneConfig, prune_after: int | None, epochs: set[int]
) -> None:
    ended = search(replace(settings, prune_after=prune_after, trials=20), rising)
    assert ("pruned" in [state for _, state, _ in ended]) == (prune_after == 2)


def test_failed_trials_and_scores_that_are_no_numbers_do_not_end_the_search(settings: TuneConfig) -> None:
    curves = {"1": [1.0, 2.0], "2": [], "3": [math.nan, math.nan]}
    space = search_space(["seed=1,2,3"])
    search(settings, lambda params: curves[params["seed"]], space)
    study = Study(settings, space)
    assert study.next() == []
    found = {one.row.choices["seed"]: one for one in study.outcomes()}
    assert [found[seed].row.state for seed in "123"] == ["finished", "failed", "failed"]
    assert [found[seed].remark for seed in "123"] == ["", "diverged", "3: bleu is not a number"]


def test_a_search_that_is_interrupted_goes_on_as_if_it_had_not_been(settings: TuneConfig, tmp_path: Path) -> None:
    """Between two trials, in a trial, and in one that has already been validated."""
    undisturbed = search(settings, rising)
    other = replace(settings, runs_dir=str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    assert search(other, rising, most=2) == undisturbed[:2]
    (number,) = Study(other, SPACE).next()
    report(other, number, 1, rising(Study(other, SPACE).params(number))[0])
    assert Study(other, SPACE).next() == [number] == [2]
    assert search(other, rising) == undisturbed
    assert search(other, rising) == undisturbed
    assert search(replace(other, trials=13), rising)[:12] == undisturbed


def test_trials_side_by_side_are_consecutive_and_differ(settings: TuneConfig) -> None:
    study = Study(replace(settings, jobs=4, trials=10), search_space(["seed=1,2"]))
    told: list[int] = []
    while numbers := study.next():
        assert numbers == [*range(len(told), len(told) + len(numbers))]
        assert len({study.params(number)["seed"] for number in numbers}) == len(numbers) <= 4
        for number in numbers:
            study.tell(number, Outcome(Run("", study.params(number)), 1.0))
        told += numbers
    assert told == [*range(10)]


def test_whole_numbers_and_four_digits(settings: TuneConfig) -> None:
    space = search_space(
        ["model.encoder_size=interval(16,64)", "optimizer.lr=interval(0.001,0.1)", "name='a,b',c"]
    )
    params = [params for params, *_ in search(settings, lambda params: [1.0], space)]
    assert {type(int(one["model.encoder_size"])) for one in params} == {int}
    assert all(len(one["optimizer.lr"].strip("0.")) <= 4 for one in params)
    assert {one["name"] for one in params} == {"'a,b'", "c"}
    with pytest.raises(ConfigError, match=r"^optimizer.lr=interval\(1,0.1\): "):
        Study(settings, search_space(["optimizer.lr=interval(1,0.1)"]))


def test_another_search_in_the_same_directory_is_refused(settings: TuneConfig) -> None:
    search(settings, rising, most=1)
    search(replace(settings, trials=2, jobs=2, startup=9), rising, most=1)  # these may change
    message = r"study.journal holds a search with other settings \(seed 1 → 2\): choose another runs_dir=$"
    with pytest.raises(ConfigError, match=message):
        Study(replace(settings, seed=2), SPACE)
    other = search_space(["attention=luong,bahdanau", "optimizer.lr=interval(1e-3,1)"])
    with pytest.raises(ConfigError, match=r"\(optimizer.lr FloatDistribution\(.*log=True.* → .*log=False"):
        Study(settings, other)


def test_a_damaged_study_is_one_line(settings: TuneConfig) -> None:
    search(settings, rising, most=1)
    journal = Path(settings.runs_dir) / "study.journal"
    journal.write_text("{}\n" + journal.read_text())
    with pytest.raises(CheckpointError, match=r"study\.journal: damaged, or of another version of Optuna"):
        Study(settings, SPACE)
