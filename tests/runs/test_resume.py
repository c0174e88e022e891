"""k updates, a stop, k updates more: the same as 2k updates at once, bit for bit."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reversals import new_trainer, overrides, resumed, rows, settings_of, stop_at, write_reversals
from safetensors.torch import load_file

from seq2seq.errors import CheckpointError, ConfigError, DataError
from seq2seq.precision import Precision
from seq2seq.runs import directory as runs
from seq2seq.runs import ownership
from seq2seq.runs.checkpoint import read_info, read_weights
from seq2seq.storage import integrity
from seq2seq.training.tracker import Tracker, Written
from seq2seq.training.trainer import Trainer

ATTENTIONS = [
    ["attention=luong", "attention.score=dot"],
    ["attention=luong", "attention.score=general"],
    ["attention=luong", "attention.score=concat"],
    ["attention=bahdanau", "attention.size=16"],
]
OPTIONS: dict[str, list[str]] = {
    "ema": ["trainer.average=ema", "trainer.ema_decay=0.9"],
    "sampling": ["tokenizer=unigram", "tokenizer.vocab_size=300", "tokenizer.sample=true"],
    "plateau": ["schedule=plateau", "schedule.patience=0", "schedule.factor=0.5", "trainer.metric=loss"],
    "linear": ["schedule=linear"],
    "accumulate": ["trainer.accumulate=2"],
    "last": ["trainer.average=last", "trainer.keep_last=2"],
    "steps": ["trainer.validate_unit=steps", "trainer.validate_every=3", "trainer.max_steps=14"],
    "plain": ["machine.fused=false"],
    "layers": ["model.encoder_layers=2", "model.decoder_layers=2", "model.decoder_transitions=2"],
    "bf16": ["machine.precision=bf16"],
    "shortlist": ["decode.shortlist=2"],
}
TOGETHER = [*OPTIONS["ema"], *OPTIONS["sampling"], *OPTIONS["plateau"], "trainer.num_samples=1"]
SMALL = [
    "model.embedding_size=8",
    "model.encoder_size=8",
    "model.decoder_size=16",
    "model.readout_size=8",
    "model.dropout.embedding=0.2",
    "model.dropout.recurrent=0.1",
    "model.dropout.readout=0.2",
    "trainer.max_epochs=2",
    "trainer.batch_tokens=110",
    "trainer.log_every=3",
    "schedule.warmup_steps=5",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversals(tmp_path_factory.mktemp("resume"), {"train": 60, "valid": 6, "test": 6})


def weights(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Of all checkpoints but previous/, which depends on how often the run was saved."""
    paths = [path for path in run.glob("*/model.safetensors") if path.parent.name != "previous"]
    return {path.parent.name: load_file(str(path)) for path in paths}


def assert_same_run(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys() >= {"best", "last"}
    for name in ours:
        assert ours[name].keys() == theirs[name].keys()
        assert all(torch.equal(ours[name][key], theirs[name][key]) for key in ours[name]), name
    assert rows(one) == rows(other)


CASES = [(attention, "together") for attention in ATTENTIONS] + [(ATTENTIONS[1], option) for option in OPTIONS]


@pytest.mark.parametrize(("attention", "option"), CASES)
def test_a_stop_leaves_no_trace(data: Path, attention: list[str], option: str) -> None:
    name = f"{option}_{attention[-1].rpartition('=')[2]}"
    given = [*SMALL, *attention, *(TOGETHER if option == "together" else OPTIONS[option])]
    whole = new_trainer(*overrides(data, *given, f"name={name}_whole"))
    expected = whole.train()
    parts = overrides(data, *given, f"name={name}_parts")
    trainer = new_trainer(*parts)
    for stop in sorted({2, expected["steps"] // 2, expected["steps"] - 1}):
        stop_at(trainer, stop)
        assert trainer.train()["signal"] == "SIGTERM"
        trainer = resumed(*parts)
        assert trainer.state.step == stop
    ended = trainer.train()
    times = {"seconds": 0, "spent": {}}
    assert {**ended, **times} == {**expected, **times}
    assert_same_run(trainer.run.path, whole.run.path)


def test_a_run_goes_on_in_its_precision_on_any_machine(data: Path) -> None:
    given = [*SMALL, "name=rounded"]
    trainer = new_trainer(*overrides(data, *given, "machine.precision=bf16"))
    stop_at(trainer, 3)
    trainer.train()
    trainer = resumed(*overrides(data, *given))
    assert trainer.precision.name == "bf16"
    stop_at(trainer, 4)
    trainer.train()
    trainer = resumed(*overrides(data, *given, "machine.precision=fp32"))
    assert trainer.precision.name == "fp32"
    trainer.tracker.close()


def test_what_other_precisions_of_search_lose_is_recorded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.build.training.faster_in_search", lambda *_: [Precision("int8")])
    trainer = new_trainer(*overrides(data, *SMALL, "name=compared"))
    trainer.train()
    best = trainer.run.path / "best"
    assert read_info(best).bleu_losses.keys() == {"int8"}
    assert all(torch.equal(value, trainer.model.state_dict()[key]) for key, value in read_weights(best).items())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_other_signals_stop_too(data: Path, number: signal.Signals) -> None:
    trainer = new_trainer(*overrides(data, *SMALL, f"name={number.name}"))
    stop_at(trainer, 3, number)
    before = signal.getsignal(signal.SIGINT)
    result = trainer.train()
    assert (result["signal"], result["steps"]) == (number.name, 3)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_at_once(data: Path) -> None:
    trainer = new_trainer(*overrides(data, *SMALL, "name=twice"))
    stop_at(trainer, 3, signal.SIGINT)
    stop_at(trainer, 3, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()


def test_a_run_of_an_earlier_version_gets_a_lexicon(data: Path) -> None:
    given = overrides(data, *SMALL, "name=no_lexicon")
    trainer = new_trainer(*given)
    stop_at(trainer, 3)
    trainer.train()
    last = trainer.run.path / "last"
    (last / "tokenizer/lexicon.safetensors").unlink()
    info = json.loads((last / "checkpoint.json").read_text())
    del info["files"]["tokenizer/lexicon.safetensors"]
    (last / "checkpoint.json").write_text(json.dumps(info))
    trainer = resumed(*given)
    assert trainer.state.step == 3
    trainer.train()
    assert (trainer.run.path / "best/tokenizer/lexicon.safetensors").exists()
    assert (last / "tokenizer/lexicon.safetensors").exists()


def test_stopping_at_the_last_update_of_an_epoch(data: Path) -> None:
    whole = new_trainer(*overrides(data, *SMALL, "name=epoch_whole"))
    whole.train()
    parts = overrides(data, *SMALL, "name=epoch_parts")
    trainer = new_trainer(*parts)
    stop_at(trainer, len(trainer.loader.epoch(0)))
    trainer.train()
    resumed(*parts).train()
    assert_same_run(trainer.run.path, whole.run.path)


def test_between_validations_it_saves_as_often_as_asked(data: Path) -> None:
    trainer = new_trainer(*overrides(data, *SMALL, "trainer.save_every=2", "name=often"))
    saved = []
    save = trainer.run.save

    def noted(name: str, *rest: Any) -> Path:
        saved.append((name, trainer.state.step))
        return save(name, *rest)

    trainer.run.save = noted  # type: ignore[method-assign]
    steps = trainer.train()["steps"]
    assert {step for name, step in saved if name == "last"} >= set(range(2, steps, 2))


def test_more_updates_are_taken_and_other_settings_refused(data: Path) -> None:
    given = overrides(data, *SMALL, "name=more")
    new_trainer(*given).train()
    assert runs.finished_result(settings_of(*given)) is not None
    with pytest.raises(ConfigError, match=r"holds a run with other settings \(seed 1 → 2\): choose another name="):
        runs.finished_result(settings_of(*given, "seed=2"))
    longer = [*given, "trainer.max_epochs=3", "trainer.log_every=3"]
    assert runs.finished_result(settings_of(*longer)) is None
    with pytest.raises(ConfigError, match=r"could be resumed, and resume=never"):
        runs.finished_result(settings_of(*longer, "resume=never"))
    trainer = resumed(*longer)
    assert trainer.train()["epochs"] == 3
    whole = new_trainer(*overrides(data, *SMALL, "name=more_whole", "trainer.max_epochs=3"))
    whole.train()
    assert all(torch.equal(a, b) for a, b in zip(*last_weights(trainer, whole), strict=True))


def last_weights(*trainers: Trainer) -> list[list[torch.Tensor]]:
    return [[*weights(trainer.run.path)["last"].values()] for trainer in trainers]


def test_a_linear_schedule_keeps_its_length(data: Path) -> None:
    given = overrides(data, *SMALL, "schedule=linear", "name=linear_length")
    new_trainer(*given).train()
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs 2 → 3"):
        runs.finished_result(settings_of(*given, "trainer.max_epochs=3"))


def test_resume_must_needs_a_run(data: Path) -> None:
    with pytest.raises(ConfigError, match=r"resume=must: .*nothing holds no run to resume"):
        runs.finished_result(settings_of(*overrides(data, "name=nothing", "resume=must")))


@pytest.mark.parametrize("name", ["model.safetensors", "training.pt", "checkpoint.json", "config.yaml"])
def test_a_damaged_checkpoint_is_passed_over(data: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    given = overrides(data, *SMALL, "trainer.save_every=2", f"name=damaged_{name.partition('.')[0]}")
    trainer = new_trainer(*given)
    stop_at(trainer, 5)
    trainer.train()
    whole = new_trainer(*overrides(data, *SMALL, f"name=whole_{name.partition('.')[0]}"))
    whole.train()
    path = trainer.run.path / "last" / name
    path.write_bytes(path.read_bytes()[:-10])
    trainer = resumed(*given)
    assert trainer.state.step == 4
    assert f"passed over: {path}" in caplog.text
    trainer.train()
    assert_same_run(trainer.run.path, whole.run.path)


def test_a_file_that_cant_be_opened_is_no_damage(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = overrides(data, *SMALL, "trainer.save_every=2", "name=handles")
    trainer = new_trainer(*given)
    stop_at(trainer, 5)
    trainer.train()

    def refuse(path: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    with monkeypatch.context() as context:
        context.setattr(integrity, "identity", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            resumed(*given)
    trainer = resumed(*given)
    assert trainer.state.step == 5
    trainer.train()


def test_a_file_that_the_disk_does_not_give_back_is_damage(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = overrides(data, *SMALL, "trainer.save_every=2", "name=sector")
    trainer = new_trainer(*given)
    stop_at(trainer, 5)
    trainer.train()
    identity = integrity.identity

    def fail(path: Path) -> dict[str, Any]:
        if path.parent.name == "last":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return identity(path)

    with monkeypatch.context() as context:
        context.setattr(integrity, "identity", fail)
        trainer = resumed(*given)
    assert trainer.state.step == 4
    trainer.train()


def test_what_was_reported_after_the_save_is_forgotten(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.scalars("train", {"loss": 1.0}, 1)
    tracker.samples([], [], [], 1)
    saved = Written(1, tracker.flush())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    tracker.scalars("train", {"loss": 2.0}, 2)
    tracker.samples([], [], [], 2)
    tracker.close()
    died = Tracker(tmp_path, saved)
    died.scalars("train", {"loss": 3.0}, 2)
    died.close()
    assert len([*tmp_path.iterdir()]) == 4
    Tracker(tmp_path, saved).close()
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name: after.pop(name) for name in before} == before
    assert len(after) == 1  # the new one


def test_no_whole_checkpoint_is_an_error(data: Path) -> None:
    given = overrides(data, *SMALL, "name=hopeless")
    trainer = new_trainer(*given)
    stop_at(trainer, 2)
    trainer.train()
    for name in ("last", "previous"):
        (trainer.run.path / name / "training.pt").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint to resume from is whole; choose another name="):
        resumed(*given)


def test_the_whole_one_is_not_put_at_risk(data: Path) -> None:
    """A damaged checkpoint is removed, else the next save would replace the whole one with it."""
    given = overrides(data, *SMALL, "name=at_risk")
    trainer = new_trainer(*given)
    stop_at(trainer, 2)
    trainer.train()
    (trainer.run.path / "last" / "training.pt").unlink()
    settings = settings_of(*given)
    with runs.opened(settings) as path:
        assert runs.checkpoint_to_resume(settings) == path / "previous"
    assert not (path / "last").exists()


def test_best_alone_is_not_removed(data: Path) -> None:
    given = overrides(data, *SMALL, "name=lonely")
    trainer = new_trainer(*given)
    trainer.train()
    path = trainer.run.path
    for name in ("last", "previous"):
        shutil.rmtree(path / name)
    (path / "result.json").unlink()
    with pytest.raises(CheckpointError, match=r"choose another name="):
        resumed(*given)
    assert (path / "best" / "model.safetensors").exists()


@pytest.mark.parametrize("more", [[], ["overwrite=true"]])
def test_other_files_are_left_alone(data: Path, more: list[str]) -> None:
    settings = settings_of(*overrides(data, f"name=stranger{len(more)}", *more))
    path = runs.run_path(settings)
    path.mkdir(parents=True)
    for name in ("notes.txt", "result.json", ".bashrc.old", ".cache.tmp"):
        (path / name).write_text("mine")
    with (
        pytest.raises(ConfigError, match=r"holds no run, but notes.txt, result.json: choose another name="),
        runs.opened(settings),
    ):
        pass
    (path / "config.yaml").write_text("defaults: [somebody's own]\n")
    with pytest.raises(CheckpointError, match=r"config.yaml: not a config of this version"), runs.opened(settings):
        pass
    (path / "config.yaml").write_bytes(b"\xff")
    with pytest.raises(CheckpointError, match=r"config.yaml: not a config of this version"), runs.opened(settings):
        pass
    (path / "config.yaml").unlink()
    (path / "config.yaml").mkdir()
    with (
        pytest.raises(CheckpointError, match=r"config.yaml: can't be read \(Is a dir"),
        runs.opened(settings),
    ):
        pass
    assert len(list(path.iterdir())) == 5


def test_a_failing_start_leaves_the_finished_run(data: Path) -> None:
    given = overrides(data, *SMALL, "name=precious")
    trainer = new_trainer(*given)
    trainer.train()
    path = trainer.run.path
    with pytest.raises(DataError):
        resumed(*given, "overwrite=true", f"data.train.src={data / 'nowhere'}")
    assert (path / "best" / "model.safetensors").exists()
    assert runs.finished_result(settings_of(*given)) is not None


def test_a_run_without_a_checkpoint_begins_again(data: Path) -> None:
    given = overrides(data, *SMALL, "name=early")
    trainer = new_trainer(*given)
    trainer.tracker.close()
    (trainer.run.path / "step-3").mkdir()
    for name in ("notes.txt", "step-3/mine.txt"):
        (trainer.run.path / name).touch()
    settings = settings_of(*given)
    with runs.opened(settings) as path:
        assert runs.checkpoint_to_resume(settings) is None
        runs.begin(path)
        left = {".lock", "config.yaml", "sources.json", "notes.txt", "step-3"}
        assert {file.name for file in path.iterdir()} == left
        assert (path / "step-3" / "mine.txt").exists()


def test_a_death_while_overwriting_leaves_no_run_to_resume(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever file it had come to: either nothing is left, or the old run is still known by its settings."""
    given = overrides(data, *SMALL, "name=half")
    trainer = new_trainer(*given)
    trainer.train()
    path = trainer.run.path
    removed = []

    def dies(file: Path) -> None:
        removed.append(file.name)
        if len(removed) == 3:
            raise KeyboardInterrupt
        ownership.remove_own(file)

    monkeypatch.setattr(runs, "remove_own", dies)
    with pytest.raises(KeyboardInterrupt):
        runs.begin(path)
    assert (path / "config.yaml").exists()
    with pytest.raises(ConfigError, match=r"seed 1 → 2"):
        runs.finished_result(settings_of(*given, "seed=2"))


def test_training_leaves_other_generators_alone(data: Path) -> None:
    """So they need not be saved."""
    trainer = new_trainer(*overrides(data, *SMALL, "name=generators"))
    np.random.seed(1)
    before = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # type: ignore[index,call-overload]
    trainer.train()
    after = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # type: ignore[index,call-overload]
    assert after == before


def test_a_run_that_was_pruned_can_be_resumed(data: Path) -> None:
    """It has been saved as it was when a validation ended it."""
    given = overrides(data, "trainer.max_epochs=3", "trainer.batch_tokens=150")
    alone, pruned = new_trainer(*given, "name=unpruned"), new_trainer(*given, "name=pruned")

    def prune(when: int, value: float) -> None:
        raise ZeroDivisionError

    pruned.on_validation = prune
    with pytest.raises(ZeroDivisionError):
        pruned.train()
    assert pruned.state.epoch == 1
    alone.train()
    resumed(*given, "name=pruned").train()
    assert_same_run(alone.run.path, pruned.run.path)
