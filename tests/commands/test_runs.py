"""`seq2seq runs`: the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from inprocess import status_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import DataType
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

CODE = "import sys; from seq2seq.commands.runs import main; main(); {}"


def seq2seq_runs(*arguments: str | Path, cwd: Path, then: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE.format(then), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, bleu in (("a", 1.0), ("b", 2.0)):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "config.yaml").write_text(
            f"name: {name}\nmodel: {{decoder_size: {bleu}}}\nattention: {{name: {name}}}\n"
        )
        result = {"best": {"bleu": bleu}, "best_step": 1, "steps": 10, "seconds": 61}
        (run / "result.json").write_text(json.dumps(result))
    return tmp_path / "runs"


TABLE = [
    "run     decoder_size  attention  valid BLEU  updates     time  state",
    "runs/b  2.0           b                2.00       10  0:01:01  finished",
    "runs/a  1.0           a                1.00       10  0:01:01  finished",
]


def test_runs_of_the_default_directory_without_torch_or_hydra(runs: Path) -> None:
    ended = seq2seq_runs(cwd=runs.parent, then="assert not {'torch', 'hydra', 'omegaconf'} & {*sys.modules}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == TABLE


def test_several_directories_and_runs(runs: Path) -> None:
    ended = seq2seq_runs("runs/b", "runs", cwd=runs.parent)
    assert ended.stdout.splitlines() == [TABLE[0], TABLE[1], TABLE[1], TABLE[2]]
    one = seq2seq_runs(runs / "a", cwd=runs.parent)
    assert one.stdout.splitlines()[1].split() == [str(runs / "a"), "1.00", "10", "0:01:01", "finished"]


def test_tensorboard_starts_after_the_table(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On this directory, in place of the command, with what the runs differ in."""
    started: list[list[str]] = []
    monkeypatch.chdir(runs.parent)
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    for _ in range(2):
        assert status_of("runs", "--tensorboard") == 0
    assert capsys.readouterr().out.splitlines() == [*TABLE, *TABLE]
    assert [command[1:] for command in started] == [["-m", "tensorboard.main", "--logdir", "runs"]] * 2
    (events,) = runs.glob("events.out.tfevents.*")
    metadata = EventAccumulator(str(events)).Reload().summary_metadata["_hparams_/experiment"]
    shown = HParamsPluginData.FromString(metadata.plugin_data.content).experiment
    assert [(info.name, DataType.Name(info.type)) for info in shown.hparam_infos] == [
        ("1 model.decoder_size", "DATA_TYPE_FLOAT64"),
        ("attention.name", "DATA_TYPE_STRING"),
    ]
    assert [info.name.tag for info in shown.metric_infos][:2] == ["valid/best_bleu", "valid/bleu"]
    assert status_of("runs", "runs/a", "--tensorboard") == 0
    assert not [*(runs / "a").glob("events*")]
    assert status_of("runs", "runs/a", "--tensorboard", "runs/b") == 1
    assert capsys.readouterr().err == "error: --tensorboard takes one directory, which may hold several runs\n"


def test_damaged_and_foreign_directories_are_one_line(runs: Path) -> None:
    (runs / "b" / "config.yaml").write_text("a: [")
    (runs / "pictures").mkdir()
    ended = seq2seq_runs(cwd=runs.parent)
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 2
    foreign, damaged = ended.stderr.splitlines()
    assert damaged.startswith("runs/b/config.yaml: can't be read (")
    assert foreign == "runs/pictures: not a run, since it has no config.yaml"


@pytest.mark.parametrize(
    ("argument", "message"),
    [("nothing", "nothing: no such directory; give a run"), (".", ".: no run there; seq2seq train begins one")],
)
def test_nothing_there(tmp_path: Path, argument: str, message: str) -> None:
    ended = seq2seq_runs(argument, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: {message}")
    assert ended.stderr.count("\n") == 1
