"""A server under load: python scripts/benchmarking/serving.py RUN FILE [LINES].

1, 8 and 32 clients on this machine ask for the lines of FILE, a line a request, as fast as they are answered.
Every answer is compared with what the model gives for the line alone. Then 32 ask where fewer may wait.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import seq2seq
from seq2seq.tables import table

CLIENTS = (1, 8, 32)
PATIENT = ("limits.per_client=64",)
OVER = {"queue of 4": ("limits.queue=4", "limits.per_client=64"), "4 of a client": ("limits.per_client=4",)}
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """Of one request."""

    status: int
    seconds: float
    text: str


@contextmanager
def server(run: str, *settings: str) -> Iterator[int]:
    """The port of a server in a process of its own."""
    command = [sys.executable, "-m", "seq2seq", "serve", f"run={run}", "port=0", *settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.readline()
        try:
            yield int(said.rpartition(":")[2].partition("/")[0])
        finally:
            process.terminate()


def client(port: int, lines: Sequence[str]) -> list[Answer]:
    """Ask for one line after the other over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    answers = []
    for line in lines:
        began = time.perf_counter()
        connection.request("POST", "/api/translate", json.dumps({"text": [line]}), JSON)
        response = connection.getresponse()
        said = json.loads(response.read())
        seconds = time.perf_counter() - began
        text = said["translations"][0]["candidates"][0]["text"] if response.status == 200 else said["error"]
        answers.append(Answer(response.status, seconds, text))
    connection.close()
    return answers


def measured(port: int, lines: Sequence[str], expected: Sequence[str], clients: int) -> list[str]:
    """A row of the table: throughput, times, and how many of the answers were right."""
    shares = [[*islice(range(len(lines)), first, None, clients)] for first in range(clients)]
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = pool.map(partial(client, port), [[lines[i] for i in share] for share in shares])
        answers = [answer for answered in found for answer in answered]
    seconds = time.perf_counter() - began
    order = [i for share in shares for i in share]
    good = [(i, answer) for i, answer in zip(order, answers, strict=True) if answer.status == 200]
    times = sorted(answer.seconds for _, answer in good)
    percentile = [f"{1000 * times[int(share * (len(times) - 1))]:.0f}" for share in (0.5, 0.95)]
    right = sum(answer.text == expected[i] for i, answer in good)
    statuses = Counter(answer.status for answer in answers)
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    return [str(clients), f"{len(good) / seconds:.1f}", *percentile, f"{right} of {len(good)}", counts]


def main(run: str, file: str, most: str = "1000") -> None:
    """Print the table."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()[: int(most)]
    translator = seq2seq.load(run, workers="1")
    expected = [str(translator.translate([line])[0]) for line in lines]
    head = ["limits", "clients", "requests/s", "p50 ms", "p95 ms", "right", "status: requests"]
    rows = []
    with server(run, *PATIENT) as port:
        client(port, lines[:20])
        rows += [["patient", *measured(port, lines, expected, clients)] for clients in CLIENTS]
    for name, settings in OVER.items():
        with server(run, *settings) as port:
            rows.append([name, *measured(port, lines, expected, CLIENTS[-1])])
    print("\n".join(table([head, *rows])))


if __name__ == "__main__":
    main(*sys.argv[1:])
