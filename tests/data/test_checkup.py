"""The examination of a corpus in memory; the command's tests have the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.data.checkup import Checkup, RawSplit, check_up, report, write_cleaned
from seq2seq.errors import ConfigError
from seq2seq.settings.schema import FilesConfig
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer


def split(name: str, src: list[bytes], tgt: list[bytes]) -> RawSplit:
    return RawSplit((f"{name}.src", f"{name}.tgt"), src, tgt)


def test_tokens_are_those_of_training() -> None:
    def tokenizers() -> TokenizerPair:
        return TokenizerPair(WordTokenizer.train(["a", "c"]), WordTokenizer.train(["A", "C"]))

    splits = {
        "train": split("train", [b"a", b" ", b"\xef\xbb\xbfc\r"], [b"A", b"B", b"C"]),
        "valid": split("valid", [b"a", b"x"], [b"A", b"C"]),
    }
    examined = check_up(splits, FilesConfig(), tokenizers)
    assert not examined.stops_training
    assert [(finding.what, finding.lines) for finding in examined.findings["valid"]] == [
        ("in train too", [1]),
        ("unknown tokens, source: 50.00%", [2]),
        ("characters that train lacks, source: x", [2]),
    ]


@pytest.mark.parametrize(
    "spoiled", [split("train", [b"\xff", b"b"], [b"A", b"B"]), split("train", [b"a", b"b", b"c"], [b"A", b"B"])]
)
def test_what_stops_training_needs_no_tokenizers(spoiled: RawSplit) -> None:
    def tokenizers() -> TokenizerPair:
        raise AssertionError

    examined = check_up({"train": spoiled}, FilesConfig(), tokenizers)
    assert examined.stops_training
    assert "stops with an error" in report(examined)


def clean(directory: Path, originals: list[Path]) -> list[str]:
    splits = {name: split(name, [b"a", b"", b"c"], [b"A", b"B", b"C"]) for name in ("train", "valid")}
    return write_cleaned(Checkup({}, {name: [] for name in splits}, splits), FilesConfig(), originals, directory)


def test_a_cleaned_copy_can_be_written_again_and_replaces_nothing_else(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for _ in range(2):
        assert clean(copy, [])[0] == f"{copy}/train.*: 2 pairs, 1 left out"
        assert (copy / "train.de").read_text() == "a\nc\n"
    for name in ("valid.en", "train.de"):
        for path in copy.iterdir():
            path.unlink()
        (copy / name).write_text("another corpus\n")
        with pytest.raises(ConfigError, match=f"fix={copy}: {name} is there already; choose another directory"):
            clean(copy, [])
        assert {path.name: path.read_text() for path in copy.iterdir()} == {name: "another corpus\n"}


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_link_to_the_corpus_is_not_replaced(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    original = tmp_path / "train.txt"
    original.write_text("a\n\nc\n")
    (tmp_path / "copy").mkdir()
    link(tmp_path / "copy" / "train.de", original)
    with pytest.raises(ConfigError, match="choose another directory"):
        clean(tmp_path / "copy", [original])
    assert (tmp_path / "copy" / "train.de").samefile(original)
    assert original.read_text() == "a\n\nc\n"
    assert len([*(tmp_path / "copy").iterdir()]) == 1


def test_a_file_in_the_place_of_the_copy_is_named(tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(ConfigError, match=f"fix={tmp_path}/copy: File exists; choose another directory"):
        clean(tmp_path / "copy", [])
