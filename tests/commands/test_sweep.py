"""Sweeps (-m): the name of each job, failures, stops, the table."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from inprocess import error_line, status_of
from reversals import new_trainer, overrides, write_reversals
from safetensors.torch import load_file

from seq2seq.commands.sweep import Sweep, report
from seq2seq.data.batch import Batch
from seq2seq.errors import ConfigError
from seq2seq.machine import usable_cores
from seq2seq.runs import directory
from seq2seq.runs.directory import checkpoint_to_resume
from seq2seq.settings.compose import SweepJob
from seq2seq.settings.schema import EvaluateConfig, TrainConfig
from seq2seq.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
SMALL = ["trainer.max_steps=2", "trainer.batch_tokens=150", "trainer.num_samples=0", "schedule.warmup_steps=1"]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_reversals(tmp_path, {"train": 40, "valid": 4, "test": 4})


def sweep(data: Path, *given: str) -> int:
    return status_of("train", "-m", *overrides(data, *SMALL), *given)


JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def started(data: Path, *given: str) -> subprocess.Popen[str]:
    """A sweep in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", *overrides(data, *given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
    )


def names(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "runs").iterdir())


def table(output: Output) -> list[list[str]]:
    """The cells of what was printed after the last blank line, without the hint at the end."""
    lines = output.readouterr().out.rpartition("\n\n")[2].splitlines()
    return [line.split() for line in lines if not line.startswith("the same table")]


def test_default_names_tell_what_is_swept(data: Path, capsys: Output) -> None:
    assert sweep(data, "optimizer.lr=0.001,0.002") == 0
    base = "files_de_en_luong_general_word_seed1"
    assert names(data) == [f"{base}_lr-0.001", f"{base}_lr-0.002"]
    heading, *rows = table(capsys)
    assert heading == ["run", "lr", "valid", "BLEU", "updates", "time", "state"]
    assert sorted(row[:2] for row in rows) == [[f"{base}_lr-{rate}", rate] for rate in ("0.001", "0.002")]
    assert [row[-1] for row in rows] == ["finished"] * 2
    assert sorted(path.name for path in data.iterdir() if not path.is_file()) == ["cache", "runs"]
    one = load_file(data / "runs" / f"{base}_lr-0.002" / "last" / "model.safetensors")
    alone = new_trainer(*overrides(data, *SMALL, "optimizer.lr=0.002", "name=alone"))
    alone.train()
    state = alone.model.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in one.items())
    assert sweep(data, "optimizer.lr=0.001,2e-3") == 0  # the same, again
    assert capsys.readouterr().out.count("nothing to do") == 2


def test_an_experiment_is_swept_over_seeds_and_groups(data: Path, capsys: Output) -> None:
    (data / "experiment").mkdir()
    (data / "experiment" / "fixed.yaml").write_text("# @package _global_\nname: fixed\n")
    given = ["experiment=fixed", "attention=luong,bahdanau", "seed=1,2"]
    assert sweep(data, "trainer.metric=loss", *given, "--config-dir", str(data)) == 0
    expected = [f"fixed_attention-{name}_seed-{seed}" for name in ("bahdanau", "luong") for seed in (1, 2)]
    assert names(data) == expected
    heading, *rows = table(capsys)
    assert heading == [
        "run",
        "attention",
        "seed",
        *["valid", "loss"],
        *["valid", "BLEU"],
        "updates",
        "time",
        "state",
    ]
    assert sorted(row[0] for row in rows) == expected
    losses = [float(row[3]) for row in rows]
    assert losses == sorted(losses)


def test_a_name_that_tells_by_itself_is_kept(data: Path) -> None:
    assert sweep(data, "name=s${seed}", "seed=1,2") == 0
    assert names(data) == ["s1", "s2"]


def test_a_job_that_fails_stops_no_other(data: Path, capsys: Output) -> None:
    assert sweep(data, "attention.score=dot", "name=a", "model.decoder_size=63,64", "machine.num_threads=1") == 1
    assert names(data) == ["a_decoder_size-64"]
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    message = "model.decoder_size=63: attention.score=dot compares model.decoder_size=63 with"
    assert line.startswith(f"error: {message}")
    rows = said.out.rpartition("\n\n")[2].splitlines()
    assert rows[1].split()[:2] == ["a_decoder_size-64", "64"]
    assert rows[2].split() == ["63", "failed"]
    assert rows[3].startswith(f"failed: {message}")
    assert "Traceback" not in said.out + said.err


def test_an_error_within_a_job_stops_no_other(data: Path, capsys: Output) -> None:
    (data / "empty").write_text("")
    given = [f"data.valid.src={data}/empty,{data}/valid.src", "name=a"]
    assert sweep(data, *given) == 1
    (run,) = names(data)  # the failed one has left no directory
    assert "_src-" in run
    assert [row[-1] for row in table(capsys)[1:3]] == ["finished", "failed"]


def test_a_defect_is_shown_in_full_and_stops_no_other(
    data: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.update

    def defective(self: Trainer, batches: list[Batch]) -> None:
        if self.run.path.name.endswith("seed-1"):
            raise ZeroDivisionError("a defect")
        original(self, batches)

    monkeypatch.setattr(Trainer, "update", defective)
    assert sweep(data, "name=a", "seed=1,2") == 1
    said = capsys.readouterr()
    assert said.out.count("Traceback") == 1
    assert "ZeroDivisionError: a defect" in (data / "runs" / "a_seed-1" / "train.log").read_text()
    assert said.err == "error: seed=1: ZeroDivisionError: a defect\n"
    assert (data / "runs" / "a_seed-2" / "result.json").exists()
    assert "seed=1: ZeroDivisionError" not in (data / "runs" / "a_seed-2" / "train.log").read_text()


def test_a_mistake_in_the_sweep_itself_starts_nothing(data: Path, capsys: Output) -> None:
    assert sweep(data, "optimizer.lr=0.1,fast") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (data / "runs").exists()


@pytest.mark.system
def test_a_sweep_is_stopped_and_resumed(data: Path, capsys: Output) -> None:
    process = started(data, *SMALL, "name=a", "seed=1,2", "trainer.max_steps=100000", "trainer.max_epochs=null")
    deadline = time.monotonic() + 120
    while not (data / "runs" / "a_seed-1" / "last").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert "stopped: SIGTERM after update" in out
    assert names(data) == ["a_seed-1"]
    step = json.loads((data / "runs" / "a_seed-1" / "last" / "checkpoint.json").read_text())["step"]
    assert sweep(data, "name=a", "seed=1,2", "trainer.max_steps=100000", "trainer.max_epochs=1") == 0
    assert f"resuming from {data}/runs/a_seed-1/last, update {step:,}" in capsys.readouterr().out
    assert names(data) == ["a_seed-1", "a_seed-2"]


def test_a_sweep_is_stopped_between_jobs(data: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a job, while the next one starts too."""
    original = checkpoint_to_resume

    def signalled(settings: TrainConfig) -> Path | None:
        if settings.seed == 2:
            assert signal.getsignal(signal.SIGTERM) is not before  # else it would end this process
            signal.raise_signal(signal.SIGTERM)
        return original(settings)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(directory, "checkpoint_to_resume", signalled)
    assert sweep(data, "name=a", "seed=1,2,3") == 75
    assert signal.getsignal(signal.SIGTERM) is before
    said = capsys.readouterr().out
    assert "stopped: SIGTERM between two jobs; the same command resumes\n" in said
    assert said.splitlines()[-1].split()[::4] == ["a_seed-1", "finished"]
    assert names(data) == ["a_seed-1"]
    monkeypatch.undo()
    assert sweep(data, "name=a", "seed=1,2") == 0
    assert "nothing to do" in capsys.readouterr().out


def test_evaluations_are_swept(data: Path, capsys: Output) -> None:
    new_trainer(*overrides(data, *SMALL, "name=a")).train()
    run = data / "runs" / "a"
    assert status_of("evaluate", "-m", f"run={run},{run}x", "decode.beam_size=1,2", "bootstrap=0") == 1
    heading, *rows = table(capsys)[:5]
    assert heading == ["run", "beam_size", "BLEU", "state"]
    assert sorted(row[:2] + row[3:] for row in rows[:2]) == [[str(run), size, "finished"] for size in ("1", "2")]
    assert rows[2:] == [[f"{run}x", size, "failed"] for size in ("1", "2")]
    shutil.rmtree(run / "evaluation")
    (run / "evaluation").write_text("mine")
    assert status_of("evaluate", f"run={run}", "decode.beam_size=1", "bootstrap=0") == 1
    assert f"error: {run}/evaluation: not a directory" in capsys.readouterr().err


def test_what_sweepers_go_by() -> None:
    def task(settings: float) -> float:
        if settings < 0:
            raise ConfigError("below 0")
        return settings

    jobs = Sweep(task, EvaluateConfig, [])
    given = enumerate((1.5, -1.0, 2.5))
    values = [jobs.run(SweepJob({"x": str(x)}, "", number), lambda x=x: x) for number, x in given]
    assert values == [1.5, pytest.approx(math.nan, nan_ok=True), 2.5]
    assert [outcome.row.state for outcome in jobs.outcomes()] == ["finished", "failed", "finished"]
    assert report(jobs.outcomes()).splitlines() == [
        "",
        "x     BLEU  state",
        "2.5   2.50  finished",
        "1.5   1.50  finished",
        "-1.0        failed",
        "failed: x=-1.0: below 0",
    ]
    for ending in (SystemExit(75), KeyboardInterrupt(), BrokenPipeError()):

        def end(settings: float, ending: BaseException = ending) -> float:
            raise ending

        with pytest.raises(type(ending)):
            Sweep(end, EvaluateConfig, []).run(SweepJob({"x": "1"}, ""), lambda: 1.0)


@pytest.mark.system
def test_jobs_side_by_side(data: Path) -> None:
    """They train what they train alone, share the cores, and keep their output to their logs."""
    given = ["name=a", "machine.num_threads=null", "attention.score=dot", "model.decoder_size=63,64"]
    ended = started(data, *SMALL, *given, *JOBLIB).communicate(timeout=120)
    out, err = (text.splitlines() for text in ended)
    path = f"{data}/runs/a_decoder_size-64"
    assert out[0] == f"model.decoder_size=64: {path}"
    assert out[1].startswith("model.decoder_size=64: finished, valid BLEU ")
    assert [line.split()[-1] for line in out[3:6]] == ["state", "finished", "failed"]
    assert len(err) == 1
    assert err[0].startswith("error: model.decoder_size=63: attention.score=dot compares")
    assert f"cpu, {max(1, usable_cores() // 2)} threads" in (Path(path) / "train.log").read_text()
    alone = new_trainer(*overrides(data, *SMALL, "attention.score=dot", "name=alone"))
    alone.train()
    state = alone.model.state_dict()
    weights = load_file(Path(path) / "last" / "model.safetensors")
    assert all(torch.equal(state[name], weight) for name, weight in weights.items())


@pytest.mark.system
def test_jobs_side_by_side_are_stopped_and_resumed(data: Path, capsys: Output) -> None:
    given = ["name=a", "seed=1,2,3", "trainer.max_steps=100000", "trainer.max_epochs=null"]
    process = started(data, *SMALL, *given, *JOBLIB)
    deadline = time.monotonic() + 120
    while len([*(data / "runs").glob("*/last")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (75, "")
    assert out.splitlines()[-1] == "stopped: SIGTERM; the same command resumes"
    assert names(data) == ["a_seed-1", "a_seed-2"]
    saved = [
        json.loads((run / "last" / "checkpoint.json").read_text())["step"] for run in (data / "runs").iterdir()
    ]
    assert min(saved) > 0
    longer = f"trainer.max_steps={max(saved) + 1}"  # one may be far ahead of the other
    assert sweep(data, *given[:2], longer, "trainer.max_epochs=null") == 0
    assert capsys.readouterr().out.count("resuming from") == 2
    assert names(data) == ["a_seed-1", "a_seed-2", "a_seed-3"]


@pytest.mark.system
def test_jobs_of_submitit(data: Path) -> None:
    given = ["name=a", "seed=1,2", "hydra/launcher=submitit_local", f"hydra.sweep.dir={data / 'jobs'}"]
    process = started(data, *SMALL, *given)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["a_seed-1", "a_seed-2"]
    logs = [path.read_text() for path in (data / "jobs").glob(".submitit/*/*_log.out")]
    assert len(logs) == 2
    assert all("finished: max_steps=2" in log for log in logs)


@pytest.mark.parametrize("launcher", ["joblib", "submitit_slurm"])
def test_a_launcher_that_is_not_installed(launcher: str, tmp_path: Path) -> None:
    given = ["seed=1,2", f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path}"]
    assert without_extra("train", "-m", *given) == (
        f"error: hydra/launcher={launcher} needs an extra: pip install 'seq2seq-nmt[sweeps]'\n"
    )


def test_jobs_on_other_machines_need_a_directory_for_all() -> None:
    assert error_line("train", "-m", "seed=1,2", "hydra/launcher=submitit_slurm") == (
        "hydra/launcher=submitit_slurm: give hydra.sweep.dir=DIR, on a disk that all nodes see"
    )


def without_extra(*arguments: str) -> str:
    """What a command says in an environment without the packages of the extra."""
    hidden = "sys.modules.update({'hydra_plugins': None, 'optuna': None})"
    code = f"import sys\n{hidden}\nsys.argv[1:] = {list(arguments)}\nfrom seq2seq.commands import main\nmain()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr
