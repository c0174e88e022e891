"""Attention beside a stream of translations: line by line as the output, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import letters_translator

from seq2seq.decoding.attention_files import attention_files
from seq2seq.decoding.streaming import translate_stream
from seq2seq.decoding.word_attention import pharaoh
from seq2seq.errors import DataError

LINES = ["a b c", "", "d e,f", "  ", "l"]


def written(
    directory: Path, lines: Iterator[str] | None = None, chunk_lines: int = 2, **decode: object
) -> list[str]:
    """The lines of the output, with links and weights beside it in ``directory``."""
    translator, output = letters_translator(**decode), io.StringIO()  # type: ignore[arg-type]
    with attention_files(translator, str(directory / "links"), str(directory / "weights"), None) as also:
        translate_stream(translator, lines or iter(f"{line}\n" for line in LINES), output, chunk_lines, also)
    return output.getvalue().splitlines()


def test_aligned_words_stand_on_the_lines_of_the_output(tmp_path: Path) -> None:
    output = written(tmp_path)
    translator = letters_translator()
    expected = [pharaoh(translator.word_attention(translation)) for translation in translator.translate(LINES)]
    assert (tmp_path / "links").read_text().split("\n") == [*expected, ""]
    assert len(output) == len(LINES)
    assert any(expected)


def test_an_n_best_list_has_as_many_lines_of_aligned_words(tmp_path: Path) -> None:
    output = written(tmp_path, beam_size=3, num_best=2)
    links = (tmp_path / "links").read_text().split("\n")[:-1]
    assert len(links) == len(output) == 8
    translator = letters_translator(beam_size=3, num_best=2)
    third = translator.translate(["d e,f"])[0]
    assert links[3:5] == [pharaoh(translator.word_attention(third, candidate)) for candidate in third.candidates]
    with np.load(tmp_path / "weights", allow_pickle=False) as weights:
        assert {key.partition("/")[0] for key in weights} == {str(number) for number in range(1, 9)}
        for number, line in enumerate(output, 1):
            assert weights[f"{number}/tgt"].tolist() == line.split("\t")[3].split()


def test_weights_are_those_of_the_translation(tmp_path: Path) -> None:
    written(tmp_path)
    translator = letters_translator()
    with np.load(tmp_path / "weights", allow_pickle=False) as weights:
        assert len(weights) == 6 * len(LINES)
        for number, translation in enumerate(translator.translate(LINES), 1):
            words, best = translator.word_attention(translation), translation.candidates[0]
            found = {key.partition("/")[2]: weights[key] for key in weights if key.startswith(f"{number}/")}
            assert found["src"].tolist() == [*LINES[number - 1].split(), "</s>"] == words.src
            assert found["tgt"].tolist() == translation.text.split() == words.tgt
            assert found["src_pieces"].tolist() == translation.src_pieces
            assert found["tgt_pieces"].tolist() == best.pieces
            assert found["weights"].dtype == found["piece_weights"].dtype == np.float32
            torch.testing.assert_close(torch.tensor(found["weights"]), words.weights)
            torch.testing.assert_close(torch.tensor(found["piece_weights"]), best.weights)


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    for name, chunk_lines in (("one", 1), ("two", 1000)):
        (tmp_path / name).mkdir()
        written(tmp_path / name, chunk_lines=chunk_lines, batch_tokens=2)  # a line a batch
    one, two = (tmp_path / name / "weights" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_nothing_is_written_unless_asked_for(tmp_path: Path) -> None:
    with attention_files(letters_translator(), None, None, None) as also:
        assert also is None


def test_what_stops_is_kept_and_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "weights").write_text("before")

    def interrupted() -> Iterator[str]:
        yield "a b\n"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, interrupted(), chunk_lines=1)
    assert (tmp_path / "weights").read_text() == "before"
    assert not (tmp_path / "links").exists()
    (links,), (part,) = tmp_path.glob("links.*.part"), tmp_path.glob("weights.*.part")
    assert links.read_text().count("\n") == 1
    with np.load(part, allow_pickle=False) as weights:
        assert weights["1/src"].tolist() == ["a", "b", "</s>"]
    assert {message.rpartition(" ")[2] for message in caplog.messages} == {str(links), str(part)}


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    translator = letters_translator()
    for paths in ((str(tmp_path / "none" / "x"), None), (None, str(tmp_path / "none" / "x"))):
        with pytest.raises(DataError, match="none/x: can't be opened"), attention_files(translator, *paths, None):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_for_each_line_that_has_words(tmp_path: Path, suffix: str, start: bytes) -> None:
    translator, pictures = letters_translator(beam_size=2, num_best=2), tmp_path / "new" / "pictures"
    with attention_files(translator, None, None, str(pictures), suffix) as also:
        translate_stream(translator, iter(["a b\n", "\n", "a b c\n"]), io.StringIO(), 1000, also)
    assert {path.name for path in pictures.iterdir()} == {f"1.{suffix}", f"3.{suffix}"}
    assert all(path.read_bytes().startswith(start) for path in pictures.iterdir())
