"""Standard streams that are closed, full or of another encoding; and Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.commands.output import process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")

OPENED_LATER = """
from seq2seq.commands.output import process
with process(), open("later", "w") as file:
    print(file.fileno() > 2, "ü€")
"""
CLOSED = "error: standard output is closed; give >/dev/null if nobody is to read it\n"
FULL = "error: the output: No space left on device\n"


def shell(command: str, cwd: Path, *, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    """The command, in which $0 is Python."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    ended = shell(f"exec $0 -c '{OPENED_LATER}' {closed}", tmp_path, encoding="ascii")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True \\xfc\\u20ac\n", "")


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        ("--version >&-", 1, CLOSED),
        ("--version >&- 2>&-", 1, ""),
        ("--version >/dev/full", 1, FULL),
        (
            "runs none >/dev/full",
            1,
            "error: none: no such directory; give a run, or a directory that holds runs\n",
        ),
    ],
)
def test_output_that_can_not_be_written(command: str, status: int, error: str, tmp_path: Path) -> None:
    ended = shell(f"exec $0 -m seq2seq {command}", tmp_path)
    assert (ended.returncode, ended.stderr) == (status, error)


def say_and_end(code: int | str | None) -> None:
    with process():
        print("said")
        if code:
            sys.exit(code)


@pytest.mark.parametrize("code", [75, "error: of another kind", None])
def test_a_status_is_kept_though_the_output_is_full(
    code: int | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with pytest.raises(SystemExit) as ended:
            say_and_end(code)
    assert ended.value.code == (code or FULL.rstrip())


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, process():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_an_error_of_another_file_is_not_the_outputs() -> None:
    with pytest.raises(FileNotFoundError), process():
        Path("/none").read_text()
