"""The model that comes with seq2seq: small, whole, says what it is, and translates the phrasebook."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from inprocess import start
from reversals import trained_run
from safetensors.torch import load_file

import seq2seq
from seq2seq.build.data import read_split
from seq2seq.build.inference import BUILT_IN, BUILT_IN_NOTE, load_run
from seq2seq.evaluation.metrics import bleu
from seq2seq.runs.checkpoint import pack
from seq2seq.settings.compose import read_train_config
from seq2seq.settings.schema import MachineConfig, PhrasebookConfig

KNOWN = {
    "Der Hund schläft.": "The dog sleeps.",
    "Wir haben gestern ein neues Auto gekauft.": "We bought a new car yesterday.",
    "Der Zug kommt um acht Uhr an.": "The train arrives at eight o'clock.",
}


def test_it_is_small_and_knows_no_other_place() -> None:
    files = [path for path in BUILT_IN.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
    assert not re.search(r"[:\s]/|\\", (BUILT_IN / "config.yaml").read_text())  # no absolute path


def test_the_command_uses_it_and_says_so() -> None:
    ended = start("translate", stdin="\n".join(KNOWN).encode())
    assert ended.stdout.decode().splitlines() == [*KNOWN.values()]
    assert ended.stderr.decode() == f"{BUILT_IN_NOTE}\n"


def test_the_api_uses_it_and_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    assert [str(translation) for translation in seq2seq.load().translate([*KNOWN])] == [*KNOWN.values()]
    assert capfd.readouterr() == ("", "")


def test_it_translates_the_test_set_of_the_phrasebook() -> None:
    loaded = load_run(None)
    assert isinstance(loaded.config.data, PhrasebookConfig)
    text = read_split(loaded.config.data, "test")
    translated = [str(translation) for translation in loaded.translator.translate(text.src)]
    assert bleu(translated, text.tgt, "en").value >= 90


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("whole"), 60, "trainer.max_steps=5") / "best"


def test_a_packed_checkpoint_is_half_as_large_and_nearly_the_same(best: Path, tmp_path: Path) -> None:
    pack(best, tmp_path / "packed")
    whole, packed = (load_file(path / "model.safetensors") for path in (best, tmp_path / "packed"))
    assert {weight.dtype for weight in packed.values()} == {torch.float16}
    model = seq2seq.load(tmp_path / "packed").model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    for name, weight in whole.items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=2**-11, atol=2**-24)
    config = read_train_config(tmp_path / "packed" / "config.yaml")
    assert (config.runs_dir, config.data.cache_dir, config.machine) == ("runs", "data/cache", MachineConfig())


def test_a_damaged_checkpoint_is_not_packed(best: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(best, tmp_path / "damaged")
    (damaged / "config.yaml").write_text("seed: 2\n")
    with pytest.raises(seq2seq.CheckpointError, match="not what was saved"):
        pack(damaged, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()
