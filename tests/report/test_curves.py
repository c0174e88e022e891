"""The picture of a run's curves has the points that were written down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from reversals import new_trainer, overrides, rows, write_reversals

from seq2seq.report.curves import PANELS, curves, described, draw_curves, figures

pytestmark = pytest.mark.drawn
POINTS = [
    {"kind": "train", "step": 10, "loss": 3.0, "lr": 1e-3, "tokens_per_second": 4000.0},
    {"kind": "valid", "step": 10, "loss": 2.5, "bleu": 1.5, "chrf": 20.0},
    {"kind": "train", "step": 20, "loss": "inf", "lr": 2e-3},
    {"kind": "valid", "step": 20, "loss": 2.0, "bleu": 9.5, "chrf": 30.0},
    {"kind": "best", "step": 20, "bleu": 9.5},  # as an earlier version wrote
]


def test_each_panel_has_its_curves() -> None:
    figure = curves(POINTS, "my_run $x$")
    loss, score, rate, speed = figure.axes
    assert loss.get_title() == "my_run $x$"
    drawn = [{line.get_label(): line.get_xydata().tolist() for line in axes.lines} for axes in figure.axes]
    assert drawn[0]["training"][0] == [10, 3.0]
    assert drawn[0]["training"][1][1] != drawn[0]["training"][1][1]  # infinite: a gap
    assert drawn[0]["validation"] == [[10, 2.5], [20, 2.0]]
    assert drawn[1] == {"BLEU": [[10, 1.5], [20, 9.5]], "chrF": [[10, 20.0], [20, 30.0]]}
    assert drawn[2] == {"lr": [[10, 1e-3], [20, 2e-3]]}
    assert drawn[3] == {"tokens per second": [[10, 4000.0]]}
    assert [bool(axes.get_legend()) for axes in (loss, score, rate, speed)] == [True, True, False, False]


def test_a_panel_without_points_is_left_out() -> None:
    """As those of training are where nothing was trained; before the first point all panels are there, empty."""
    labels = [[axes.get_ylabel() for axes in curves(points, "a run").axes] for points in (POINTS[1:2], [])]
    assert labels == [["loss, nats a token", "score"], [*PANELS]]


def test_a_page_says_in_words_what_its_figures_show() -> None:
    assert described(POINTS, "score") == "score, over updates: BLEU from 1.5 to 9.5; chrF from 20 to 30"
    assert described([], "learning rate") == "learning rate, over updates: no point yet"
    drawn = figures(POINTS)
    assert len(drawn) == len(PANELS)
    assert 'aria-label="score, over updates: BLEU from 1.5 to 9.5; chrF from 20 to 30"' in drawn[1]


def test_nothing_written_yet_is_an_empty_picture(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png", "empty")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


def test_training_begins_without_matplotlib() -> None:
    """It takes half a second and more; it is imported when the first picture is drawn."""
    code = "import sys, seq2seq.build.training; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 6})


def test_a_run_leaves_a_picture(data: Path) -> None:
    trainer = new_trainer(*overrides(data, "trainer.max_epochs=1"))
    trainer.train()
    assert (trainer.run.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_train_and_validation_mean_the_same_by_loss(data: Path) -> None:
    """With one batch of the validation sentences themselves, before anything is learned."""
    for side in ("src", "tgt"):
        (data / f"valid.{side}").write_bytes((data / f"train.{side}").read_bytes())
    trainer = new_trainer(
        *overrides(data, "trainer.batch_tokens=5000", "trainer.label_smoothing=0.3", "optimizer.lr=1e-12"),
        *["trainer.max_steps=1", "trainer.log_every=1"],
    )
    trainer.train()
    train, valid = (
        next(row for row in rows(trainer.run.path) if row["kind"] == kind) for kind in ("train", "valid")
    )
    assert train["loss"] == pytest.approx(valid["loss"], rel=1e-4)
    assert train["smoothed_loss"] > train["loss"] + 0.001
    assert train["ppl"] == pytest.approx(valid["ppl"], rel=1e-3)
    json.dumps(train)
