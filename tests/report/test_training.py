"""The page on a training: known settings, the same content after a stop, texts that stay texts, a slider."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import browsing, needs_chromium
from reversals import new_trainer, overrides, resumed, settings_of, stop_at, write_reversals

from seq2seq.report.training import MOST_CELLS, changed, contents, samples, shares, thinned, write
from seq2seq.training.trainer import Trainer

pytestmark = pytest.mark.drawn
HOSTILE = "</script><script>alert(1)</script><b onclick=x>"
GIVEN = [
    *("trainer.num_samples=2", "trainer.max_steps=9", "trainer.validate_unit=steps", "trainer.validate_every=3"),
    *("trainer.batch_tokens=150", "trainer.log_every=2"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversals(tmp_path_factory.mktemp("report"), {"train": 60, "valid": 6, "test": 6})


@pytest.fixture(scope="module")
def whole(data: Path) -> Trainer:
    trainer = new_trainer(*overrides(data, *GIVEN, "name=whole"))
    trainer.train()
    return trainer


def result_of(trainer: Trainer) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((trainer.run.path / "result.json").read_text())
    return result


def test_settings_that_differ() -> None:
    assert changed(settings_of("name=x", "runs_dir=elsewhere")) == []
    given = ["schedule=linear", "schedule.warmup_steps=7", "attention.score=dot", "trainer.patience=3"]
    told = {change["key"]: (change["value"], change["default"]) for change in changed(settings_of(*given))}
    assert told == {
        "schedule": ("linear", "inverse_sqrt"),
        "schedule.warmup_steps": ("7", "400"),
        "attention.score": ("dot", "general"),
        "trainer.patience": ("3", "null"),
    }
    assert changed(settings_of("schedule=linear", "schedule.warmup_steps=400"))[0]["doc"] == "the option's name"


def test_a_training_leaves_a_page_and_a_card(whole: Trainer) -> None:
    page = (whole.run.path / "report.html").read_text(encoding="utf-8")
    assert "<h1>Training of whole</h1>" in page
    assert "max_steps=9" in page
    assert page.count("<svg") == 4
    assert len(page.encode()) < 2**20
    assert not re.search(r"""(src|href)="?(http|/)|url\((?!#)|@import""", page)
    assert (whole.run.path / "best" / "README.md").exists()
    shown = contents(whole.run.path, result_of(whole))
    assert [len(sample["shown"]) for sample in shown["samples"]] == [3, 3]
    assert [view["label"] for view in shown["samples"][0]["shown"]] == ["update 3", "update 6", "update 9"]
    assert [row[0] for row in shown["splits"]] == ["split", "train", "valid", "test"]
    assert [file["key"] for file in shown["files"]][:2] == ["data.train.src", "data.train.tgt"]


def test_the_page_of_a_mean_leads_to_its_parents_and_has_no_empty_curves(data: Path, whole: Trainer) -> None:
    other = new_trainer(*overrides(data, *GIVEN, f"init_from={whole.run.path}", "name=a+b", "seed=2"))
    other.train()
    parents = f"init_from=['{whole.run.path}','{other.run.path}/best']"
    mean = new_trainer(*overrides(data, *GIVEN, parents, "trainer.max_epochs=0", "name=mean"))
    mean.train()
    page = (mean.run.path / "report.html").read_text(encoding="utf-8")
    links = '<a href="../whole/report.html">whole</a>, <a href="../a%2Bb/report.html">a+b</a>'
    assert f"<td>the mean of the weights of {links}</td>" in page
    assert "<svg" not in page
    assert "<h2>Curves</h2>" not in page
    assert "The validations as a table" in page
    (whole.run.path / "report.html").rename(whole.run.path / "moved")
    assert contents(other.run.path, result_of(other))["facts"]["started from"] == "the weights of whole"
    (whole.run.path / "moved").rename(whole.run.path / "report.html")


def test_all_time_is_accounted_for(whole: Trainer) -> None:
    result = result_of(whole)
    assert {"training", "validation", "saving", "reports", "other"} == set(result["spent"])
    assert sum(result["spent"].values()) == pytest.approx(result["seconds"], abs=0.3)


def timeless(trainer: Trainer) -> dict[str, Any]:
    """All that the page shows but times and names."""
    shown = contents(trainer.run.path, result_of(trainer))
    assert {what for what, _, _ in shown.pop("spent")}
    del shown["name"], shown["facts"]["updates"]
    return {**shown, "figures": shown["figures"][:3]}


def test_a_stop_leaves_no_trace_in_the_page(data: Path, whole: Trainer) -> None:
    given = overrides(data, *GIVEN, "name=parts")
    trainer = new_trainer(*given)
    for stop in (4, 6, 8):
        stop_at(trainer, stop)
        assert "signal" in trainer.train()
        assert not (trainer.run.path / "report.html").exists()
        trainer = resumed(*given)
    trainer.train()
    assert timeless(trainer) == timeless(whole)
    lines = [(run.run.path / "samples.jsonl").read_text() for run in (trainer, whole)]
    assert lines[0] == lines[1]


def test_shares_of_the_time() -> None:
    assert shares({"validation": 25.0, "training": 75.0}) == [
        ("making batches, and updates", "0:01:15", "75.0%"),
        ("validation: loss and search", "0:00:25", "25.0%"),
    ]
    assert shares({"other": 0.0}) == [("everything else", "0:00:00", "0.0%")]


def row(step: int, *translations: str, cells: int = 0) -> dict[str, Any]:
    attention = {"src": ["a"] * cells, "tgt": ["b"], "weights": [[0.0] * cells]} if cells else None
    texts = [
        {"source": "s", "reference": "r", "translation": text, "attention": attention} for text in translations
    ]
    return {"step": step, "kind": "valid", "samples": texts}


def test_too_many_samples_are_thinned() -> None:
    rows = [row(step, "x", cells=MOST_CELLS // 4) for step in range(1, 10)]
    assert [kept["step"] for kept in thinned(rows)] == [1, 5, 9]
    assert thinned(rows[:3]) == rows[:3]
    assert thinned([]) == []


def test_the_number_of_samples_may_change_between_starts() -> None:
    made = samples([row(1, "a"), row(2, "b", "c"), {**row(2, "d", "e"), "kind": "average"}])
    views = [[(view["label"], view["translation"]) for view in sample["shown"]] for sample in made]
    last = "update 2, mean of checkpoints"
    assert views == [[("update 1", "a"), ("update 2", "b"), (last, "d")], [("update 2", "c"), (last, "e")]]


def spoiled(whole: Trainer) -> None:
    """Give the run samples that look like markup."""
    attention = {"src": [HOSTILE, "</s>"], "tgt": [HOSTILE], "weights": [[1.0, 0.0]]}
    rows = [
        {
            "step": step,
            "kind": "valid",
            "samples": [
                {"source": HOSTILE, "reference": HOSTILE, "translation": f"{step} {HOSTILE}", "attention": seen}
                for seen in (attention, None)
            ],
        }
        for step in (10, 20, 30)
    ]
    text = "".join(json.dumps(made) + "\n" for made in rows)
    (whole.run.path / "samples.jsonl").write_text(text, encoding="utf-8")


@needs_chromium
def test_the_slider_goes_through_the_validations(whole: Trainer) -> None:
    spoiled(whole)
    write(whole.run.path, result_of(whole))
    with browsing() as page:
        page.goto((whole.run.path / "report.html").as_uri())
        translation = page.locator("[data-text=translation]")
        slider = page.get_by_role("slider", name="Validation")
        assert translation.inner_text() == f"30 {HOSTILE}"
        assert slider.get_attribute("aria-valuetext") == "update 30"
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert translation.inner_text() == f"20 {HOSTILE}"
        page.keyboard.press("Home")
        assert slider.get_attribute("aria-valuetext") == "update 10"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # Play
        page.get_by_role("button", name="Pause").wait_for()
        page.get_by_text(f"30 {HOSTILE}").first.wait_for()
        page.get_by_role("button", name="Play").wait_for()
        assert translation.inner_text() == f"30 {HOSTILE}"
        page.get_by_role("combobox", name="Sentence").select_option("2")
        assert page.locator("[data-heatmap]").inner_text().startswith("No heatmap")
        assert page.locator("b").count() == 0


@needs_chromium
def test_nothing_moves_for_those_who_want_no_motion(whole: Trainer) -> None:
    spoiled(whole)
    write(whole.run.path, result_of(whole))
    with browsing() as page:
        page.emulate_media(reduced_motion="reduce")
        page.goto((whole.run.path / "report.html").as_uri())
        page.get_by_role("slider").wait_for()
        assert page.get_by_role("button", name="Play").count() == 0


def test_a_run_without_samples_has_a_page(data: Path) -> None:
    trainer = new_trainer(*overrides(data, "trainer.max_steps=1", "name=none"))
    trainer.train()
    page = (trainer.run.path / "report.html").read_text(encoding="utf-8")
    assert "Samples over time" not in page
