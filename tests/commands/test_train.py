"""`seq2seq train`: what it says at the end, and in one line when it can't begin or continue."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from inprocess import status_of
from reversals import new_trainer, overrides, write_reversals

from seq2seq.build.training import warn_of_warmup
from seq2seq.commands.explain import one_line
from seq2seq.commands.train import hints
from seq2seq.settings.schema import EvaluateConfig, InverseSqrtConfig, TrainConfig, TranslateConfig
from seq2seq.training.trainer import Trainer

Output = pytest.CaptureFixture[str]
SMALL = ["trainer.batch_tokens=150", "trainer.num_samples=0", "schedule.warmup_steps=1"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_reversals(tmp_path, {"train": 40, "valid": 4, "test": 4})


def train(data: Path, *given: str) -> int:
    return status_of("train", *overrides(data, *SMALL), "name=a", *given)


def test_validations_are_a_table_also_when_resumed(data: Path, capsys: Output) -> None:
    assert train(data, "trainer.max_epochs=2") == 0
    capsys.readouterr()
    assert train(data, "trainer.max_epochs=4") == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["update", "epoch"])
    assert lines[start].split() == ["update", "epoch", "loss", "ppl", "BLEU", "chrF"]
    rows = [line.split() for line in lines[start + 1 : start + 5]]
    assert [row[1] for row in rows] == ["1", "2", "3", "4"]
    assert sum(row[-1] == "best" for row in rows) == 1
    (best,) = (row for row in rows if row[-1] == "best")
    assert lines[start + 5].startswith("finished: max_epochs=4;")
    assert lines[start + 6].startswith(f"best bleu {best[4]} at update {best[0]} (BLEU {best[4]}, chrF {best[5]},")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = write_reversals(tmp_path_factory.mktemp("trained"), {"train": 40, "valid": 4, "test": 4})
    new_trainer(*overrides(data, *SMALL, "name=a", "trainer.max_steps=1")).train()
    return data / "runs" / "a"


@pytest.mark.parametrize("directory", ["runs", "my runs", "it's", 'a "b" \\', "x=1,2 (3)", "ü"])
def test_the_hints_work(trained: Path, tmp_path: Path, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(directory) / "a"
    shutil.copytree(trained, path)
    said, evaluate, translate, tensorboard = hints(path, has_test=True).splitlines()
    assert str(path) in said
    assert shlex.split(evaluate)[:2] == ["seq2seq", "evaluate"]
    assert shlex.split(translate) == ["seq2seq", "translate", *shlex.split(evaluate)[2:]]
    assert shlex.split(tensorboard) == ["tensorboard", "--logdir", str(path)]
    assert status_of("evaluate", *shlex.split(evaluate)[2:], "bootstrap=0") == 0
    assert (path / "evaluation" / "test").is_dir()


def test_the_hint_without_a_test_split(data: Path, capsys: Output) -> None:
    assert train(data, "data.test.src=null", "data.test.tgt=null", "trainer.max_steps=1") == 0
    (hint,) = (line for line in capsys.readouterr().out.splitlines() if "evaluate" in line)
    command, _, comment = hint.partition("#")
    assert "data.test" in comment
    given = shlex.split(command.replace("src_file=FILE", "src_file=test.src").replace("=FILE", "=test.tgt"))
    assert status_of("evaluate", *given[2:], "bootstrap=0") == 0
    assert status_of("evaluate", *given[2:3], "bootstrap=0") == 1  # what used to be proposed


def test_a_failed_start_is_one_line_and_leaves_nothing(data: Path, capsys: Output) -> None:
    (data / "valid.tgt").write_text("one line\n")
    assert train(data) == 1
    assert capsys.readouterr().err.startswith(f"error: {data}/valid.")
    assert not (data / "runs").exists()


def test_a_warmup_that_is_too_long_is_said_and_the_remedy_helps(tmp_path: Path, capsys: Output) -> None:
    write_reversals(tmp_path, {"train": 3000, "valid": 50, "test": 1})
    given = overrides(tmp_path, "trainer.max_epochs=2", "trainer.batch_tokens=600", "trainer.num_samples=0")
    given.remove("schedule.warmup_steps=50")
    assert status_of("train", *given, "name=a") == 0
    said = capsys.readouterr().out
    warning = next(line for line in said.splitlines() if "learning rate still rises" in line)
    updates = int(re.findall(r"finished: .*; (\d+) updates", said)[0])
    assert warning.startswith("schedule.warmup_steps=400: ")
    assert f"this run's {updates} updates" in warning
    (remedy,) = re.findall(r"give (schedule\.warmup_steps=\d+),", warning)
    assert status_of("train", *given, remedy, "name=b") == 0
    assert "still rises" not in capsys.readouterr().out
    before, after = (json.loads((tmp_path / "runs" / name / "result.json").read_text())["best"] for name in "ab")
    assert after["ppl"] < 0.8 * before["ppl"]


@pytest.mark.parametrize(
    ("warmup", "steps", "remedy"), [(31, 64, 0), (32, 64, 0), (33, 64, 6), (1, 1, 0), (2, 1, 1), (9, 0, 0)]
)
def test_a_warmup_of_half_the_run_is_borne(
    warmup: int, steps: int, remedy: int, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_warmup(InverseSqrtConfig(warmup_steps=warmup), steps)
    assert [f"schedule.warmup_steps={remedy}," in said for said in caplog.messages] == [True] * bool(remedy)


ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)
SMALLER_TRAINING, SMALLER_SEARCH = (
    "trainer.batch_tokens or model.*_size",
    "decode.batch_tokens or decode.beam_size",
)


@pytest.mark.parametrize(
    ("error", "schema", "key"),
    [
        (MemoryError(), TrainConfig, SMALLER_TRAINING),
        (MemoryError(), EvaluateConfig, SMALLER_SEARCH),
        (RuntimeError(ALLOCATOR), TrainConfig, SMALLER_TRAINING),
        (RuntimeError("Storage size calculation overflowed"), TrainConfig, SMALLER_TRAINING),
        (RuntimeError("std::bad_alloc"), TranslateConfig, SMALLER_SEARCH),
        (torch.OutOfMemoryError("CUDA out of memory. …"), TranslateConfig, SMALLER_SEARCH),
        (RuntimeError("a defect"), TrainConfig, None),
        (ValueError("out of memory"), TrainConfig, None),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Exception) else "",
)  # fmt: skip
def test_memory_that_is_too_small_is_one_line(error: Exception, schema: type, key: str | None) -> None:
    said = one_line(error, schema)
    if key is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(f"memory ran out: lower {key}, or end other programs (")
        assert "\n" not in said


def test_memory_runs_out_for_real(data: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*arguments: object, **named: object) -> None:
        torch.empty(2**50)

    monkeypatch.setattr(Trainer, "update", too_much)
    assert train(data) == 1
    assert capsys.readouterr().err.startswith("error: memory ran out: lower trainer.batch_tokens")


def test_a_defect_keeps_its_traceback(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Trainer, "update", defective)
    with pytest.raises(ZeroDivisionError):
        train(data)
