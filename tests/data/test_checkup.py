"""The examination of a corpus in memory; the command's tests have the files."""

from __future__ import annotations

import pytest

from seq2seq.data.checkup import RawSplit, check_up, report
from seq2seq.data.corpus import ParallelText
from seq2seq.settings.schema import FilesConfig
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer


def split(name: str, src: list[bytes], tgt: list[bytes]) -> RawSplit:
    return RawSplit((f"{name}.src", f"{name}.tgt"), src, tgt)


def test_tokenizers_are_trained_on_what_training_would_keep_of_the_lines_from_1() -> None:
    asked: list[ParallelText] = []

    def tokenizers_of(train: ParallelText) -> TokenizerPair:
        asked.append(train)
        return TokenizerPair(WordTokenizer.train(train.src), WordTokenizer.train(train.tgt))

    splits = {
        "train": split("train", [b"a", b" ", b"\xef\xbb\xbfc\r"], [b"A", b"B", b"C"]),
        "valid": split("valid", [b"a", b"x"], [b"A", b"C"]),
    }
    examined = check_up(splits, FilesConfig(), tokenizers_of)
    assert asked == [ParallelText(["a", "\ufeffc"], ["A", "C"], [1, 3])]
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
    def tokenizers_of(train: ParallelText) -> TokenizerPair:
        raise AssertionError

    examined = check_up({"train": spoiled}, FilesConfig(), tokenizers_of)
    assert examined.stops_training
    assert "stops with an error" in report(examined)
