"""A run resumes on the data that it was made from and on no other, wherever that is."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from inprocess import status_of
from reversals import new_trainer, overrides, settings_of, write_reversals

from seq2seq.build.data import read_sources
from seq2seq.build.training import training
from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.runs import directory
from seq2seq.runs.sources import check

pytestmark = pytest.mark.hostile
SMALL = ["trainer.batch_tokens=150", "trainer.num_samples=0", "schedule.warmup_steps=1", "name=a"]
FILES = ["train.src", "train.tgt", "valid.src", "valid.tgt"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = write_reversals(tmp_path_factory.mktemp("sources"), {"train": 40, "valid": 4, "test": 4})
    new_trainer(*overrides(data, *SMALL, "trainer.max_steps=2")).train()
    return data


@pytest.fixture
def data(trained: Path, tmp_path: Path) -> Path:
    """The data with a run of two updates, both of them moved."""
    return shutil.copytree(trained, tmp_path / "data")


def resumed_at(data: Path, *more: str) -> int:
    """The update that the run resumes from."""
    settings = settings_of(*overrides(data, *SMALL, "trainer.max_steps=3", *more))
    assert directory.finished_result(settings) is None
    with directory.opened(settings):
        trainer = training(settings, directory.checkpoint_to_resume(settings))
        trainer.tracker.close()
        return trainer.state.step


def contents(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


def reverse(*files: Path) -> None:
    """The same lines, so the same vocabulary, in another order."""
    for file in files:
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize(
    "names", [["train.src", "train.tgt"], ["train.tgt"], ["valid.src", "valid.tgt"]], ids=lambda names: names[0]
)
def test_changed_data_is_refused_by_name_and_nothing_is_changed(
    data: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(data / "runs")
    reverse(*(data / name for name in names))
    files = ", ".join(f"{data}/{name}" for name in names)
    line = f"{files}: changed since {data}/runs/a began; restore the content, "
    with pytest.raises(ConfigError) as raised:
        resumed_at(data)
    assert str(raised.value).startswith(line)
    if names == ["train.tgt"]:  # as the command says it of the run that is finished
        assert status_of("train", *overrides(data, *SMALL, "trainer.max_steps=2")) == 1
        assert capsys.readouterr().err.startswith(f"error: {line}")
    assert contents(data / "runs") == before


def test_moved_renamed_and_compressed_data_is_the_same(data: Path) -> None:
    (data / "other").mkdir()
    for side in ("src", "tgt"):
        (data / f"train.{side}.gz").write_bytes(gzip.compress((data / f"train.{side}").read_bytes()))
        (data / f"train.{side}").unlink()
        (data / f"valid.{side}").rename(data / "other" / f"dev.{side}")
    moved = [f"data.train.{side}={data}/train.{side}.gz" for side in ("src", "tgt")]
    moved += [f"data.valid.{side}={data}/other/dev.{side}" for side in ("src", "tgt")]
    assert resumed_at(data, *moved, "data.test.src=null", "data.test.tgt=null") == 2


def test_a_run_without_a_record_resumes_says_so_and_has_one_from_then_on(
    trained: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = data / "runs" / "a" / "sources.json"
    kept = record.read_text()
    record.unlink()
    with pytest.raises(ConfigError, match=r"other settings \(data\.train\.src "):  # all that there is to compare
        resumed_at(data)
    there = [f"data.{name}={trained / name}" for name in FILES]
    assert resumed_at(data, *there) == 2
    said = f"{data}/runs/a: an earlier version kept no record of its data, so it can't be compared"
    assert caplog.messages.count(said) == 1
    assert record.read_text() == kept
    assert resumed_at(data) == 2
    assert caplog.messages.count(said) == 1


@pytest.mark.parametrize("damaged", ["", "[1]", '{"data.train.src"'])
def test_a_damaged_record_is_named(data: Path, damaged: str) -> None:
    record = data / "runs" / "a" / "sources.json"
    record.write_text(damaged)
    with pytest.raises(CheckpointError, match=r"sources\.json: can't be read \(.*\); remove it"):
        check(data / "runs" / "a", {})


def test_all_that_a_run_is_made_from_is_hashed(data: Path) -> None:
    vectors = data / "vectors.txt"
    vectors.write_text("a 1 2\n")
    sources = read_sources(settings_of(*overrides(data, f"tokenizer.tgt_vectors={vectors}")))[-1]
    files = {**{f"data.{name}": data / name for name in FILES}, "tokenizer.tgt_vectors": vectors}
    assert sources == {
        key: (str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for key, file in files.items()
    }


def test_vectors_taken_away_are_noticed(data: Path) -> None:
    record = data / "runs" / "a" / "sources.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "tokenizer.src_vectors": "0"}))
    with pytest.raises(ConfigError, match=r"tokenizer\.src_vectors: changed since .* began; restore the content"):
        resumed_at(data)


@pytest.mark.parametrize("name", ["finished", "unfinished"])
def test_a_run_never_becomes_shorter(data: Path, name: str) -> None:
    if name == "unfinished":
        (data / "runs" / "a" / "result.json").unlink()
    before = contents(data / "runs")
    with pytest.raises(ConfigError) as raised:
        resumed_at(data, "trainer.max_steps=1")
    said = f"trainer.max_steps=1: {data}/runs/a has gone beyond it (update 2, epoch 0) and can't become shorter: "
    assert str(raised.value).startswith(said)
    assert contents(data / "runs") == before
