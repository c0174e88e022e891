"""Runs that evaluate, translate and serve together, and those that can't."""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from inprocess import error_line, restored, start, status_of
from reversals import new_trainer, overrides, write_reversals
from serving import client_of
from translated_files import check_files

import seq2seq
from seq2seq.build import inference
from seq2seq.build.inference import load_run
from seq2seq.commands.translate import translate
from seq2seq.evaluation.saved import read_evaluation
from seq2seq.serve.models import load_served
from seq2seq.settings.schema import DecodeConfigOverrides, ServeConfig, TranslateConfig

LINES = ["a b c", "", "l k j i h"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversals(tmp_path_factory.mktemp("ensembles"), {"train": 100, "valid": 6, "test": 8})


def trained(data: Path, name: str, *given: str) -> Path:
    trainer = new_trainer(*overrides(data, "trainer.max_steps=10", "decode.beam_size=2", *given, f"name={name}"))
    trainer.train()
    return trainer.run.path


@pytest.fixture(scope="module")
def runs(data: Path) -> list[Path]:
    """Two runs that differ in attention, sizes and seed."""
    other = ["attention=bahdanau", "attention.size=16", "model.decoder_size=48", "seed=2"]
    return [trained(data, "a"), trained(data, "b", *other)]


def given(runs: Sequence[Path]) -> str:
    return f"run=[{','.join(map(str, runs))}]"


def evaluated(runs: Sequence[Path], *more: str) -> dict[str, dict[str, Any]]:
    """Every ensemble's evaluation that the first run then has, by its name."""
    assert status_of("evaluate", given(runs), "bootstrap=20", *more) == 0
    found = runs[0].glob("evaluation/*_with-*/scores.json")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def copies(run: Path, directory: Path, *names: str) -> list[Path]:
    """Without evaluations."""
    without = shutil.ignore_patterns("evaluation")
    return [shutil.copytree(run, directory / name, ignore=without) for name in names]


def test_copies_of_a_run_score_as_it_does(runs: list[Path], tmp_path: Path) -> None:
    same = copies(runs[0], tmp_path, "one", "two")
    (together,) = evaluated(same).values()
    assert status_of("evaluate", f"run={same[0]}", "bootstrap=20") == 0
    alone = json.loads((same[0] / "evaluation" / "test" / "scores.json").read_text())
    assert together["scores"] == alone["scores"]
    assert together["teacher_forced_ppl"] == pytest.approx(alone["teacher_forced_ppl"], rel=1e-5)
    (path,) = same[0].glob("evaluation/test_with-two-*")
    for name in ("translations.txt", "alignments.txt"):
        assert (path / name).read_text() == (same[0] / "evaluation" / "test" / name).read_text()


def test_an_evaluation_is_written_into_the_first_run_and_names_all(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = evaluated(runs)
    printed = capsys.readouterr().out
    (name, record) = next(iter(names.items()))
    assert evaluated(runs).keys() == {name}  # replaced by an equal one
    assert name.startswith("test_with-b-")
    assert len(name) == len("test_with-b-") + 6
    assert record["run"] == [*map(str, runs)]
    assert record["checkpoint"] == [f"{run}/best" for run in runs]
    updates = [json.loads((run / "best/checkpoint.json").read_text())["step"] for run in runs]
    assert record["update"] == updates
    said = f"ensemble of {runs[0]} (update {updates[0]}) + {runs[1]} (update {updates[1]})"
    assert printed.startswith(f"{name}: {said}\n")
    assert f'<p class="muted">E{said[1:]}, de' in (runs[0] / "evaluation" / name / "report.html").read_text()
    greedy = {*evaluated(runs, "decode.beam_size=1")} - {name}
    assert greedy == {f"{name}_beam-1"}


def test_evaluations_are_compared_and_listed(runs: list[Path], tmp_path: Path) -> None:
    one, two = copies(runs[0], tmp_path, "one") + copies(runs[1], tmp_path, "two")
    (name,) = evaluated([one, two])
    assert status_of("evaluate", f"run={two}", "bootstrap=20") == 0
    saved = read_evaluation(one / "evaluation" / name)
    assert (saved.ensemble, saved.run) == ([str(one), str(two)], None)
    alone = read_evaluation(two / "evaluation" / "test")
    assert (alone.ensemble, alone.run) == ([], two)
    page = tmp_path / "page.html"
    said = start("compare", str(two), str(one / "evaluation" / name), "--html", str(page)).stdout.decode()
    (row,) = (line for line in said.splitlines() if line.startswith("ensemble"))
    assert row.split(maxsplit=2)[1:] == ["null", f"{one}, {two}"]
    assert "There are no curves of B: the evaluation is of an ensemble" in page.read_text()
    heading, row = start("runs", str(one)).stdout.decode().splitlines()
    assert f"{name} BLEU" in heading
    assert f"{saved.scores['BLEU']:.2f}" in row


def test_names_that_are_long_are_cut(runs: list[Path], tmp_path: Path) -> None:
    same = copies(runs[0], tmp_path, "first", "b" * 100, "c" * 100)
    (name,) = evaluated(same)
    assert name.startswith(f"test_with-{'b' * 60}-")
    assert evaluated([same[0], same[2], same[1]]).keys() == {name}  # in any order


def test_translations_with_attention(runs: list[Path], tmp_path: Path) -> None:
    decode = DecodeConfigOverrides(replace_unk=True, workers="2" if sys.platform == "linux" else None)
    translations = check_files(runs, tmp_path, LINES, decode)
    alone = [
        [candidate.log_prob for candidate in one.candidates] for one in seq2seq.load(runs[0]).translate(LINES)
    ]
    assert [[candidate.log_prob for candidate in one.candidates] for one in translations] != alone


def test_at_a_terminal(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    typed, out = io.TextIOWrapper(io.BytesIO(b"a b c\n")), io.BytesIO()
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", typed)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    with restored():
        translate(TranslateConfig(run=[*map(str, runs)]))
    assert str(seq2seq.load(runs).translate(["a b c"])[0]) in out.getvalue().decode()


def test_search_among_candidates(runs: list[Path]) -> None:
    loaded = load_run(runs, overrides=DecodeConfigOverrides(shortlist=50))  # more than there are words
    assert loaded.translator.shortlist
    expected = seq2seq.load(runs).translate(LINES)
    assert [*map(str, loaded.translator.translate(LINES))] == [*map(str, expected)]


def test_an_ensemble_is_served_beside_a_run(runs: list[Path]) -> None:
    first, second = map(str, runs)
    together, alone = load_served(ServeConfig(run=[[first, second], first]))
    assert (together.name, alone.name) == ("a+b", "a")
    assert together.about.startswith("ensemble of 2 models, Luong (general) and Bahdanau (16) attention, 0.")
    assert together.about.count(" and ") == 3  # updates and BLEU too
    weights = sum(model.num_parameters() for model in together.translator.models) / 1e6
    assert f", {weights:.1f} million weights, update " in together.about
    with client_of(together, alone) as client:
        answer = client.post("/api/translate", json={"text": LINES[0], "attention": True}).json()
        listed = client.get("/api/runs").json()["runs"]
    assert [run["name"] for run in listed] == ["a+b", "a"]
    (found,) = answer["translations"][0]["candidates"]
    (expected,) = seq2seq.load(runs).translate(LINES[:1])[0].candidates
    assert (answer["run"], found["text"]) == ("a+b", expected.text)
    assert found["log_prob"] == pytest.approx(expected.log_prob, abs=1e-4)
    assert all(math.isclose(sum(row), 1, abs_tol=1e-3) for row in found["attention"]["weights"])
    names = [one.name for one in load_served(ServeConfig(run=[[first, second], [first, f"{second}/best"]]))]
    assert names == [f"{first}+{second}", f"{first}+{second}/best"]


def test_precision_is_known_to_harm_no_member(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    choose = inference.search_precision

    def noted(*arguments: Any) -> Any:
        asked[:] = arguments[2:]
        return choose(*arguments)

    monkeypatch.setattr(inference, "search_precision", noted)
    own = copies(runs[0], tmp_path, "one") + copies(runs[1], tmp_path, "two") + copies(runs[0], tmp_path, "three")
    for run, losses in zip(
        own, ({"int8": 0.0, "bf16": -0.1}, {"int8": 0.3}, {"int8": 0.1, "bf16": 0.2}), strict=True
    ):
        info = json.loads((run / "best/checkpoint.json").read_text())
        (run / "best/checkpoint.json").write_text(json.dumps({**info, "bleu_losses": losses}))
    shapes = []
    for members, expected in (
        (own[:1], {"int8": 0.0, "bf16": -0.1}),
        ([own[0], own[2]], {"int8": 0.1, "bf16": 0.2}),
        (own, {"int8": 0.3}),
    ):
        load_run(members)
        shapes.append(asked[0])
        assert asked[1] == expected
    assert shapes[0] == shapes[1]  # of equal models, whose rates are known
    assert len(shapes[2]) == 2 * len(shapes[0])


def test_runs_that_cannot_translate_together(data: Path, runs: list[Path], tmp_path: Path) -> None:
    first = runs[0]
    pieces = trained(data, "pieces", "tokenizer=unigram", "tokenizer.vocab_size=300", "trainer.max_steps=1")
    sides = [
        f"data.{split}.{side}={data / split}.{other}"
        for split in ("train", "valid", "test")
        for side, other in (("src", "tgt"), ("tgt", "src"))
    ]
    back = trained(data, "back", *sides, "data.src=en", "data.tgt=de", "trainer.max_steps=1")
    for other, why in (
        (pieces, "they have different vocabularies; train both on the same data with the same tokenizer.*"),
        (back, "one is de → en, the other en → de"),
    ):
        for command in ("evaluate", "translate", "serve"):
            listed = f"run=[{first},{other}]" if command != "serve" else f"run=[[{first},{other}]]"
            assert error_line(command, listed) == f"{first} and {other} can't translate together: {why}"
    again = f"run: {first} and {first} are the same run, given twice"
    assert error_line("translate", f"run=[{first},{first}/best/]") == again
    assert error_line("evaluate", given([first, first])) == again
    assert error_line("evaluate", f"run=[{first},nowhere]").startswith("run=nowhere: no such directory")


def test_values_that_are_no_runs() -> None:
    expected = "expected a directory, or a list of directories"
    for command in ("evaluate", "translate"):
        assert error_line(command, "run=[]") == f"run=[]: {expected}"
        assert error_line(command, "run=[a,[b]]") == f"run=[a,[b]]: {expected}"
        alone = "; null, the built-in model, translates alone"
        assert error_line(command, "run=[a,null]") == f"run=[a,null]: {expected}{alone}"
    assert error_line("evaluate", "run=null") == f"run=null: {expected}"
    assert error_line("export", "run=[a,b]", "to=x") == "run=[a,b]: expected text"


def test_a_run_of_the_usual_directory_is_suggested(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(runs[0], tmp_path / "runs", "mine")
    monkeypatch.chdir(tmp_path)
    for listed in ("run=[mine,runs/mine]", "run=[runs/mine,mine]"):
        assert error_line("translate", listed) == "run=mine: no such directory; did you mean run=runs/mine?"
