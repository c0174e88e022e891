"""The command: what it refuses to start with, and how its process ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from inprocess import error_line
from reversals import trained_run

import seq2seq
from seq2seq.serve.models import load_served
from seq2seq.serve.server import bound, hosts
from seq2seq.settings.schema import ServeConfig

EXTRA = "seq2seq serve needs FastAPI: pip install 'seq2seq-nmt[serve]'"
WITHOUT = """\
import sys
sys.modules["fastapi"] = None
sys.argv = ["seq2seq", "serve", "run=x"]
from seq2seq.commands import main
main()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("served"), 60, "trainer.max_steps=4", "decode.beam_size=2")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("run=nowhere", "run=nowhere: no such directory"),
        ("run=[]", "run=[]: expected a directory, or a list of directories"),
        ("run=[a,[b,[c]]]", "run=[b,[c]]: expected a directory, or a list of directories"),
        ("run=[a,[b,null]]", "run=[b,null]: expected a directory, or a list of directories; null, the built-in"),
        ("run=[a,[]]", "run=[]: expected a directory, or a list of directories"),
        ("run=[a,a]", "run=a: given twice"),
        ("run=[[a,b],[a,b]]", "run=[a,b]: given twice"),
        ("run=a port=70000", "port=70000: expected integer, 0 to 65,535"),
        ("run=a host=no.such.host.invalid", "host=no.such.host.invalid: no such address"),
        ("run=a host=192.0.2.1", "host=192.0.2.1 port=8000: Cannot assign requested address; give another port=…"),
        ("run=a limits.queue=0", "limits.queue=0: expected integer, 1 to 10,000"),
        ("run=a limits.deadline=0", "limits.deadline=0.0: expected number, more than 0, at most 3,600"),
        ("run=a decode.workers=4", "decode.workers=4: one process serves; leave it out"),
    ],
)
def test_what_it_does_not_start_with(given: str, expected: str) -> None:
    assert error_line("serve", *given.split()).startswith(expected)


def test_a_port_in_use_is_named() -> None:
    with bound("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        expected = f"host=127.0.0.1 port={port}: Address already in use; give another port=… or host=…"
        assert error_line("serve", "run=a", f"port={port}") == expected


def test_without_the_extra_it_is_named() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, f"error: {EXTRA}\n")


def test_only_a_server_that_this_machine_alone_reaches_asks_for_the_name() -> None:
    with bound("127.0.0.1", 0) as local, bound("0.0.0.0", 0) as public:
        settings = ServeConfig(run="x", proxied_as="MT.example.org")
        assert hosts(settings, local) == {"localhost", "127.0.0.1", "[::1]", "mt.example.org"}
        assert hosts(settings, public) is None


def test_without_a_run_the_built_in_model_is_served() -> None:
    [one] = load_served(ServeConfig())
    assert (one.name, one.src, one.tgt) == ("built-in", "de", "en")
    assert "knows only the phrasebook" in one.about


def test_runs_have_names(run: Path) -> None:
    by_path = ServeConfig(run=[str(run), f"{run}/best"])
    assert [one.name for one in load_served(by_path)] == [str(run), f"{run}/best"]
    one = load_served(ServeConfig(run=str(run)))[0]
    assert (one.name, one.src, one.tgt) == (run.name, "de", "en")
    assert one.about.startswith("Luong (general) attention, 0.")
    assert ", update " in one.about
    assert one.translator.decode.workers == "1"


class Started:
    """A process of the command, and the address that it printed."""

    def __init__(self, *given: str) -> None:
        command = [sys.executable, "-m", "seq2seq", "serve", "port=0", *given]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr
        self.said = self.process.stderr.readline()
        self.address = self.said.rpartition(" at ")[2].partition(";")[0]

    def end(self) -> tuple[int, str]:
        """Exit status, and what else was printed."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def started(*given: str) -> Iterator[Started]:
    server = Started(*given)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


STOPPING = "stopping when the requests that wait are answered; Ctrl-C again ends at once\n"


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_status_0(run: Path, number: signal.Signals) -> None:
    with started(f"run={run}") as server:
        assert server.said.startswith(f"serving {run.name} (de → en) at http://127.0.0.1:")
        answer = httpx.post(f"{server.address}api/translate", json={"text": "a b c"})
        expected = str(seq2seq.load(run).translate(["a b c"])[0])
        assert answer.json()["translations"][0]["candidates"][0]["text"] == expected
        server.process.send_signal(number)
        assert server.end() == (0, STOPPING)


@pytest.mark.system
def test_a_second_interrupt_does_not_wait_for_translations(run: Path) -> None:
    long = {"text": ["a b c d e f g h " * 30] * 20}
    slow = [f"run={run}", "decode.beam_size=100", "decode.max_ratio=100", "limits.deadline=60"]
    with started(*slow) as server:
        content = json.dumps(long).encode()
        host, port = server.address.removeprefix("http://").strip("/").split(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /api/translate HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            time.sleep(1)
            server.process.send_signal(signal.SIGINT)
            assert server.process.stderr
            assert server.process.stderr.readline() == STOPPING
            assert server.process.poll() is None
            server.process.send_signal(signal.SIGINT)
            assert server.end() == (130, "interrupted\n")
