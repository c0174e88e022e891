"""The command in this process, twice, and at a terminal."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inprocess import restored
from reversals import trained_run
from translated_files import check_files

import seq2seq
from seq2seq.commands.translate import translate
from seq2seq.settings.schema import DecodeConfigOverrides, MachineConfig, TranslateConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(
        tmp_path_factory.mktemp("translated"), 300, "trainer.max_steps=60", "trainer.validate_every=20"
    )


def translation(run: Path, line: str) -> str:
    return str(seq2seq.load(run).translate([line])[0])


def test_twice_in_one_process_and_then_print(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    expected = ""
    for line in ("a b c", "d e"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{line}\n\n".encode())))
        with restored():
            translate(TranslateConfig(run=str(run)))
        print("afterwards", flush=True)
        expected += f"{translation(run, line)}\n\nafterwards\n"
        assert sys.stdin.read() == ""
    assert stdout.getvalue().decode() == expected


def test_from_a_file_into_the_same_file(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("a b c\n\nd e\n")
    greedy = DecodeConfigOverrides(beam_size=1)
    with restored():
        translate(TranslateConfig(run=str(run), input=str(file), output=str(file), chunk_lines=1, decode=greedy))
    expected = seq2seq.load(run, beam_size=1).translate(["a b c", "", "d e"])
    assert file.read_text().split("\n") == [*map(str, expected), ""]
    assert list(tmp_path.iterdir()) == [file]


def test_a_broken_setting_leaves_the_output_as_it_was(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("mine\n")
    machine = MachineConfig(precision="fp16", device="cpu")
    with restored(), pytest.raises(seq2seq.ConfigError):
        translate(TranslateConfig(run=str(run), input=str(file), output=str(file), machine=machine))
    assert file.read_text() == "mine\n"


class Terminal:
    """A command with a pseudo-terminal as its input and messages, and perhaps its output."""

    def __init__(self, *command: str, stdout: int | None = None) -> None:
        import pty

        self.handle, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8:strict"},
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, expected: bytes, times: int = 1, seconds: float = 60) -> str:
        """What is shown until ``expected`` has been so many ``times``, or the command ends."""
        shown, end = b"", time.monotonic() + seconds
        while shown.count(expected) < times and time.monotonic() < end:
            if not select.select([self.handle], [], [], 0.1)[0]:
                continue
            try:
                shown += os.read(self.handle, 4096)
            except OSError:  # the command has ended
                break
        return shown.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self.handle, keys)

    def close(self) -> int:
        """Its exit status."""
        status = self.process.wait(timeout=60)
        os.close(self.handle)
        return status


PROMPT = b"de> "


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_at_a_terminal(run: Path) -> None:
    terminal = Terminal(sys.executable, "-m", "seq2seq", "translate", f"run={run}")
    assert terminal.until(PROMPT).splitlines() == ["type a sentence and press enter; end with ctrl-D", "de> "]
    terminal.type(b"a b c d\x7f\x7f\n")  # the last letter taken back
    assert terminal.until(PROMPT).splitlines()[-2:] == [translation(run, "a b c"), "de> "]
    terminal.type(b"\n\xff\n")
    terminal.until(PROMPT, times=2)
    terminal.type(b"\x1b[A\x1b[A\n")  # up, past what was no text: the history
    assert terminal.until(PROMPT).splitlines()[-2:] == [translation(run, "a b c"), "de> "]
    terminal.type(b"\x04")
    assert terminal.until(b"nothing more") == "\r\n"
    assert terminal.close() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_prompt_is_not_among_redirected_translations(run: Path, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        terminal = Terminal(sys.executable, "-m", "seq2seq", "translate", f"run={run}", stdout=file.fileno())
        terminal.until(PROMPT)
        terminal.type(b"a b c\n")
        terminal.until(PROMPT)
        terminal.type(b"\x04")
        assert terminal.close() == 0
    assert (tmp_path / "out").read_text() == translation(run, "a b c") + "\n"


def test_no_prompt_without_a_terminal(run: Path) -> None:
    command = [sys.executable, "-m", "seq2seq", "translate", f"run={run}"]
    ended = subprocess.run(command, input="a b c\n", capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == (translation(run, "a b c") + "\n", "")


def test_heatmaps_need_a_directory(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    with pytest.raises(seq2seq.ConfigError, match=r"heatmaps=.*mine: not a directory"):
        translate(TranslateConfig(run=str(run), heatmaps=str(tmp_path / "mine")))


def test_attention_beside_the_output(run: Path, tmp_path: Path) -> None:
    check_files(run, tmp_path, ["a b c", "", "d e"], DecodeConfigOverrides())


def test_two_outputs_are_two_files(run: Path, tmp_path: Path) -> None:
    for first, second in (("output", "alignments"), ("output", "weights"), ("alignments", "weights")):
        files = {first: str(tmp_path / "out"), second: f"{tmp_path}/./out"}
        with pytest.raises(seq2seq.ConfigError, match=rf"^{second}=.*/out: the same file as {first}; choose"):
            translate(TranslateConfig(run=str(run), **files))  # type: ignore[arg-type]
    with pytest.raises(seq2seq.ConfigError, match=rf"^weights={tmp_path}: not a file"):
        translate(TranslateConfig(run=str(run), weights=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_closed_input(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(seq2seq.ConfigError, match=r"standard input is closed; give input="):
        translate(TranslateConfig(run=str(run)))
