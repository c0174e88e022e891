"""Tables of runs and of validations, from files as runs write them and as they never should."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from seq2seq.errors import CheckpointError
from seq2seq.runs.table import Run, find_runs, read_run, table_of_runs, table_of_validations

BEST = {"loss": 1.25, "ppl": 3.5, "bleu": 41.234, "chrf": 60.0}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def new_run(path: Path, result: bool = True, **settings: Any) -> Path:
    """A finished run, or one that was stopped."""
    write(path / "config.yaml", {"name": path.name, "runs_dir": "x", "trainer": {"log_every": 1}, **settings})
    write(path / "best" / "checkpoint.json", {"step": 40, "epoch": 1, "metrics": BEST})
    write(path / "last" / "checkpoint.json", {"step": 1500, "epoch": 2, "metrics": BEST})
    if result:
        write(path / "result.json", {"best": BEST, "best_step": 40, "steps": 2000, "seconds": 3725.4})
    return path


def test_choices_that_differ_and_the_best_first() -> None:
    runs = [
        Run("a", {"seed": "1", "optimizer.lr": "0.1", "model.size": "8"}, {"valid BLEU": 1.0}, 1200, 59.6),
        Run("b", {"seed": "2", "attention.size": "9"}, {"valid BLEU": 10.5, "test BLEU": 9.0}),
        Run("c", {"seed": "1"}, state="failed"),
        Run("d", {"seed": "1"}, {"valid BLEU": math.nan}),
    ]  # fmt: skip
    assert table_of_runs(runs, "valid BLEU") == [
        "run  seed  valid BLEU  test BLEU  updates     time  state",
        "b    2          10.50       9.00                    finished",
        "a    1           1.00               1,200  0:01:00  finished",
        "c    1                                              failed",
        "d    1            nan                               finished",
    ]


def test_loss_is_better_lower() -> None:
    runs = [Run(name, {}, {"valid loss": value}) for name, value in [("a", 2.0), ("b", math.inf), ("c", 1.0)]]
    assert [line.split()[0] for line in table_of_runs(runs, "valid loss")] == ["run", "c", "a", "b"]


def test_numbers_that_are_not_finite_are_texts_in_json(tmp_path: Path) -> None:
    path = new_run(tmp_path / "run")
    write(path / "result.json", {"best": {"ppl": "inf", "loss": "nan", "bleu": "best"}, "steps": 3})
    scores = read_run(path, ("ppl", "loss", "bleu")).scores
    assert {name: str(value) for name, value in scores.items()} == {"valid ppl": "inf", "valid loss": "nan"}


def test_headings_tell_settings_apart() -> None:
    one, other = (
        {"attention.name": a, "optimizer.name": b, "model.size": c, "attention.size": c}
        for a, b, c in [("luong", "adam", "1"), ("bahdanau", "adamw", "2")]
    )
    heading = table_of_runs([Run("a", one), Run("b", other)], "valid BLEU")[0]
    assert heading.split() == ["run", "attention", "optimizer", "model.size", "attention.size", "state"]


@pytest.mark.parametrize(("width", "shown"), [(None, "a b c"), (42, "a b c"), (38, "a c"), (17, "a"), (16, "")])
def test_what_does_not_fit_is_named_below(width: int | None, shown: str) -> None:
    runs = [Run(f"run{i}", {"a": f"{i}", "b": f"{i}" * 20, "c": f"{i}"}) for i in range(2)]
    lines = table_of_runs(runs, "valid BLEU", width)
    assert lines[0].split() == ["run", *shown.split(), "state"]
    hidden = [key for key in "abc" if key not in shown]
    assert lines[3:] == (["", f"too wide for this terminal: {', '.join(hidden)}"] if hidden else [])
    assert width is None or max(map(len, lines[:3])) <= width


def test_a_run_is_read(tmp_path: Path) -> None:
    path = new_run(tmp_path / "mine", seed=3, optimizer={"lr": 1e-5, "clip": None, "fused": True})
    write(path / "evaluation" / "test_beam-1" / "scores.json", {"scores": {"BLEU": {"value": 38.5}}})
    write(path / "evaluation" / "old.json", {"name": "old", "scores": {"BLEU": {"value": 37.0}, "TER": 1}})
    choices = {"seed": "3", "optimizer.lr": "1e-05", "optimizer.clip": "null", "optimizer.fused": "true"}
    scores = {"valid BLEU": 41.234, "old BLEU": 37.0, "test_beam-1 BLEU": 38.5}
    assert read_run(path) == Run("mine", choices, scores, 2000, 3725.4, "finished")
    assert read_run(path, ["ppl", "bleu"]).scores == {"valid ppl": 3.5, **scores}
    stopped = read_run(new_run(tmp_path / "stopped", result=False))
    assert stopped == Run("stopped", {}, {"valid BLEU": 41.234}, 1500, None, "unfinished")
    copy = (path / "best").rename(tmp_path / "copy")
    write(copy / "config.yaml", {"seed": 3})
    assert read_run(copy) == Run("copy", {"seed": "3"}, {"valid BLEU": 41.234}, 40, None, "checkpoint")


@pytest.mark.parametrize("content", ["{", "[]", "null", "7", '{"best": 1, "metrics": [], "scores": {"BLEU": 2}}'])
def test_damaged_files_of_a_run_leave_the_rest(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = new_run(tmp_path / "mine", seed=3)
    for name in ("result.json", "best/checkpoint.json", "evaluation/test/scores.json"):
        write(path / name, content)
    run = read_run(path)
    assert (run.choices, run.scores) == ({"seed": "3"}, {})
    assert [said.partition(": ")[2][:13] for said in caplog.messages] == ["can't be read"] * (
        3 if content == "{" else 0
    )


@pytest.mark.parametrize("content", ["a: [", "just words", "", "\x00", "!!python/object/apply:os.getcwd []"])
def test_settings_that_can_not_be_read(tmp_path: Path, content: str) -> None:
    write(tmp_path / "run" / "config.yaml", content)
    with pytest.raises(CheckpointError, match=r"run/config\.yaml: (can't be read|not a table)"):
        read_run(tmp_path / "run")


def test_runs_are_searched_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    runs = [new_run(tmp_path / name) for name in ("b", "a")]
    (tmp_path / "foreign").mkdir()
    (tmp_path / ".hidden").mkdir()
    within = tmp_path / "within"
    new_run(within / "c")
    write(tmp_path / "multirun.yaml", "a: 1")
    assert find_runs(tmp_path) == runs[::-1]
    assert caplog.messages == [
        f"{tmp_path / 'foreign'}: not a run, since it has no config.yaml",
        f"{within}: holds runs of its own; seq2seq runs {within} shows them",
    ]
    assert find_runs(runs[0]) == [runs[0]]
    with pytest.raises(CheckpointError, match="nothing: no such directory"):
        find_runs(tmp_path / "nothing")


def validation(step: int, kind: str = "valid", **more: object) -> dict[str, object]:
    return {"step": step, "kind": kind, "loss": 1.0, "ppl": "inf", "bleu": step / 2, "chrf": 7, **more}


def test_validations(tmp_path: Path) -> None:
    rows = [{"step": 5, "kind": "train", "loss": 9.0}, validation(1000, epoch=1), validation(2000)]
    rows.append(validation(2000, "average", bleu=1200.0, epoch=2))
    write(tmp_path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    best = {"loss": 1.0, "ppl": math.inf, "bleu": 1200.0, "chrf": 7}
    assert table_of_validations(tmp_path, best, 2000) == [
        " update  epoch   loss  ppl     BLEU  chrF",
        "  1,000      1  1.000  inf   500.00  7.00",
        "  2,000         1.000  inf  1000.00  7.00",
        "average      2  1.000  inf  1200.00  7.00  best",
    ]


def test_many_validations_are_cut(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", "".join(json.dumps(validation(step)) + "\n" for step in range(1, 41)))
    best = {"loss": 1.0, "ppl": math.inf, "bleu": 1.5, "chrf": 7}
    lines = table_of_validations(tmp_path, best, 3)
    assert [line.split()[0] for line in lines[1:-1]] == ["3", *map(str, range(21, 41))]
    assert [line.split()[-1] for line in lines[1:3]] == ["best", "7.00"]
    assert lines[-1] == f"(20 earlier validations are in {tmp_path / 'metrics.jsonl'})"
