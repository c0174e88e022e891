"""Tables of what runs have written: several runs, or the validations of one run. Imports no torch."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seq2seq.errors import CheckpointError
from seq2seq.runs.layout import BEST, CONFIG, EVALUATIONS, INFO, LAST, NO_CHOICES, REPORTING, RESULT, ROWS, SCORES
from seq2seq.runs.rows import read_rows
from seq2seq.settings.reference import flattened
from seq2seq.settings.schema import LOWER_IS_BETTER, written
from seq2seq.tables import table

logger = logging.getLogger(__name__)

UNINTERESTING = (*NO_CHOICES, *REPORTING, "machine.device", "machine.num_threads", "decode.workers")
NAMES = {"bleu": "BLEU", "chrf": "chrF"}  # of metrics, for people
MOST_VALIDATIONS = 20  # in a table


class Run(NamedTuple):
    """A row of the table of runs."""

    name: str
    choices: Mapping[str, str]  # full key → value
    scores: Mapping[str, float] = {}  # heading → value
    updates: float | None = None
    seconds: float | None = None
    state: str = "finished"


def valid_heading(metric: str) -> str:
    """The heading of the column with the best value of a validation metric."""
    return f"valid {NAMES.get(metric, metric)}"


def find_runs(path: Path) -> list[Path]:
    """The run ``path``, or the runs in that directory; a warning names each directory in it that is not a run.

    Raises:
        CheckpointError: there is no such directory.
    """
    if (path / CONFIG).exists():
        return [path]
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory; give a run, or a directory that holds runs")
    directories = [inner for inner in sorted(path.iterdir()) if inner.is_dir() and inner.name[0] != "."]
    for directory in directories:
        if any(directory.glob(f"*/{CONFIG}")) and not (directory / CONFIG).exists():
            logger.warning("%s: holds runs of its own; seq2seq runs %s shows them", directory, directory)
        elif not (directory / CONFIG).exists():
            logger.warning("%s: not a run, since it has no %s", directory, CONFIG)
    return [directory for directory in directories if (directory / CONFIG).exists()]


def read_run(path: Path, metrics: Sequence[str] = ("bleu",)) -> Run:
    """A run, or a copy of its best/, with the validation scores ``metrics`` and the BLEU of its test sets.

    Raises:
        CheckpointError: its settings can't be read. Other files that can't be read give a warning.
    """
    result, last = _json(path / RESULT), _json(path / LAST / INFO)
    best = _json(path / BEST / INFO) or _json(path / INFO)
    values = _numbers(result.get("best") or best.get("metrics"))
    scores = {valid_heading(name): values[name] for name in metrics if name in values}
    for file in sorted([*path.glob(f"{EVALUATIONS}/*.json"), *path.glob(f"{EVALUATIONS}/*/{SCORES}")]):
        bleu = _numbers(_table(_table(_json(file).get("scores")).get("BLEU")))
        if "value" in bleu:
            scores[f"{file.parent.name if file.name == SCORES else file.stem} BLEU"] = bleu["value"]
    end = _numbers(result or last or best)
    updates = end.get("steps", end.get("step"))
    return Run(path.name, _read_choices(path / CONFIG), scores, updates, end.get("seconds"), _state(path, result))


def _state(path: Path, result: Mapping[str, Any]) -> str:
    if result:
        return "finished"
    return "unfinished" if (path / LAST).exists() else "checkpoint" if (path / INFO).exists() else "not begun"


def _read_choices(path: Path) -> dict[str, str]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: can't be read ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: not a table of settings")
    return {key: written(value) for key, value in flattened(config) if not key.startswith(UNINTERESTING)}


def _json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one if there is no file or, with a warning, if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        logger.warning("%s: can't be read (%s)", path, " ".join(str(error).split())[:120])
        return {}
    return _table(content)


def _table(content: object) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _numbers(content: object) -> dict[str, float]:
    """The numbers of a table; JSON has those that are not finite as texts."""
    return {
        key: float(value) if isinstance(value, str) else value
        for key, value in _table(content).items()
        if isinstance(value, int | float) or value in ("nan", "inf", "-inf")
    }


def table_of_runs(runs: Iterable[Run], metric: str, width: int | None = None) -> list[str]:
    """The lines of a table of runs, best first: the settings that differ, the scores, updates, time and state.

    Args:
        runs: in any order.
        metric: heading of the score that they are ranked by; runs without it come last.
        width: characters of a line; choices that do not fit are named below.
    """
    runs = sorted(runs, key=lambda run: (*_rank(run.scores.get(metric), metric), run.name))
    differing = differing_choices(runs)
    headings = {key: _short(key, differing) for key in differing}
    lines, hidden = _lines(runs, {}), []
    shown: dict[str, list[str | None]] = {}
    for key, values in differing.items():
        wider = _lines(runs, {**shown, headings[key]: values})
        if width is None or max(map(len, wider)) <= width:
            lines, shown = wider, {**shown, headings[key]: values}
        else:
            hidden.append(key)
    return [*lines, "", f"too wide for this terminal: {', '.join(hidden)}"] if hidden else lines


def differing_choices(runs: Sequence[Run]) -> dict[str, list[str | None]]:
    """Full key → its value in each run, for the settings that runs differ in."""
    choices = {key: [run.choices.get(key) for run in runs] for run in runs for key in run.choices}
    return {key: values for key, values in choices.items() if len({*values} - {None}) > 1}


def _rank(value: float | None, metric: str) -> tuple[bool, float]:
    """A sort key that puts the best value first and missing or NaN values last."""
    if value is None or math.isnan(value):
        return (True, 0.0)
    return (False, value if metric.split()[-1] in LOWER_IS_BETTER else -value)


def _short(key: str, keys: Iterable[str]) -> str:
    """The last part of a key, or the whole key if that is not unique; for an option, the name of its group."""
    if key.endswith(".name"):
        return key.removesuffix(".name")
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in keys) > 1 else last


def _lines(runs: Sequence[Run], choices: Mapping[str, Sequence[str | None]]) -> list[str]:
    scores = dict.fromkeys(heading for run in runs for heading in run.scores)
    columns = {"run": ("<", [run.name for run in runs])}
    columns |= {heading: ("<", [value or "" for value in values]) for heading, values in choices.items()}
    columns |= {heading: (">", [number(run.scores.get(heading)) for run in runs]) for heading in scores}
    columns["updates"] = (">", ["" if run.updates is None else f"{run.updates:,.0f}" for run in runs])
    columns["time"] = (">", ["" if run.seconds is None else duration(run.seconds) for run in runs])
    columns["state"] = ("<", [run.state for run in runs])
    filled = {heading: column for heading, column in columns.items() if any(column[1])}
    rows = zip(*(cells for _, cells in filled.values()), strict=True)
    return table([tuple(filled), *rows], "".join(side for side, _ in filled.values()))


def number(value: float | str | None) -> str:
    """A score in two decimals."""
    return "" if value is None else f"{float(value):.2f}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def table_of_validations(path: Path, best: Mapping[str, float], best_step: int) -> list[str]:
    """The lines of a table of a run's validations, with the best marked; of many, only the last and the best."""
    rows, cut = validations(path, best, best_step)
    left_out = [f"({cut} earlier validations are in {path / ROWS})"] if cut else []
    return [*table(rows, ">>>>>><"), *left_out]


def validations(path: Path, best: Mapping[str, float], best_step: int) -> tuple[list[tuple[str, ...]], int]:
    """The headings and rows of that table, and how many validations before the last ones it may leave out."""
    rows = [row for row in read_rows(path / ROWS) if row["kind"] in ("valid", "average")]
    marked = [
        row["step"] == best_step and all(float(row.get(name, math.nan)) == value for name, value in best.items())
        for row in rows
    ]
    cut = max(0, len(rows) - MOST_VALIDATIONS)
    shown = [
        (
            "average" if row["kind"] == "average" else f"{row['step']:,}",
            str(row.get("epoch", "")),
            *(f"{float(row['loss']):.3f}", number(row["ppl"]), number(row["bleu"]), number(row["chrf"])),
            "best" if is_best else "",
        )
        for i, (row, is_best) in enumerate(zip(rows, marked, strict=True))
        if is_best or i >= cut
    ]
    return [("update", "epoch", "loss", "ppl", "BLEU", "chrF", ""), *shown], cut
