"""The doctor's script on good, misaligned and spoiled files."""

from __future__ import annotations

from pathlib import Path

import pytest
from inprocess import start
from reversals import overrides, write_reversals


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_reversals(tmp_path, {"train": 300, "valid": 20, "test": 20})
    for split in ("train", "valid", "test"):  # so that no source is its own target
        path = tmp_path / f"{split}.tgt"
        path.write_text("".join(f"{line} m\n" for line in path.read_text().splitlines()))
    return tmp_path


def check(data: Path, *more: str) -> tuple[int, str]:
    given = [setting for setting in overrides(data) if not setting.startswith("machine.")]
    ended = start("check-data", *given, *more)
    assert b"Traceback" not in ended.stderr
    return ended.returncode, (ended.stdout + ended.stderr).decode()


def test_a_sound_corpus(data: Path) -> None:
    status, said = check(data)
    assert status == 0
    assert said.splitlines()[:4] == [
        "train: 300 source lines, 300 target lines",
        "valid: 20 source lines, 20 target lines",
        "test: 20 source lines, 20 target lines",
        "nothing odd was found",
    ]


def test_a_spoiled_corpus_is_described_and_cleaned(data: Path, tmp_path: Path) -> None:
    lines = (data / "train.src").read_bytes().split(b"\n")[:-1]
    lines[3], lines[7], lines[11] = b"caf\xe9", b"", b"a\0b"
    (data / "train.src").write_bytes(b"\n".join(lines) + b"\n")
    with (data / "valid.tgt").open("a") as file:
        file.write("one line more\n")
    status, said = check(data)
    assert status == 1  # training would stop
    found = [line.split() for line in said.splitlines()]
    source = str(data / "train.src")
    assert [source, "not", "UTF-8", "1", "4", "stops", "with", "an", "error"] in found
    assert [source, "nothing", "but", "space", "1", "8", "drops", "the", "pair"] in found
    assert [source, "NUL", "1", "12", "kept", "as", "a", "character"] in found
    assert "valid: 20 source lines, 21 target lines" in said
    cleaned = f"fix={tmp_path / 'fixed'}"
    assert "valid: its sides do not belong together line by line" in check(data, cleaned)[1]
    with (data / "valid.src").open("a") as file:
        file.write("and its source\n")
    assert f"{tmp_path / 'fixed'}/train.*: 298 pairs, 2 left out" in check(data, cleaned)[1]
    fixed = [f"data.{split}.{side}={tmp_path / 'fixed' / split}.{side}"
             for split in ("train", "valid", "test") for side in ("src", "tgt")]  # fmt: skip
    names = ["data.src=src", "data.tgt=tgt"]
    assert check(data, cleaned, *names)[0] == 1
    status, said = check(data, *fixed, *names)
    assert status == 0
    assert "298 source lines, 298 target lines" in said
    assert "choose another directory" in check(data, *fixed, *names, cleaned)[1]


def test_tokens_are_looked_at_too(data: Path) -> None:
    with (data / "valid.src").open("a") as source, (data / "valid.tgt").open("a") as target:
        source.write("a b ж\n" + "a " * 30 + "\n")
        target.write("b a\n" + "a " * 30 + "\n")
    status, said = check(data, "data.max_length=20")
    assert status == 0
    found = [line.split() for line in said.splitlines()]
    assert ["valid", "more", "than", "20", "tokens", "1", "22", "kept"] in found
    tokens = sum(len(line.split()) for line in (data / "valid.src").read_text().splitlines())
    rate = f"{1 / tokens:.2%}"  # ж alone
    assert ["valid", "unknown", "tokens,", "source:", rate, "1", "21", "reads", "them", "as", "<unk>"] in found
    assert any(row[:7] == ["valid", "characters", "that", "train", "lacks,", "source:", "ж"] for row in found)


def test_a_misaligned_corpus(data: Path) -> None:
    lines = (data / "train.tgt").read_text().split("\n")
    del lines[150]
    (data / "train.tgt").write_text("\n".join(lines))
    status, said = check(data)
    assert status == 1
    assert "MISALIGNED: from about line 15" in said
    assert "1 line further up" in said
