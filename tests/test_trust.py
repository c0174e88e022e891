"""Files from elsewhere that would run code if they were trusted: each is refused with one line, and none runs."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from reversals import new_trainer, overrides, settings_of, write_reversals

from seq2seq.build.inference import load_run
from seq2seq.build.training import training
from seq2seq.errors import UserError
from seq2seq.runs import checkpoint
from seq2seq.runs import directory as runs
from seq2seq.storage import integrity

SMALL = ["trainer.max_steps=2", "tokenizer=unigram", "tokenizer.vocab_size=300"]


class Malice:
    """Touches a file when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = write_reversals(tmp_path_factory.mktemp("trust"), {"train": 60, "valid": 6, "test": 6})
    new_trainer(*overrides(data, *SMALL, "name=made")).train()
    return data


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be spoiled."""
    return shutil.copytree(made / "runs" / "made", tmp_path / "copy")


def pickled(path: Path, witness: Path) -> None:
    path.write_bytes(pickle.dumps(Malice(witness)))


def saved_by_torch(path: Path, witness: Path) -> None:
    torch.save({"state": Malice(witness)}, path)


def tagged_yaml(path: Path, witness: Path) -> None:
    path.write_text(f"name: !!python/object/apply:os.system ['touch {witness}']\n")


def with_a_target(path: Path, witness: Path) -> None:
    path.write_text(path.read_text() + "_target_: os.system\n")


def list_anew(path: Path) -> None:
    """Make a directory's own list of files, ``path``, agree with what they are now, as an attacker would."""
    fields = json.loads(path.read_text())
    fields["files"] = {name: integrity.identity(path.parent / name) for name in fields["files"]}
    path.write_text(json.dumps(fields))


PLACES = [
    ("model.safetensors", pickled),
    ("model.safetensors", saved_by_torch),
    ("training.pt", pickled),
    ("training.pt", saved_by_torch),
    ("tokenizer/joint.subwords", pickled),
    ("config.yaml", tagged_yaml),
    ("config.yaml", with_a_target),
    ("checkpoint.json", pickled),
]


def use(run: Path, training: bool) -> None:
    """Resume the run, or translate with it."""
    if training:
        checkpoint.read_info(run / "last")
        checkpoint.read_training(run / "last")
    else:
        load_run(run, "last")


@pytest.mark.parametrize(("name", "spoil"), PLACES)
def test_no_file_of_a_run_can_run_code(
    run: Path, tmp_path: Path, name: str, spoil: Callable[[Path, Path], None]
) -> None:
    witness = tmp_path / "witness"
    spoil(run / "last" / name, witness)
    if name != "checkpoint.json":
        list_anew(run / "last" / "checkpoint.json")
    with pytest.raises(UserError) as raised:
        use(run, training=name == "training.pt")
    assert "\n" not in str(raised.value)
    assert name.partition("/")[0] in str(raised.value)
    assert not witness.exists()


@pytest.mark.parametrize("name", ["joint.subwords", "src.npy", "tgt.starts.npy", "contents.json"])
@pytest.mark.parametrize("spoil", [pickled, saved_by_torch])
def test_no_file_of_the_cache_can_run_code(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path, Path], None], name: str
) -> None:
    """It is opened, since the cache's own list agrees with it, refused with one line and made again."""
    (entry,) = shutil.copytree(made / "cache", tmp_path / "cache").glob("tokenizer-*")
    spoil(entry / name, tmp_path / "witness")
    if name != "contents.json":
        list_anew(entry / "contents.json")
    settings = settings_of(*overrides(made, *SMALL, "name=cached"), f"data.cache_dir={tmp_path / 'cache'}")
    with runs.opened(settings):
        training(settings).tracker.close()
    (message,) = [line for line in caplog.messages if "trained again" in line]
    assert "\n" not in message
    assert not (tmp_path / "witness").exists()
    if name != "contents.json":  # which has the times of the files too
        assert message.startswith(f"{entry / name}: not ")
        assert (entry / name).read_bytes() == (made / "cache" / entry.name / name).read_bytes()
