"""`seq2seq diversify`: what each model is trained on, and a whole round."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given as for_every
from hypothesis import strategies as st
from inprocess import error_line, start, status_of
from reversals import overrides, write_reversals
from safetensors.torch import load_file

from seq2seq.commands import diversify
from seq2seq.distributed.group import Group
from seq2seq.errors import ConfigError
from seq2seq.runs.layout import run_path
from seq2seq.settings.schema import DiversifyConfig, TrainConfig, TranslateConfig

SHORT = [
    *("trainer.max_epochs=3", "trainer.batch_tokens=150", "schedule.warmup_steps=1", "name=s"),
    "at_once=1",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 6})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The settings that models would be trained with; they are not, and translate each line to a number."""
    seen: list[TrainConfig] = []

    def train(settings: TrainConfig, group: Group, says_next: bool = True) -> float:
        seen.append(settings)
        return float(len(seen))

    def translate(settings: TranslateConfig) -> None:
        assert settings.input
        assert settings.output
        lines = Path(settings.input).read_text().splitlines()
        Path(settings.output).write_text("".join(f"{len(seen)} {number}\n" for number, _ in enumerate(lines)))

    monkeypatch.setattr(diversify, "train", train)
    monkeypatch.setattr(diversify, "translate", translate)
    return seen


def test_the_final_model_sees_the_text_and_what_each_teacher_makes_of_it(
    data: Path, trained: list[TrainConfig]
) -> None:
    given = overrides(data, *SHORT, "teachers=2", "teacher_epochs=2", "seed=7")
    assert status_of("diversify", *given) == 0
    *teachers, first, second, run = trained
    languages = [(one.data.src, one.data.tgt) for one in teachers]
    assert languages == [("de", "en"), ("de", "en"), ("en", "de"), ("en", "de")]
    assert [one.seed for one in teachers] == [701, 702, 701, 702]
    assert {one.trainer.max_epochs for one in teachers} == {2}
    assert [(one.trainer.max_epochs, one.seed) for one in (first, second)] == [(3, 701), (3, 702)]
    assert (run.trainer.max_epochs, run.seed, run.name) == (0, 7, "s")
    assert run.init_from == [str(data / "runs" / "s-students" / f"seed{seed}") for seed in (701, 702)]
    assert [str(run_path(one)) for one in (first, second)] == run.init_from
    kept = data / "runs" / "s-teachers"
    for one in teachers:
        assert Path(one.runs_dir) == kept
    for split in ("train", "valid"):
        for language, side in (("de", "src"), ("en", "tgt")):
            assert (kept / f"{split}.{language}").read_text() == (data / f"{split}.{side}").read_text()
    assert {one.init_from for one in (first, second)} == {str(kept / "de-en-seed701")}
    assert first.data == second.data == run.data
    pairs = [*zip(run.data.mix.src, run.data.mix.tgt, strict=True)]
    assert pairs == [
        (f"{kept}/train.de", f"{kept}/de-en-seed701.en"),
        (f"{kept}/train.de", f"{kept}/de-en-seed702-right-to-left.en"),
        (f"{kept}/en-de-seed701.de", f"{kept}/train.en"),
        (f"{kept}/en-de-seed702-right-to-left.de", f"{kept}/train.en"),
    ]
    assert Path(pairs[2][0]).read_text().splitlines() == [f"3 {number}" for number in range(60)]
    assert Path(pairs[3][0]).read_text().splitlines() == [f"{number} 4" for number in range(60)]


def test_every_second_teacher_learns_to_write_from_right_to_left(data: Path, trained: list[TrainConfig]) -> None:
    assert status_of("diversify", *overrides(data, *SHORT, "teachers=3")) == 0
    forward, backward = trained[:3], trained[3:6]
    kept = data / "runs" / "s-teachers"
    for teachers, src, tgt in ((forward, "de", "en"), (backward, "en", "de")):
        for one, order in zip(teachers, ("", ".reversed", ""), strict=True):
            for split, files in (("train", one.data.train), ("valid", one.data.valid)):
                assert (files.src, files.tgt) == (f"{kept}/{split}.{src}", f"{kept}/{split}.{tgt}{order}")
    lines = (data / "train.tgt").read_text().splitlines()
    turned = [" ".join(reversed(line.split())) for line in lines]
    assert turned != lines
    assert (kept / "train.en.reversed").read_text().splitlines() == turned
    assert (kept / "de-en-seed102-right-to-left.en").read_text().splitlines()[:2] == ["0 2", "1 2"]
    assert not [*kept.glob("*seed*.reversed")]


def test_all_teachers_write_from_left_to_right_if_you_like(data: Path, trained: list[TrainConfig]) -> None:
    assert status_of("diversify", *overrides(data, *SHORT, "teachers=2", "right_to_left=false")) == 0
    kept = data / "runs" / "s-teachers"
    assert {one.data.train.tgt for one in trained[:4]} == {f"{kept}/train.en", f"{kept}/train.de"}
    assert (kept / "de-en-seed102.en").read_text().startswith("2 0\n")
    assert not [*kept.glob("*.reversed")]


@for_every(st.text(st.characters(exclude_characters="\n")))
def test_the_order_of_words_is_turned_and_turned_back(line: str) -> None:
    assert diversify.reversed_words(diversify.reversed_words(line)) == line


def test_only_spaces_part_words() -> None:
    assert diversify.reversed_words("two  men\u00a0walk .") == ". men\u00a0walk  two"


def test_a_single_student_is_the_run(data: Path, trained: list[TrainConfig]) -> None:
    for given, parent in (([], "s-teachers/de-en-seed101"), (["init_from=other"], None)):
        assert status_of("diversify", *overrides(data, *SHORT, "teachers=1", "students=1", *given)) == 0
        assert not [*(data / "runs" / "s-teachers").glob("*.reversed")]  # no teacher would read them
        *_, backward, run = trained
        assert (backward.data.src, backward.init_from) == ("en", None)
        assert (run.name, run.trainer.max_epochs) == ("s", 3)
        assert run.init_from == (str(data / "runs" / parent) if parent else "other")


def test_the_other_direction_shares_the_teachers(data: Path, trained: list[TrainConfig]) -> None:
    shared = f"teachers_dir={data / 'shared'}"
    assert status_of("diversify", *overrides(data, *SHORT, shared)) == 0
    there, made = trained[:-3], sorted((data / "shared").glob("*-*.*"))
    back = overrides(data, *SHORT, shared, "data.src=en", "data.tgt=de")
    swapped = {f"data.{split}.{side}" for split in ("train", "valid", "test") for side in ("src", "tgt")}
    sides = {"src": "tgt", "tgt": "src"}
    back = [one for one in back if one.partition("=")[0] not in swapped] + [
        f"data.{split}.{side}={data / split}.{sides[side]}" for split in ("train", "valid") for side in sides
    ]
    trained.clear()
    assert status_of("diversify", *back) == 0
    assert sorted(map(repr, trained[:-3])) == sorted(map(repr, there))
    assert sorted((data / "shared").glob("*-*.*")) == made


def test_a_corpus_in_one_file_is_written_as_two(data: Path, trained: list[TrainConfig]) -> None:
    for split in ("train", "valid"):
        sides = [(data / f"{split}.{side}").read_text().splitlines() for side in ("src", "tgt")]
        (data / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(*sides, strict=True)))
    plain = [one for one in overrides(data, *SHORT) if not one.startswith(("data.train.", "data.valid."))]
    files = [f"data.{split}.tsv={data / split}.tsv" for split in ("train", "valid")]
    assert status_of("diversify", *plain, *files) == 0
    for split in ("train", "valid"):
        written = (data / "runs" / "s-teachers" / f"{split}.de").read_text()
        assert written == (data / f"{split}.src").read_text()


def test_starting_over_and_stopped_it_keeps_no_translation_of_the_teacher_before(
    data: Path, trained: list[TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = overrides(data, *SHORT, "teachers=1")
    assert status_of("diversify", *given) == 0
    translation = data / "runs" / "s-teachers" / "de-en-seed101.en"
    assert translation.exists()

    def stopped(settings: TrainConfig, group: Group, says_next: bool = True) -> float:
        sys.exit(75)

    monkeypatch.setattr(diversify, "train", stopped)
    assert status_of("diversify", *given, "overwrite=true") == 75
    assert not translation.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["data.mix.weights=[2]"],
            "data.mix.weights=[2.0]: all translations have the weight of their size; leave it out",
        ),
        (
            ["trainer.max_epochs=0", "init_from=other"],
            "trainer.max_epochs=0: nothing would be trained; give at least 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(
    data: Path, trained: list[TrainConfig], given: list[str], said: str
) -> None:
    assert error_line("diversify", *overrides(data, *SHORT, "teachers=1", *given)) == said
    assert trained == []
    assert not (data / "runs").exists()


@pytest.mark.drawn
def test_a_round_is_resumed_where_it_was_left(data: Path) -> None:
    given = overrides(data, *SHORT, "teachers=1", "decode.workers=1", "decode.num_best=2")
    first = start("diversify", *given)
    assert (first.returncode, first.stderr) == (0, b"")
    assert first.stdout.count(b"finished: ") == 5
    assert first.stdout.count(b"next:") == 1
    run, kept = data / "runs" / "s", data / "runs" / "s-teachers"
    translations = [kept / "de-en-seed101.en", kept / "en-de-seed101.de"]
    assert [len(one.read_text().splitlines()) for one in translations] == [60, 60]
    students = [data / "runs" / "s-students" / f"seed{seed}" / "best" / "model.safetensors" for seed in (101, 102)]
    splits = json.loads((run / "corpus.json").read_text())["splits"]
    assert [split["read"] for split in splits[:4]] == [60, 60, 60, 180]
    weights = (run / "best" / "model.safetensors").read_bytes()
    one, other = map(load_file, students)
    for name, mean in load_file(run / "best" / "model.safetensors").items():
        torch.testing.assert_close(mean, (one[name] + other[name]) / 2)
        assert not torch.equal(one[name], other[name])
    shutil.rmtree(run)
    shutil.rmtree(students[0].parents[1])
    translations[0].unlink()
    again = start("diversify", *given)
    assert again.returncode == 0
    assert again.stdout.count(b"nothing to do") == 3  # the teachers and a student
    assert (run / "best" / "model.safetensors").read_bytes() == weights
    assert start("diversify", *given).stdout.count(b"nothing to do") == 5


def test_starting_over_is_refused_where_a_restart_would_do_it_again(
    data: Path, trained: list[TrainConfig]
) -> None:
    given = [*SHORT, "teachers=1", "students=1"]
    assert status_of("diversify", *overrides(data, *given)) == 0
    kept = {path: path.stat().st_mtime_ns for path in (data / "runs" / "s-teachers").iterdir()}
    group = Group()
    group.restarts = 3
    settings = DiversifyConfig(**vars(trained[-1]), teachers=1)
    settings.overwrite = True
    with pytest.raises(ConfigError, match="overwrite=true: a restart by torchrun would not resume"):
        diversify.diversify(settings, group)
    assert {path: path.stat().st_mtime_ns for path in (data / "runs" / "s-teachers").iterdir()} == kept


@pytest.mark.system
def test_side_by_side_stopped_and_resumed_it_is_the_same_model(data: Path) -> None:
    given = overrides(data, *SHORT, "teachers=1", "decode.workers=1", "machine.precision=fp32")
    given.remove("at_once=1")
    weights = data / "runs" / "s" / "best" / "model.safetensors"
    assert start("diversify", *given, "at_once=1").returncode == 0
    expected = weights.read_bytes()
    for made in (data / "runs").iterdir():
        shutil.rmtree(made)
    command = [sys.executable, "-m", "seq2seq", "diversify", *given, "at_once=2"]
    stops = 0
    for told in ("[teacher 2] ", "[student 1] ", ""):  # where it is stopped
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
            assert process.stdout
            for line in process.stdout:
                if told and line.startswith(f"{told}validation after"):
                    process.terminate()
            stops += process.wait() == 75
    assert process.returncode == 0
    assert stops == 2
    assert weights.read_bytes() == expected


@pytest.mark.system
def test_several_processes_do_a_round_together(data: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "seq2seq"]
    given = overrides(data, *SHORT, "teachers=1", "decode.workers=1")
    done = subprocess.run([*torchrun, "diversify", *given], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished: max_epochs=3") == 4
    assert done.stdout.count("finished: max_epochs=0") == 1
    kept = data / "runs" / "s-teachers"
    for name in ("de-en-seed101.en", "en-de-seed101.de"):
        assert len((kept / name).read_text().splitlines()) == 60
    again = subprocess.run([*torchrun, "diversify", *given], capture_output=True, text=True, encoding="utf-8")
    assert again.stdout.count("nothing to do") == 5, again.stderr
