"""`seq2seq tune`: the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from inprocess import error_line, status_of
from reversals import overrides, write_reversals

from seq2seq.commands import tune
from seq2seq.commands.train import train
from seq2seq.errors import TrainingError
from seq2seq.settings.schema import TrainConfig

ROOT = Path(__file__).parents[2]
Output = pytest.CaptureFixture[str]
RATE = "optimizer.lr=tag(log,interval(1e-6,1e-2))"


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    data = write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 1})
    short = ["trainer.metric=loss", "trainer.max_epochs=2", "trainer.batch_tokens=150", "schedule.warmup_steps=1"]
    return [*(one for one in overrides(data, *short, "name=s") if "optimizer.lr" not in one), "startup=1"]


def table(said: str) -> list[list[str]]:
    return [line.split() for line in said.rpartition("\n\n")[2].splitlines()]


def test_trials_are_ranked_pruned_and_may_fail(
    given: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing: list[str] = []

    def first_fails(settings: TrainConfig, **more: object) -> float:
        failing.append(str(settings.name))
        if len(failing) == 1:
            raise TrainingError("diverged")
        return train(settings, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(tune, "train", first_fails)
    assert status_of("tune", *given, RATE, "trials=6") == 1
    said = capsys.readouterr()
    heading, *rows = table(said.out)
    assert heading == ["run", "lr", "valid", "loss", "valid", "BLEU", "updates", "time", "state"]
    states = [row[-1] for row in rows[:6]]
    assert states.count("failed") == 1
    assert states[-1] == "failed"  # it has no score
    assert states.count("pruned") == said.out.count(": pruned at epoch 1: loss ") > 0
    losses = [float(row[2]) for row in rows[:5]]
    assert losses == sorted(losses)
    assert said.err == f"error: optimizer.lr={rows[5][1]}: diverged\n"
    assert " ".join(rows[6]) == f"failed: optimizer.lr={rows[5][1]}: diverged"
    assert rows[7][-1] == "--tensorboard"
    assert status_of("tune", *given, RATE, "trials=6") == 1  # nothing is left to do
    again = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert again[1:7] == [heading, *rows[:5]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "nothing to search over: give KEY=A,B or 'KEY=interval(LOW,HIGH)'; seq2seq tune --help"),
        (["optimizer.rl=0.1,0.2"], "optimizer.rl: no such setting"),
        (["optimizer.lr=0.1,fast"], "optimizer.lr=fast: expected number, more than 0, at most 1,000"),
        (["attention=luong,bahdanu"], "attention=bahdanu: unknown; valid: bahdanau, luong"),
        (["attention=glob(*)"], "attention=glob(*): name the options, separated by commas"),
        (["trainer.metric=bleu,chrf"], "trainer.metric: takes one value; it can't be searched over"),
        (["seed=1,2", "trials=0"], "trials=0: expected integer, 1 to 100,000"),
        (["seed=1,"], "seed=1,: not an override"),
    ],
)
def test_a_mistake_starts_nothing(
    given: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert error_line("tune", *given).startswith(message)
    assert not (tmp_path / "runs" / "study.journal").exists()


@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_intervals_are_for_this_command(flags: list[str]) -> None:
    line = error_line("train", *flags, "optimizer.lr=interval(1,2)")
    assert line == "interval(LOW,HIGH) and the like are for seq2seq tune; train -m takes KEY=A,B"


def test_without_the_extra() -> None:
    hidden = "import sys; sys.modules['optuna'] = None; sys.argv[1:] = ['tune', 'seed=1,2']"
    code = f"{hidden}; from seq2seq.commands import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: seq2seq tune needs Optuna: pip install 'seq2seq-nmt[sweeps]'\n"


@pytest.mark.system
def test_trials_side_by_side(given: list[str]) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "tune.py"), *given, RATE, "trials=6", "jobs=2"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    states = [row[-1] for row in table(ended.stdout)[1:-1]]
    assert len(states) == 6
    assert states[0] == "finished"
    assert set(states) == {"finished", "pruned"}
