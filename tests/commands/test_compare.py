"""`seq2seq compare`: the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from inprocess import error_line, start
from reversals import new_trainer, overrides, write_reversals
from saved_evaluations import REF, save, settle

from seq2seq.evaluation import significance

CODE = "import sys; from seq2seq.commands import main; main(); assert not {} & {{*sys.modules}}"
SLOW = "{'torch', 'hydra', 'omegaconf', 'matplotlib', 'jinja2'}"
BASELINE = ["The dog sleeps.", "A cat eat.", "A house burns.", "It snows."]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, translations in (("a", BASELINE), ("b", REF)):
        save(tmp_path / "runs" / name, translations)
        settle(tmp_path / "runs" / name, attention={"name": name})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(significance, "RESAMPLES", 20)  # p-values don't matter here
    monkeypatch.setattr(significance, "TRIALS", 20)
    return tmp_path / "runs"


def test_runs_in_the_terminal_without_torch_or_hydra(runs: Path) -> None:
    code = [sys.executable, "-c", CODE.format(SLOW), "compare"]
    ended = subprocess.run([*code, "runs/a", "runs/b"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[:3] == [
        "A  runs/a/evaluation/test (baseline)",
        "B  runs/b/evaluation/test",
        "4 sentences of test, de → en",
    ]
    assert max(map(len, lines)) <= 80
    assert "sentences of B by chrF2: 2 better, 0 worse, 2 equal (2 the same text)" in lines
    assert "attention.name        a  b" in lines
    assert [*Path.cwd().iterdir()] == [runs]  # no file was written


def test_evaluations_of_one_run_and_a_page(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(runs / "a", REF, "test_beam-1", decode={"beam_size": 1})
    given = ["runs/a/evaluation/test", "runs/a/evaluation/test_beam-1", "runs/b"]
    ended = start("compare", "--html", "page.html", *given)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.endswith(b"\nwritten to page.html\n")
    assert "sentences of C by chrF2: 2 better" in ended.stdout.decode()
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Validation BLEU over updates, of A, B; C" in page  # two evaluations of a run have one curve
    monkeypatch.chdir("runs/a/evaluation/test")
    assert start("compare", ".", "../../../b").returncode == 0


def test_split_names_the_evaluation_of_each_run(runs: Path) -> None:
    for name in "ab":
        save(runs / name, REF[::-1], "valid", data="valid")
    assert "runs/b/evaluation/valid\n" in start("compare", "runs/a", "runs/b", "--split=valid").stdout.decode()
    line = error_line("compare", "runs/a", "runs/b", "--split", "other")
    assert line == "runs/a: no evaluation other, but test, valid; choose by --split NAME"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "give 2 to 26 runs or evaluations: the baseline, then what to compare with it"),
        (["runs/a"], "give 2 to 26 runs or evaluations: the baseline, then what to compare with it"),
        (["runs/a", "runs/c"], "runs/c: no such directory; give a run, or an evaluation in it"),
        (["runs/a", "runs"], "runs: no evaluation there; seq2seq evaluate run=runs makes one"),
        (["runs/a", "runs/a/evaluation/test"], "runs/a/evaluation/test: given twice"),
        (["runs/a", "runs/b", "--html"], "--html: a value is needed; give --html FILE"),
        (["runs/a", "runs/b", "--html=no/where"], "--html no/where: no such directory: no"),
        (["runs/a", "runs/b", "--html=runs"], "--html runs: Is a directory"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_wrong_arguments_are_one_line(given: list[str], message: str) -> None:
    assert error_line("compare", *given) == message


def test_other_test_sets_are_refused(runs: Path) -> None:
    save(runs / "b", REF, "other", files={"x": "0" * 64, "y": "1" * 64}, data="other")
    save(runs / "b", REF, "reverse", languages=["en", "de"])
    line = error_line("compare", "runs/a", "runs/b/evaluation/other")
    assert line == (
        "runs/a/evaluation/test (test, de → en) and runs/b/evaluation/other (other, de → en) "
        "are of different test sets; compare evaluations of the same one"
    )
    assert "(test, en → de) are of different" in error_line("compare", "runs/a", "runs/b/evaluation/reverse")


def test_a_test_set_that_changed_or_has_gone_is_one_line(runs: Path) -> None:
    remedy = "runs/a/evaluation/test was made on it: restore the file, or evaluate again"
    file = runs / "text.en"
    file.write_text("\n".join(REF) + " \n")
    assert error_line("compare", "runs/a", "runs/b") == f"{file}: changed since {remedy}"
    file.unlink()
    assert error_line("compare", "runs/a", "runs/b") == f"{file}: no such file, but {remedy}"


DAMAGED = {
    "{": "can't be read (Expecting",
    "[]": "can't be read (list indices",
    "{}": "has no 'data'",
    '{"data": 1, "files": 2, "languages": 3, "sentences": 4, "decode": 5}': "can't be read ('int' object",
}


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_scores_are_one_line(runs: Path, content: str) -> None:
    (runs / "b/evaluation/test/scores.json").write_text(content)
    line = error_line("compare", "runs/a", "runs/b")
    assert line.startswith(f"runs/b/evaluation/test/scores.json: {DAMAGED[content]}")
    assert line.endswith("; evaluate again")


def test_translations_that_are_not_those_scored_are_one_line(runs: Path) -> None:
    translations = runs / "b/evaluation/test/translations.txt"
    translations.write_text("\n".join(BASELINE) + "\n")
    line = error_line("compare", "runs/a", "runs/b")
    assert line.startswith("runs/b/evaluation/test/translations.txt: have a BLEU of ")
    assert line.endswith("but scores.json tells of 100.00; evaluate again")
    translations.write_text("one\n")
    line = error_line("compare", "runs/a", "runs/b")
    assert line.endswith("translations.txt: 1 lines, but scores.json tells of 4 sentences; evaluate again")
    translations.unlink()
    assert "no such file" in error_line("compare", "runs/a", "runs/b")


def test_damaged_files_of_a_run_are_one_line(runs: Path) -> None:
    with (runs / "a" / "metrics.jsonl").open("a") as rows:
        rows.write("{}\n")
    ended = start("compare", "runs/a", "runs/b", "--html=page.html")
    assert ended.stderr.decode().startswith("error: runs/a/metrics.jsonl:4: not a row of metrics")
    assert not Path("page.html").exists()
    (runs / "a" / "config.yaml").write_text("[")
    assert error_line("compare", "runs/a", "runs/b").startswith("runs/a/config.yaml: can't be read")


def test_a_seed_that_is_none_is_one_line(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "x")
    line = error_line("compare", "runs/a", "runs/b")
    assert line == "SACREBLEU_SEED=x: expected a whole number, or none for another seed each time"


def test_what_evaluate_writes_is_what_compare_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from another directory, with files that were named from there."""
    data = write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 8})
    run = new_trainer(*overrides(data, "trainer.max_steps=2"))
    run.train()
    path = run.run.path
    monkeypatch.chdir(data)
    given = [f"run={path}", "src_file=test.src", "ref_file=test.tgt", "bootstrap=0"]
    for beam in (1, 3):
        assert start("evaluate", *given, f"decode.beam_size={beam}").returncode == 0
    monkeypatch.chdir(path)
    one, other = sorted(path.glob("evaluation/*"))
    ended = start("compare", str(one), str(other), "--html=page.html")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "decode.beam_size      1  3" in ended.stdout.decode()
    files = json.loads((one / "scores.json").read_text())["files"]
    assert [*files] == [str(data / "test.src"), str(data / "test.tgt")]
