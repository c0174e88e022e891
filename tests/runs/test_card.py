"""A model card is the run's until somebody edits it; from then on it survives all that a run does to best/."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from reversals import new_trainer, overrides, resumed, write_reversals

from seq2seq.build.inference import load_run
from seq2seq.errors import ConfigError
from seq2seq.runs.card import is_edited, write_card
from seq2seq.runs.ownership import refuse_strangers, remove_own
from seq2seq.training.trainer import Trainer

pytestmark = [pytest.mark.hostile, pytest.mark.drawn]


@pytest.fixture
def best(tmp_path: Path) -> Path:
    directory = tmp_path / "best"
    directory.mkdir()
    return directory


def test_an_unchanged_card_is_replaced(best: Path) -> None:
    assert not is_edited(best / "README.md")
    for text in ("one\n", "two\n<!-- a comment -->\n"):
        write_card(best, text)
        assert (best / "README.md").read_text(encoding="utf-8").startswith(text)
        assert not is_edited(best / "README.md")


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"unknown", b"mit"), (b"\n", b"\r\n"), (b"<!--", b"<!-- "), (b"license", b"\xff"), (b"\n<", b"<")],
)
def test_any_edit_counts(best: Path, caplog: pytest.LogCaptureFixture, old: bytes, new: bytes) -> None:
    card = best / "README.md"
    write_card(best, "license: unknown\n")
    card.write_bytes(edited := card.read_bytes().replace(old, new))
    assert is_edited(card)
    with caplog.at_level(logging.WARNING):
        write_card(best, "another\n")
    assert card.read_bytes() == edited
    assert [said.partition(": ")[0] for said in caplog.messages] == [str(card)]


def test_an_edited_card_is_neither_refused_nor_removed(best: Path) -> None:
    (best / "README.md").write_text("mine")
    (best / "config.yaml").touch()
    refuse_strangers(best)
    remove_own(best)
    assert [path.name for path in best.iterdir()] == ["README.md"]


def test_an_unchanged_card_is_removed_with_the_run(best: Path) -> None:
    write_card(best, "card\n")
    remove_own(best)
    assert not best.exists()


def test_what_is_no_card_is_a_stranger(best: Path) -> None:
    (best / "README.md").symlink_to("elsewhere")
    with pytest.raises(ConfigError, match="was not written by seq2seq"):
        refuse_strangers(best)
    (best / "README.md").unlink()
    (best.parent / "last").mkdir()
    (best.parent / "last" / "README.md").touch()
    with pytest.raises(ConfigError, match="was not written by seq2seq"):
        refuse_strangers(best.parent / "last")


def test_what_a_death_left_half_written_is_removed(tmp_path: Path) -> None:
    trainer = trained(tmp_path, "trainer.max_steps=1")
    left = trainer.run.path / "best" / f".README.md.{'0' * 16}.tmp"
    left.touch()
    resumed(*trained_settings(tmp_path, "trainer.max_steps=2")).tracker.close()
    assert not left.exists()


def trained_settings(data: Path, *given: str) -> list[str]:
    return overrides(data, "trainer.validate_unit=steps", "trainer.metric=loss", "name=card", *given)


def trained(directory: Path, *given: str) -> Trainer:
    data = write_reversals(directory, {"train": 60, "valid": 6, "test": 6})
    trainer = new_trainer(*trained_settings(data, *given))
    trainer.train()
    return trainer


def test_a_longer_training_takes_an_edited_card_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = trained(tmp_path, "trainer.max_steps=1")
    card = trainer.run.path / "best" / "README.md"
    assert not is_edited(card)
    card.write_text(edited := card.read_text().replace("license: unknown", "license: mit"))
    longer = resumed(*trained_settings(tmp_path, "trainer.max_steps=8"))
    assert longer.train()["best_step"] > 1  # best/ was replaced
    assert card.read_text() == edited
    assert f"{card}: edited, so it stays as it is" in caplog.text
    assert load_run(card.parent).info.step > 1  # it is none of the files that are checked
    card.unlink()
    resumed(*trained_settings(tmp_path, "trainer.max_steps=9")).train()
    assert not is_edited(card)
    assert "license: unknown" in card.read_text()


def test_starting_over_keeps_an_edited_card(tmp_path: Path) -> None:
    trainer = trained(tmp_path, "trainer.max_steps=1")
    card = trainer.run.path / "best" / "README.md"
    card.write_text("mine")
    new_trainer(*trained_settings(tmp_path, "trainer.max_steps=2", "overwrite=true")).train()
    assert card.read_text() == "mine"
    assert load_run(card.parent).info.step > 0
