"""Fine-tuning: a run that starts from another's weights and vocabulary, and needs that one no more afterwards."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from inprocess import status_of
from reversals import new_trainer, overrides, reported, resumed, rows, stop_at, trained_run, write_reversals
from safetensors.torch import load_file, save_file

from seq2seq.report.card import card
from seq2seq.runs.sources import read_corpus
from seq2seq.settings.compose import read_train_config
from seq2seq.storage.integrity import identities, sha256
from seq2seq.text.tokenizer_pair import TokenizerPair

PARENT = ["trainer.max_steps=12", "schedule.warmup_steps=5", "name=parent"]
STEPS = ["trainer.validate_unit=steps", "trainer.validate_every=1", "schedule.warmup_steps=1"]
TINY = ["trainer.max_steps=1", "optimizer.lr=1e-12", *STEPS]
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("parent"), 60, *PARENT)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Other text than the parent's: z in place of a, which the parent has never seen."""
    (tmp_path / "data").mkdir()
    data = write_reversals(tmp_path / "data", {"train": 40, "valid": 6, "test": 6}, seed=1)
    for file in [*data.glob("*.src"), *data.glob("*.tgt")]:
        file.write_text(file.read_text().replace("a", "z"))
    return data


def child(data: Path, parent: Path, *given: str) -> list[str]:
    settings = ["trainer.batch_tokens=150", "name=child"]
    return overrides(data, *settings, f"init_from={parent}", *given)


def contents(run: Path) -> dict[str, bytes]:
    """Of all files but the lock and the log, which a start that fails may leave in another run."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in (".lock", "train.log")]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def weights(run: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return load_file(run / name / "model.safetensors")


@pytest.mark.parametrize("average", ["none", "ema"])
def test_a_child_begins_as_its_parent_ends(parent: Path, average: str, caplog: pytest.LogCaptureFixture) -> None:
    """On the parent's data, with updates that change nothing."""
    data = parent.parents[1]
    with caplog.at_level(logging.INFO):
        trainer = new_trainer(*child(data, parent, *TINY, f"name={average}", f"trainer.average={average}"))
    trainer.train()
    ended = json.loads((parent / "result.json").read_text())
    assert f"weights from {parent} (update {ended['best_step']}), and its vocabulary" in caplog.messages
    (valid,) = reported(trainer, "valid")
    assert {name: valid[name] for name in ended["best"]} == pytest.approx(ended["best"], abs=1e-4)
    before, after = weights(parent), weights(trainer.run.path)
    assert all(torch.allclose(before[name], after[name], atol=1e-7) for name in before)


def test_two_parents_give_the_mean_of_their_weights(parent: Path) -> None:
    """Without an update (max_epochs=0), best/ is the mean, validated."""
    data = parent.parents[1]
    for name, seed in (("one", 1), ("two", 2)):
        given = ["trainer.max_steps=3", "trainer.average=none", "optimizer.lr=1e-2", *STEPS]
        assert status_of("train", *child(data, parent, *given, f"seed={seed}", f"name={name}")) == 0
    pair = [parent.parent / name for name in ("one", "two")]
    given = [*child(data, parent), f"init_from=[{pair[0]},{pair[1]}]", "trainer.max_epochs=0", "name=mean"]
    assert status_of("train", *given) == 0
    run = parent.parent / "mean"
    one, two, mean = map(weights, (*pair, run))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    assert all(torch.allclose(mean[name], (one[name] + two[name]) / 2, atol=1e-7) for name in mean)
    result = json.loads((run / "result.json").read_text())
    assert (result["steps"], result["stopped"]) == (0, "max_epochs=0")
    (valid,) = (row for row in rows(run) if row["kind"] == "valid")
    assert valid["bleu"] == result["best"]["bleu"]
    hashes = " ".join(sha256(path / "best/model.safetensors") for path in pair)
    assert json.loads((run / "sources.json").read_text())["init_from"] == hashes
    corpus = read_corpus(run)
    assert "started from the mean of the weights and from the vocabulary of one and two" in card(
        "mean", read_train_config(run / "config.yaml"), corpus, result
    )
    assert status_of("train", *given) == 0  # nothing to do
    assert status_of("evaluate", f"run={run}", "bootstrap=0") == 0


def test_the_vocabulary_is_the_parents_and_the_lexicon_the_childs(parent: Path, data: Path) -> None:
    trainer = new_trainer(*child(data, parent, *TINY))
    trainer.train()
    run, other = trainer.run.path, data / "runs" / "alone"
    pair = TokenizerPair.load(run / "best" / "tokenizer")
    assert pair.fingerprint() == TokenizerPair.load(parent / "best" / "tokenizer").fingerprint()
    assert pair.src.encode(["z b"])[0] == [1, *pair.src.encode(["b"])[0]]
    lexicons = [path / "tokenizer" / "lexicon.safetensors" for path in (run, parent)]
    assert lexicons[0].read_bytes() != lexicons[1].read_bytes()
    alone = new_trainer(*overrides(data, *TINY, "name=alone"))
    alone.train()
    assert TokenizerPair.load(other / "best" / "tokenizer").src.encode(["z"]) != [[1]]


def test_a_child_knows_its_parent(parent: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings have where it was, its record and its reports which weights they were, after a stop as well."""
    monkeypatch.chdir(parent.parent)
    given = child(data, Path("parent"), *TINY, "trainer.max_steps=2")
    trainer = new_trainer(*given)
    stop_at(trainer, 1)
    trainer.train()
    trainer = resumed(*given)
    trainer.train()
    run, expected = trainer.run.path, sha256(parent / "best" / "model.safetensors")
    assert read_train_config(run / "config.yaml").init_from == str(parent)
    assert json.loads((run / "sources.json").read_text())["init_from"] == expected
    assert read_corpus(run)["files"][-1] == {"key": "init_from", "file": "parent", "sha256": expected}


def test_a_child_resumes_without_its_parent(parent: Path, data: Path, tmp_path: Path) -> None:
    """Bit for bit; best/ alone serves as a parent."""
    shutil.copytree(parent / "best", tmp_path / "gone")
    given = child(data, tmp_path / "gone", *STEPS, "trainer.max_steps=6", "trainer.validate_every=3")
    whole = new_trainer(*given, "name=whole")
    whole.train()
    trainer = new_trainer(*given, "name=parts")
    stop_at(trainer, 3)
    trainer.train()
    shutil.rmtree(tmp_path / "gone")
    shutil.rmtree(data / "cache")
    trainer = resumed(*given, "name=parts")
    assert trainer.state.step == 3
    trainer.train()
    for name in ("best", "last"):
        ours, theirs = weights(trainer.run.path, name), weights(whole.run.path, name)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert rows(trainer.run.path) == rows(whole.run.path)
    assert status_of("train", *given, "name=parts") == 0  # there is nothing to do


def test_a_child_has_one_parent(parent: Path, data: Path, tmp_path: Path, capsys: Output) -> None:
    """Another is refused, as is none; the same one may have moved together with the child."""
    place = shutil.copytree(parent, tmp_path / "parent")
    given = child(data, place, *TINY)
    new_trainer(*given).train()
    for asked in (f"init_from={parent}", "init_from=null"):
        assert status_of("train", *given, asked) == 1
        told = capsys.readouterr().err
        assert f"holds a run with other settings (init_from {place} → {asked.split('=')[1]}" in told.replace(
            "None", "null"
        )
    (tmp_path / "moved").mkdir()
    for directory in (data, place):
        directory.rename(tmp_path / "moved" / directory.name)
    moved = child(tmp_path / "moved" / "data", tmp_path / "moved" / "parent", *TINY)
    assert status_of("train", *moved) == 0
    assert "nothing to do" in capsys.readouterr().out


REFUSED = [
    (["init_from=[]"], "init_from=[]: expected a directory, or a list of directories"),
    (["init_from=[PARENT,nowhere]"], "init_from=nowhere: no such directory; "),
    (
        ["init_from=null", "trainer.max_epochs=0"],
        "trainer.max_epochs=0: there is nothing to save without init_from=RUN, or [RUN,RUN]",
    ),
    (["init_from=nowhere"], "init_from=nowhere: no such directory; "),
    (["init_from=DATA"], "init_from=DATA: no checkpoint best/ there; has it been validated once?"),
    (
        ["runs_dir=RUNS", "name=parent", "overwrite=true"],
        "init_from=PARENT: this run would replace it; choose another name=",
    ),
    (
        ["tokenizer=bpe"],
        "tokenizer=bpe: init_from=PARENT was trained with tokenizer=word, and its weights fit nothing else; give "
        "tokenizer=word tokenizer.joint=false",
    ),
    (
        ["tokenizer.joint=true"],
        "tokenizer.joint=true: init_from=PARENT was trained with tokenizer.joint=false, and its weights fit "
        "nothing else; give tokenizer.joint=false",
    ),
    (
        ["model.encoder_size=33", "model.bridge=zeros"],
        "model.encoder_size=33: init_from=PARENT was trained with model.encoder_size=32, and its weights fit "
        "nothing else; give model.encoder_size=32 model.bridge=tanh",
    ),
    (
        ["attention.score=concat"],
        "attention.score=concat: init_from=PARENT was trained with attention.score=general, and its weights fit "
        "nothing else; give attention.score=general",
    ),
    (
        ["attention=bahdanau"],
        "attention=bahdanau: init_from=PARENT was trained with attention=luong, and its weights fit nothing else; "
        "give attention=luong",
    ),
    (
        ["tokenizer.tgt_vectors=v.txt"],
        "tokenizer.tgt_vectors=v.txt: init_from=PARENT has vectors of its own for all words; give one of the two",
    ),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_what_does_not_fit_is_refused_in_a_line(
    parent: Path, tmp_path: Path, capsys: Output, given: list[str], told: str
) -> None:
    """Before the data is read, which is not there; nothing is left behind."""
    places = {"DATA": str(tmp_path), "RUNS": str(parent.parent), "PARENT": str(parent)}
    for name, place in places.items():
        given, told = [text.replace(name, place) for text in given], told.replace(name, place)
    before = contents(parent)
    assert status_of("train", *child(tmp_path, parent), *given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}")
    assert contents(parent) == before
    assert not (tmp_path / "runs").exists()


def test_parents_of_two_vocabularies_are_refused(parent: Path, data: Path, capsys: Output) -> None:
    other = trained_run(data, 40, "trainer.max_steps=1", "name=other", "schedule.warmup_steps=1")
    given = [*child(data, parent), f"init_from=[{parent},{other}]", "trainer.max_epochs=0"]
    assert status_of("train", *given) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {other / 'best'}")
    assert "vocabulary" in line


def test_dropout_may_differ(parent: Path, data: Path) -> None:
    trainer = new_trainer(*child(data, parent, *TINY, "model.dropout.readout=0.5", "model.dropout.words=0.1"))
    trainer.train()


def test_damaged_weights_are_refused(parent: Path, data: Path, tmp_path: Path, capsys: Output) -> None:
    best = shutil.copytree(parent / "best", tmp_path / "spoiled")
    broken = weights(parent)
    next(iter(broken.values()))[0] = torch.nan
    save_file(broken, best / "model.safetensors")
    assert status_of("train", *child(data, best)) == 1
    assert "model.safetensors" in capsys.readouterr().err
    _seal(best)
    assert status_of("train", *child(data, best)) == 1
    assert "has weights that are not finite" in capsys.readouterr().err


def _seal(best: Path) -> None:
    """Let its record say that its files are as they should be."""
    info: dict[str, Any] = json.loads((best / "checkpoint.json").read_text())
    (best / "checkpoint.json").unlink()
    (best / "checkpoint.json").write_text(json.dumps({**info, "files": identities(best)}))


def test_check_data_uses_the_vocabulary_of_the_parent(parent: Path, data: Path, capsys: Output) -> None:
    """Of which z is not part."""
    given = [text for text in child(data, parent) if not text.startswith("name=")]
    assert status_of("check-data", *given) == 0
    assert "unknown tokens" in capsys.readouterr().out
    assert status_of("check-data", *(text for text in given if not text.startswith("init_from="))) == 0
    assert "unknown tokens" not in capsys.readouterr().out
