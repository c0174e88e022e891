"""Nonsense for a server: `make test` sends hundreds of requests, `make test-faults` 10,000."""

from __future__ import annotations

import json
import random
import socket
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from hypothesis import settings
from serving import Echo, alone, echoing, letters, listening

from seq2seq.serve import limits

LONG = settings.default is not None and settings.default.max_examples > 1000  # the profile of `make test-faults`
NUMBER = 10_000 if LONG else 200
MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}",
    "%s%n",
    "'; DROP TABLE",
    "\u202e",
]
KEYS = ["text", "num_best", "run", "attention", "texts", "__proto__", "\ud800", ""]


def value(rng: random.Random, depth: int = 3) -> object:
    """Anything that JSON can hold."""
    kinds: list[Callable[[], object]] = [
        lambda: rng.choice([None, True, False, 0, -1, 1, 10**20, 1.5, float("nan"), float("inf"), "", " ", "\0"]),
        lambda: rng.choice(MARKUP),
        lambda: "".join(rng.choices("abcdefgh ", k=rng.randrange(60))),
        lambda: "".join(chr(rng.randrange(1, 0x11000)) for _ in range(rng.randrange(60))),
        lambda: rng.choice(string.printable) * rng.randrange(5000),
    ]
    if depth:
        kinds.append(lambda: [value(rng, depth - 1) for _ in range(rng.randrange(6))])
        kinds.append(lambda: {rng.choice(KEYS): value(rng, depth - 1) for _ in range(rng.randrange(3))})
    return rng.choice(kinds)()


def body(rng: random.Random) -> bytes:
    """What a request sends: mostly JSON of the right form with a value or two that are wrong."""
    asked: dict[str, object] = {"text": value(rng, 1)}
    for key in rng.sample(KEYS, rng.randrange(3)):
        asked[key] = value(rng)
    text = json.dumps(asked).encode()
    kinds: list[Callable[[], bytes]] = [
        *[lambda: text] * 6,
        lambda: rng.randbytes(rng.randrange(300)),
        lambda: text[: rng.randrange(len(text))],
        lambda: json.dumps(asked, ensure_ascii=False).encode("utf-16", "surrogatepass"),
        lambda: b"[" * rng.randrange(30_000),
        lambda: b'{"text": "' + b"a" * rng.choice([5000, 70_000, 1_000_000]) + b'"}',
        lambda: b'{"text": ' + rng.randbytes(20) + b"}",
    ]
    return rng.choice(kinds)()


def mostly(rng: random.Random, good: str, *bad: str) -> str:
    return good if rng.random() < 0.9 else rng.choice(bad)


def request(rng: random.Random) -> bytes:
    """The bytes of an HTTP request, which may not be one."""
    content = body(rng)
    method = mostly(rng, "POST", "GET", "PUT", "HEAD", "OPTIONS", "TRACE")
    path = mostly(rng, "/api/translate", "/", "/docs", "/api/runs", "/assets/%00", "/assets/../a", "/%ff")
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {mostly(rng, 'localhost', 'evil.example', '', 'localhost:99999')}",
        f"Content-Type: {mostly(rng, 'application/json', 'text/plain', 'application/json; charset=utf-16', 'ÿ')}",
        f"Content-Length: {mostly(rng, str(len(content)), '-1', 'x', '1e3', '9' * 30)}",
    ]
    if rng.random() < 0.05:
        lines[-1] = "Transfer-Encoding: chunked"
        content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if rng.random() < 0.5 else content
    lines.append(mostly(rng, "Origin: null", "X: " + "a" * 100_000, "bad header", " X: a"))
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + content


def answered(port: int, sent: bytes) -> tuple[int, bytes, bytes]:
    """Status, headers and body of what is answered until the server closes; status 0 if it answers nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        received = b""
        try:
            connection.sendall(sent)
            while chunk := connection.recv(65536):
                received += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass
    head, _, content = received.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, head.lower(), content


HONEST = b'{"text": "a b c", "num_best": 2}'
LETTERS = letters(beam_size=2)


def check(sent: bytes, status: int, head: bytes, content: bytes) -> None:
    """What must be true of every answer, but those of the HTTP parser, which are not ours."""
    assert status < 500
    if b"content-security-policy" in head:
        assert b"application/json" in head or (status == 200 and b"<script>alert" not in content)
        if status >= 400 and not sent.startswith(b"HEAD"):
            assert list(json.loads(content)) == ["error"]


@pytest.mark.hostile
def test_nonsense_is_refused_in_a_line_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four clients at a time; every fifth request is an honest one, and gets its translation."""
    monkeypatch.setattr(limits, "ARRIVAL", 0.5)
    rng, statuses = random.Random(13), Counter[int]()
    expected = alone(LETTERS, "a b c", 2)
    with listening(LETTERS, letters("run")) as port, ThreadPoolExecutor(4) as pool:
        for start in range(0, NUMBER, 20):
            batch = [head(len(HONEST)) + HONEST if i % 5 == 0 else request(rng) for i in range(20)]
            for i, (sent, answer) in enumerate(zip(batch, pool.map(partial(answered, port), batch), strict=True)):
                statuses[answer[0]] += 1
                check(sent, *answer)
                if i % 5 == 0:
                    found = json.loads(answer[2])["translations"][0]["candidates"]
                    assert [candidate["text"] for candidate in found] == expected, start
    print(f"{NUMBER:,} requests, by status: {dict(sorted(statuses.items()))}")
    assert min(statuses[200], statuses[400], statuses[422]) > NUMBER / 10


def head(length: int) -> bytes:
    lines = [
        "POST /api/translate HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Connection: close",
    ]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def ask(port: int, text: str) -> socket.socket:
    content = json.dumps({"text": text}).encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(head(len(content)) + content)
    return connection


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def waiting(port: int) -> int:
    sent = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return int(json.loads(answered(port, sent)[2])["waiting"])


@contextmanager
def translating() -> Iterator[tuple[int, Echo, socket.socket]]:
    """The port of a server, its model, and a request that is being translated until the model's gate opens."""
    served, echo = echoing()
    echo.gate.clear()
    with listening(served) as port:
        try:
            first = ask(port, "first")
            assert echo.begun.wait(10)
            yield port, echo, first
        finally:
            echo.gate.set()


def test_who_hangs_up_is_not_translated() -> None:
    with translating() as (port, echo, first):
        gone, stays = ask(port, "gone"), ask(port, "stays")
        until(lambda: waiting(port) == 2)
        gone.close()
        until(lambda: waiting(port) == 1)
        echo.gate.set()
        for connection, expected in ((first, b"FIRST"), (stays, b"STAYS")):
            until(lambda: expected in connection.recv(65536))  # noqa: B023
            connection.close()
    assert echo.batches == [["first"], ["stays"]]


def test_a_body_that_never_arrives_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARRIVAL", 0.1)
    sent = head(9) + b"{"
    with listening(echoing()[0]) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_what_waits_is_answered_when_the_server_is_stopped() -> None:
    with translating() as (port, _, first):
        second = ask(port, "second")
        until(lambda: waiting(port) == 1)
    for connection, expected in ((first, b"FIRST"), (second, b"SECOND")):
        with connection:
            assert expected in connection.recv(65536)
