"""Files in a run's directory that are not the run's are never removed or replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.errors import ConfigError
from seq2seq.runs.directory import begin
from seq2seq.runs.ownership import refuse_strangers, remove_own, step_checkpoints

pytestmark = pytest.mark.hostile
CHECKPOINT = [
    "model.safetensors",
    "config.yaml",
    "checkpoint.json",
    "training.pt",
    "tokenizer/src.words",
    "tokenizer/lexicon.safetensors",
]
OWN = [
    *("result.json", "metrics.jsonl", "samples.jsonl", "corpus.json", "report.html", "curves.png"),
    *("events.out.tfevents.1.host.2.3", "tokenizer/joint.subwords"),
    *(f"{name}/{file}" for name in ("best", "last", "previous", "step-3", "step-40") for file in CHECKPOINT),
    *(f"evaluation/test/{file}" for file in ("scores.json", "translations.txt", "alignments.txt")),
    *(f"evaluation/test/{file}" for file in ("report.html", "weights.npz")),
    *(f"evaluation/valid.{end}" for end in ("json", "hyp", "align")),
]
KEPT = [".lock", "train.log", "config.yaml", "sources.json"]
FOREIGN = [
    *("notes.txt", "paper/config.yaml", "step-notes/model.safetensors", "step-5/training.pt", "best.txt"),
    *("step-3/notes.txt", "evaluation/test/notes.txt", "evaluation/mine/translations.txt", "evaluation/mine.json"),
    *(".hidden", "metrics.jsonl.gz", "evaluation/valid.txt"),
]


def write(directory: Path, names: list[str]) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)


def files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def test_a_run_that_begins_removes_what_an_earlier_one_wrote_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, [*OWN, *KEPT, *FOREIGN])
    (tmp_path / "figures").mkdir()
    begin(tmp_path)
    assert files(tmp_path) == {*KEPT, *FOREIGN}
    directories = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert directories == {"figures", "paper", "step-notes", "step-5", "step-3", "evaluation"}


def test_what_a_run_wrote_is_removed_whole(tmp_path: Path) -> None:
    write(tmp_path, [*OWN, "best/.DS_Store"])
    begin(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", ["model.safetensors"])
    (tmp_path / "best").symlink_to("elsewhere")
    remove_own(tmp_path / "best")
    assert files(tmp_path) == {"elsewhere/model.safetensors"}


def test_steps_are_those_that_hold_a_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, [*OWN, *FOREIGN])
    assert [path.name for path in step_checkpoints(tmp_path)] == ["step-3", "step-40"]


@pytest.mark.parametrize("place", ["best", "last", "step-3", "tokenizer", "evaluation/test"])
@pytest.mark.parametrize("name", ["notes.txt", "paper/x.tex", "tokenizer/notes.txt", ".hidden"])
def test_what_would_be_lost_is_named(tmp_path: Path, place: str, name: str) -> None:
    write(tmp_path, [*OWN, f"{place}/.DS_Store"])
    refuse_strangers(tmp_path / place)
    write(tmp_path / place, [name])
    line = f"{tmp_path}/{place}/.* was not written by seq2seq and would be lost: move it elsewhere"
    with pytest.raises(ConfigError, match=line):
        refuse_strangers(tmp_path / place)


def test_a_run_may_have_any_name(tmp_path: Path) -> None:
    for name in ("evaluation", "tokenizer", "best"):
        write(tmp_path / name, OWN)
        refuse_strangers(tmp_path / name / "best")


def test_a_file_in_the_place_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    refuse_strangers(tmp_path / "best")
    (tmp_path / "best").write_text("mine")
    with pytest.raises(ConfigError, match="/best was not written by seq2seq"):
        refuse_strangers(tmp_path / "best")
