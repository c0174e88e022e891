"""Nonsense for everything that reads: files of text, text for tokenizers, checkpoints.

``make test-faults`` runs these with thousands of inputs each (the hypothesis profile "long").
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reversals import trained_run
from safetensors.torch import load_file

from seq2seq.data import corpus
from seq2seq.errors import CheckpointError, DataError
from seq2seq.runs.checkpoint import check_vocabulary, read_info, read_training
from seq2seq.settings.compose import read_train_config
from seq2seq.text.tokenizer import UNK, Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pieces = ["tokenizer=unigram", "tokenizer.vocab_size=300"]
    return trained_run(tmp_path_factory.mktemp("fuzz"), 60, "trainer.max_steps=1", *pieces)


LINES = st.lists(st.one_of(st.binary(max_size=8), st.text(max_size=8).map(str.encode)), max_size=5)


@given(LINES, LINES)
def test_files_are_read_to_the_byte_or_refused_in_a_line(src: list[bytes], tgt: list[bytes]) -> None:
    with TemporaryDirectory() as place:
        paths = [Path(place) / name for name in ("a", "b")]
        contents = [b"\n".join(lines) for lines in (src, tgt)]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        try:
            text = corpus.read_parallel(*paths)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert place in str(error)  # noqa: PT017
            return
    for content, lines in zip(contents, (text.src, text.tgt), strict=True):
        expected = content.decode("utf-8").removeprefix("\ufeff").removesuffix("\n").split("\n")
        assert lines == [line.removesuffix("\r") for line in expected]


@pytest.fixture(scope="module")
def tokenizer(run: Path) -> Tokenizer:
    return TokenizerPair.load(run / "tokenizer").src


@given(text=st.text())
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    """Up to Unicode normalisation and spaces: a second round changes nothing any more."""
    (ids,) = tokenizer.encode([text])
    assert all(UNK < i < len(tokenizer) for i in ids)  # bytes spell what the vocabulary lacks
    once = tokenizer.decode(ids)
    assert tokenizer.decode(tokenizer.encode([once])[0]) == once


@given(data=st.data())
def test_any_ids_are_some_text(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    assert isinstance(tokenizer.decode(ids), str)
    assert len(tokenizer.pieces(ids)) == len(ids)


@given(data=st.data())
def test_a_spoiled_checkpoint_is_refused(run: Path, data: st.DataObject) -> None:
    """Some bytes of one file changed, or its end cut off: refused in a line, or what is read is what was saved."""
    with TemporaryDirectory() as place:
        copy = Path(shutil.copytree(run / "last", Path(place) / "last"))
        path = data.draw(st.sampled_from(sorted(file for file in copy.rglob("*") if file.is_file())))
        content = bytearray(path.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[position:]
        else:
            content[position : position + 1] = data.draw(st.binary(max_size=3))
        path.write_bytes(content)
        try:
            check_vocabulary(copy, read_info(copy), TokenizerPair.load(copy / "tokenizer"))
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
        assert read_train_config(copy / "config.yaml") == read_train_config(run / "config.yaml")
        assert read_training(copy)["state"] == read_training(run / "last")["state"]
        ours, theirs = (load_file(str(directory / "model.safetensors")) for directory in (copy, run / "last"))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
