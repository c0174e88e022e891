"""A run's directory at a start: renamed, new, or left behind by a start that failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from reversals import overrides, settings_of, write_reversals
from safetensors.torch import load_file

from seq2seq.build.training import training
from seq2seq.errors import ConfigError, DataError
from seq2seq.runs import directory
from seq2seq.runs.checkpoint import RunDirectory
from seq2seq.runs.layout import run_path
from seq2seq.settings.compose import to_yaml
from seq2seq.settings.schema import TrainConfig
from seq2seq.text.lexicon import Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

SMALL = ["trainer.batch_tokens=150", "trainer.num_samples=0", "schedule.warmup_steps=2"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_reversals(tmp_path, {"train": 40, "valid": 4, "test": 4})


def train(config: TrainConfig) -> dict[str, object]:
    """As the command does, without its messages."""
    assert directory.finished_result(config) is None
    with directory.opened(config):
        return training(config, directory.checkpoint_to_resume(config)).train()


def test_a_renamed_run_is_the_same_run(data: Path) -> None:
    first, whole, renamed = (
        settings_of(*overrides(data, *SMALL, f"name={name}", f"trainer.max_epochs={epochs}"))
        for name, epochs in [("a", 1), ("whole", 2), ("b", 2)]
    )
    train(first)
    run_path(first).rename(run_path(renamed))
    resumed_from = settings_of(*overrides(data, *SMALL, "name=b", "trainer.max_epochs=1"))
    assert (directory.finished_result(resumed_from) or {})["stopped"] == "max_epochs=1"
    result = train(renamed)
    assert result["epochs"] == 2
    assert directory.finished_result(renamed) is not None
    train(whole)
    one, other = (load_file(run_path(config) / "last" / "model.safetensors") for config in (renamed, whole))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "name: b\n" in (run_path(renamed) / "config.yaml").read_text()


@pytest.mark.parametrize("log", [True, False])
def test_a_start_that_fails_leaves_no_directory(data: Path, log: bool) -> None:
    (data / "train.src").write_bytes(b"a\xff\n" * 40)
    config = settings_of(*overrides(data, *SMALL, f"runs_dir={data}/x/y", "name=bad"))
    with pytest.raises(DataError), directory.opened(config) as path:  # noqa: PT012
        if log:
            (path / directory.LOG).write_text("a line\n")
        training(config)
    assert not (data / "x").exists()


@pytest.mark.parametrize("there", [".lock", "train.log", ".notes"])
def test_what_was_there_is_never_removed(data: Path, there: str) -> None:
    config = settings_of(*overrides(data, *SMALL, "name=bad"))
    run_path(config).mkdir(parents=True)
    (run_path(config) / there).write_text("kept")
    with pytest.raises(DataError), directory.opened(config):
        raise DataError("bad")
    assert (run_path(config) / there).exists()


def test_what_another_has_put_into_the_new_directory_is_kept(data: Path) -> None:
    config = settings_of(*overrides(data, *SMALL, "name=bad"))
    with pytest.raises(DataError), directory.opened(config) as path:  # noqa: PT012
        (path / "notes.txt").write_text("kept")
        raise DataError("bad")
    assert (run_path(config) / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_what_a_checkpoint_would_replace_is_refused_at_the_start(data: Path, overwrite: str) -> None:
    config = settings_of(*overrides(data, *SMALL, "name=a", f"overwrite={overwrite}"))
    with directory.opened(config) as path:
        lexicon = Lexicon(*[torch.zeros(0, dtype=torch.int32)] * 3)
        RunDirectory(path, to_yaml(config), TokenizerPair(*[WordTokenizer([])] * 2), lexicon)
    for there in ("best", "tokenizer", "previous"):
        (path / there).mkdir(exist_ok=True)
        (path / there / "notes.txt").write_text("mine")
        line = f"{path}/{there}/notes.txt was not written by seq2seq and would be lost: move it elsewhere"
        with pytest.raises(ConfigError, match=line), directory.opened(config):
            pass
        (path / there / "notes.txt").rename(path / f"{there}.txt")
    with directory.opened(config):
        directory.begin(path)
    assert {file.name for file in path.iterdir()} == {
        *(".lock", "config.yaml", "best.txt", "tokenizer.txt", "previous.txt"),
    }


def test_a_start_that_saved_nothing_does_not_bind_the_next(data: Path) -> None:
    tight = settings_of(*overrides(data, *SMALL, "name=a", "trainer.max_epochs=1"))
    with directory.opened(tight):
        training(tight).tracker.close()  # writes config.yaml; then, say, memory is too small
    other = settings_of(*overrides(data, *SMALL, "name=a", "trainer.max_epochs=1", "trainer.batch_tokens=120"))
    assert train(other)["epochs"] == 1
    with pytest.raises(ConfigError, match=r"other settings \(trainer\.batch_tokens 120 → 150\)"):
        directory.finished_result(tight)
    shutil.rmtree(run_path(other) / "last")  # best/ is still something to lose
    with pytest.raises(ConfigError, match=r"other settings"):
        directory.finished_result(tight)
