"""`fetch` against a server on this machine that breaks off, ignores ranges and lies as told."""

import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from seq2seq.errors import DataError
from seq2seq.storage import download

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
HALF = len(BODY) // 2

fetch = partial(download.fetch, timeout=5.0, backoff=0.001)


class Site(HTTPServer):
    """Serves `body` at /file, and remembers what it was asked for and what it sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.body = BODY
        self.honours_range = True
        self.declares_length = True
        self.range_shift = 0  # an honest server starts where it was asked to
        self.breaks: list[int] = []  # bytes after which each of the next connections is closed
        self.errors: dict[int, int] = {}  # number of a request, from 1 → status it is answered with
        self.stalls = False  # instead of closing, leave the client waiting
        self.released = threading.Event()
        self.redirect = ""
        self.ranges: list[str | None] = []  # the Range header of each request
        self.sent: list[int] = []  # the body bytes answered to each

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site = self.server
        asked = self.headers["Range"]
        site.ranges.append(asked)
        site.sent.append(0)
        if site.redirect:
            return self.answer(302, {"Location": site.redirect})
        if status := site.errors.get(len(site.ranges)):
            return self.answer(status, {})
        if self.path != "/file":
            return self.answer(404, {})
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and site.honours_range else 0
        if start >= len(site.body):
            return self.answer(416, {})
        begin = start - site.range_shift if start else 0
        headers = {"Content-Length": str(len(site.body) - begin)} if site.declares_length else {}
        if start:
            headers["Content-Range"] = f"bytes {begin}-{len(site.body) - 1}/{len(site.body)}"
        self.answer(206 if start else 200, headers)
        return self.send(site.body[begin:])

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, body: bytes) -> None:
        site = self.server
        if site.breaks:
            body = body[: site.breaks.pop(0)]
        site.sent[-1] = len(body)
        try:
            self.wfile.write(body)
        except ConnectionError:
            return  # the client has seen enough
        if site.stalls:
            site.released.wait(5)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "train.de.gz"


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def leave_part(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    part_of(path).write_bytes(content)


def failure(url: str, path: Path, **options: object) -> str:
    """Fetch, which must fail; return the message after checking what every message must hold."""
    with pytest.raises(DataError) as raised:
        fetch(url, path, **{"sha256": SHA256, **options})
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: cannot fetch {url}: ")
    assert "data.root=DIR" in message
    assert not path.exists()
    return message


def test_fresh_download_is_complete_and_leaves_no_part(site: Site, path: Path) -> None:
    assert fetch(site.url, path, SHA256) == path
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert site.ranges == [None]


def test_hash_may_be_written_in_capitals(site: Site, path: Path) -> None:
    fetch(site.url, path, SHA256.upper())
    fetch(site.url, path, SHA256.upper())
    assert len(site.ranges) == 1


def test_file_with_the_right_hash_is_not_requested_again(site: Site, path: Path) -> None:
    fetch(site.url, path, SHA256)
    assert fetch(site.url, path, SHA256) == path
    assert len(site.ranges) == 1


def test_file_with_a_wrong_hash_is_replaced(site: Site, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert str(path) in record.getMessage()
    assert record.name == "seq2seq.storage.download"


def test_file_with_a_wrong_hash_stays_until_its_successor_is_there(site: Site, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(DataError, match="404"):
        fetch(site.url + "-missing", path, SHA256)
    assert path.read_bytes() == b"old"


def test_part_is_resumed_and_only_the_rest_is_sent(site: Site, path: Path) -> None:
    leave_part(path, BODY[:HALF])
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [f"bytes={HALF}-"]
    assert site.sent == [len(BODY) - HALF]
    assert not part_of(path).exists()


def test_server_that_ignores_range_is_read_from_zero(site: Site, path: Path) -> None:
    site.honours_range = False
    leave_part(path, BODY[:HALF])
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [f"bytes={HALF}-"]


def test_range_other_than_the_one_asked_for_is_not_appended(
    site: Site, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.range_shift = 10
    leave_part(path, BODY[:HALF])
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [f"bytes={HALF}-", None]
    assert "starting over" not in caplog.text  # it took no wrong hash to see it


def test_range_past_the_end_starts_over(site: Site, path: Path) -> None:
    leave_part(path, BODY + b"more")
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [f"bytes={len(BODY) + 4}-", None]


def test_broken_connection_is_resumed(site: Site, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site.breaks = [1000, 2000]
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [None, "bytes=1000-", "bytes=3000-"]
    assert site.sent == [1000, 2000, len(BODY) - 3000]
    assert f"connection closed after 1000 of {len(BODY)} bytes" in caplog.messages[0]


def test_stalled_connection_keeps_what_had_arrived(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    site.breaks = [1000]
    site.stalls = True
    message = failure(site.url, path, timeout=0.5)
    assert "timed out (1000 bytes are kept" in message
    site.released.set()
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [None, "bytes=1000-"]


def test_connection_that_keeps_breaking_leaves_the_part_for_the_next_start(site: Site, path: Path) -> None:
    site.breaks = [100] * download.ATTEMPTS
    message = failure(site.url, path)
    kept = 100 * download.ATTEMPTS
    assert f"{kept} bytes are kept in {path.name}.part" in message
    assert part_of(path).read_bytes() == BODY[:kept]
    assert len(site.ranges) == download.ATTEMPTS

    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges[-1] == f"bytes={kept}-"


def test_server_lost_for_a_while_after_a_break_is_asked_again(site: Site, path: Path) -> None:
    site.breaks = [1000]
    site.errors = {2: 503, 3: 503}
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [None, *["bytes=1000-"] * 3]


def test_retries_wait_longer_each_time(site: Site, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    site.breaks = [100] * download.ATTEMPTS
    failure(site.url, path, backoff=1.0)
    assert waits == [1.0, 2.0, 4.0]


def test_corrupted_part_is_fetched_again_from_zero(site: Site, path: Path) -> None:
    leave_part(path, b"x" * HALF)
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.ranges == [f"bytes={HALF}-", None]


def test_wrong_hash_after_resuming_restarts_once_only(site: Site, path: Path) -> None:
    leave_part(path, BODY[:HALF])
    site.body = b"y" * len(BODY)
    message = failure(site.url, path)
    assert hashlib.sha256(site.body).hexdigest() in message
    assert site.ranges == [f"bytes={HALF}-", None]
    assert not part_of(path).exists()


@pytest.mark.parametrize("declares_length", [True, False])
def test_wrong_hash_names_both_and_leaves_nothing(site: Site, path: Path, declares_length: bool) -> None:
    site.body = b"something else"
    site.declares_length = declares_length
    message = failure(site.url, path)
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert SHA256 in message
    assert list(path.parent.iterdir()) == []
    assert site.ranges == [None]


@pytest.mark.parametrize("declares_length", [True, False])
def test_file_over_the_limit_is_refused(site: Site, path: Path, declares_length: bool) -> None:
    site.declares_length = declares_length
    message = failure(site.url, path, max_bytes=len(BODY) - 1)
    assert f"larger than the {len(BODY) - 1} bytes allowed" in message
    assert list(path.parent.iterdir()) == []


def test_file_declared_over_the_limit_is_not_read(site: Site, path: Path) -> None:
    site.breaks = [0]  # reading would find the connection broken, and try again
    failure(site.url, path, max_bytes=len(BODY) - 1)
    assert len(site.ranges) == 1


def test_file_of_just_the_limit_is_accepted(site: Site, path: Path) -> None:
    fetch(site.url, path, SHA256, max_bytes=len(BODY))
    assert path.read_bytes() == BODY


def test_resumed_file_over_the_limit_is_refused(site: Site, path: Path) -> None:
    leave_part(path, BODY[:HALF])
    failure(site.url, path, max_bytes=len(BODY) - 1)
    assert not part_of(path).exists()


def test_http_error_is_reported_at_once(site: Site, path: Path) -> None:
    message = failure(site.url + "-missing", path)
    assert "HTTP 404 Not Found" in message
    assert len(site.ranges) == 1


def test_refused_connection(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unheard:  # bound, so that no one else takes the port; not listening
        unheard.bind(("127.0.0.1", 0))
        message = failure(f"http://127.0.0.1:{unheard.getsockname()[1]}/file", path)
    assert "refused" in message
    assert "check the network" in message
    assert "kept" not in message


def test_server_that_never_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = failure(f"http://127.0.0.1:{silent.getsockname()[1]}/file", path, timeout=0.05)
    assert "timed out; check the network" in message


def test_redirect_to_another_protocol_is_refused(site: Site, path: Path) -> None:
    site.redirect = "ftp://127.0.0.1/file"
    assert "unknown url type: ftp" in failure(site.url, path)


@pytest.mark.parametrize("url", ["ftp://host/file", "file:///etc/passwd", "data:,x", "train.de.gz"])
def test_only_http_addresses_are_read(url: str, path: Path) -> None:
    assert "only http and https" in failure(url, path)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:port/", "http://[/", "http://127.0.0.1/a b"])
def test_malformed_address(url: str, path: Path) -> None:
    failure(url, path)


def test_address_with_a_line_break_still_makes_one_line(path: Path) -> None:
    with pytest.raises(DataError) as raised:
        fetch("http://127.0.0.1/a\nb", path, SHA256)
    assert "\n" not in str(raised.value)


def test_place_that_cannot_be_written(site: Site, path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    assert "make room or permission" in failure(site.url, path)
    assert site.ranges == []
