"""From stream to stream: every line in its place, and files that are never half there or emptied."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_models import letters_translator

from seq2seq.data import lines as lines_of_files
from seq2seq.decoding import streaming
from seq2seq.decoding.streaming import reading, translate_stream, typed, writing
from seq2seq.errors import DataError

LINES = ["a b c", "", "d e f g h", "   ", "l", "b a"]


def translated(text: str, chunk_lines: int = 1000, **decode: object) -> str:
    output = io.StringIO()
    translate_stream(letters_translator(**decode), io.StringIO(text), output, chunk_lines)  # type: ignore[arg-type]
    return output.getvalue()


@pytest.mark.parametrize("chunk_lines", [1, 4, 1000])
def test_a_line_out_for_each_line_in(chunk_lines: int) -> None:
    expected = [translation.text for translation in letters_translator().translate(LINES)]
    for ends in ("\n", "\r\n"):
        text = ends.join(LINES)
        assert translated(text + ends, chunk_lines).split("\n") == [*expected, ""]
        assert translated(text, chunk_lines).split("\n") == [*expected, ""]  # the last line unended
    assert [bool(line) for line in expected] == [True, False, True, False, True, True]
    assert translated("") == ""


def test_lines_are_written_before_the_next_are_read() -> None:
    output, seen = io.StringIO(), []

    def lines() -> Iterator[str]:
        for line in LINES:
            seen.append(output.getvalue().count("\n"))
            yield line

    translate_stream(letters_translator(), lines(), output, chunk_lines=1)
    assert seen == list(range(len(LINES)))


def test_long_lines_are_fewer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = translated("\n".join(LINES))
    monkeypatch.setattr(streaming, "LONGEST_LINE", 8)
    translator, sizes = letters_translator(), []
    translate = translator.translate
    monkeypatch.setattr(translator, "translate", lambda lines: sizes.append(len(lines)) or translate(lines))
    output = io.StringIO()
    translate_stream(translator, iter(f"{line}\n" for line in LINES), output, chunk_lines=1000)
    assert sizes == [3, 3]
    assert output.getvalue() == expected


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    for module in (streaming, lines_of_files):
        monkeypatch.setattr(module, "LONGEST_LINE", 8)
    file = tmp_path / "text"
    file.write_text(f"a\n12345678\n{end}12345678{end}")
    with reading(str(file)) as lines:
        assert "".join(lines) == file.read_text()
    file.write_text(f"a\n12345678\n123456789{end}")
    with pytest.raises(DataError, match=rf"^{file}:3: a line of over 8 bytes"), reading(str(file)) as lines:
        list(lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    with pytest.raises(DataError, match=r"^standard input:3: a line of over 8 bytes"), reading(None) as lines:
        list(lines)


def test_n_best_lists_are_numbered() -> None:
    lines = translated("a b c\n\nd e\n", chunk_lines=2, beam_size=3, num_best=2).splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[:2] for row in rows] == [["1", "1"], ["1", "2"], ["2", "1"], ["3", "1"], ["3", "2"]]
    best = letters_translator(beam_size=3, num_best=2).translate(["a b c"])[0].candidates
    assert [row[2:] for row in rows[:2]] == [[f"{candidate.score:.4f}", candidate.text] for candidate in best]
    assert rows[2][2:] == ["0.0000", ""]


def test_lines_that_were_cut_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    translated("a b c d\na\nd c b a\n", chunk_lines=1, max_src_tokens=3)
    assert caplog.messages == ["2 of 3 lines were cut at 3 tokens"]


def test_standard_streams_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout, encoding="ascii"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ä\n".encode() + b"\xff\n")))
    for expected in (["ä\n", "\ufffd\n"], []):
        with writing(None) as output, reading(None) as lines:
            read = list(lines)
            output.writelines(read)
        assert read == expected
    assert not sys.stdin.buffer.closed
    print("afterwards", flush=True)
    assert stdout.getvalue() == "ä\n\ufffd\n".encode() + b"afterwards\n"


def test_the_same_file_is_read_whole_before_it_is_replaced(tmp_path: Path) -> None:
    file, link = tmp_path / "text", tmp_path / "link"
    file.write_text("one\ntwo\n")
    file.chmod(0o640)
    link.symlink_to(file.name)
    with writing(str(link)) as output, reading(str(file)) as lines:
        output.write("".join(line.upper() for line in lines))
        assert file.read_text() == "one\ntwo\n"
    assert file.read_text() == "ONE\nTWO\n"
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"text", "link"}


def test_what_is_translated_when_it_stops_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = tmp_path / "out"
    target.write_text("before")

    def interrupted() -> Iterator[str]:
        yield "a b\n"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), writing(str(target)) as output:
        translate_stream(letters_translator(), interrupted(), output, chunk_lines=1)
    (part,) = tmp_path.glob("out.*.part")
    assert (part.read_text(), target.read_text()) == (translated("a b"), "before")
    assert caplog.messages == [f"stopped; the lines translated so far are in {part}"]


def test_files_that_cannot_be_opened_leave_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for source, target, named in [
        (str(tmp_path / "missing"), str(tmp_path / "out"), "missing"),
        (None, str(tmp_path / "none" / "out"), "none/out"),
    ]:
        expected = rf"{named}: can't be opened \(No such file or directory\)$"
        with pytest.raises(DataError, match=expected), writing(target), reading(source):
            pass
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages == []
    with pytest.raises(DataError, match=f"{tmp_path}: can't be opened"), writing(str(tmp_path)):
        pass


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs a device")
def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    for path in ("/dev/null", str(link)):
        with writing(path) as output:
            output.write("x")
    assert Path("/dev/null").is_char_device()
    assert link.is_symlink()


def test_the_prompt_keeps_out_of_redirected_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a b\nc\n"))
    assert list(typed("de> ")) == ["a b", "c"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["type a sentence and press enter; end with ctrl-D", "de> de> de> "]
