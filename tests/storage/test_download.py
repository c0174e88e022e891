"""`fetch` against a server on this machine that breaks off and lies as told."""

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

fetch = partial(download.fetch, timeout=5.0, backoff=0.001)


class Site(HTTPServer):
    """Serves `body` at /file, and remembers what it was asked for and what it sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.body = BODY
        self.declares_length = True
        self.breaks: list[int] = []  # bytes after which each of the next connections is closed
        self.errors: dict[int, int] = {}  # number of a request, from 1 → status it is answered with
        self.stalls = False  # instead of closing, leave the client waiting
        self.released = threading.Event()
        self.redirect = ""
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site = self.server
        site.requests += 1
        if site.redirect:
            return self.answer(302, {"Location": site.redirect})
        if status := site.errors.get(site.requests):
            return self.answer(status, {})
        if self.path != "/file":
            return self.answer(404, {})
        self.answer(200, {"Content-Length": str(len(site.body))} if site.declares_length else {})
        return self.send(site.body)

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, body: bytes) -> None:
        site = self.server
        if site.breaks:
            body = body[: site.breaks.pop(0)]
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


def test_fresh_download_is_complete_and_alone(site: Site, path: Path) -> None:
    assert fetch(site.url, path, SHA256) == path
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert site.requests == 1


def test_hash_may_be_written_in_capitals(site: Site, path: Path) -> None:
    fetch(site.url, path, SHA256.upper())
    fetch(site.url, path, SHA256.upper())
    assert site.requests == 1


def test_file_with_the_right_hash_is_not_requested_again(site: Site, path: Path) -> None:
    fetch(site.url, path, SHA256)
    assert fetch(site.url, path, SHA256) == path
    assert site.requests == 1


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


def test_broken_connection_starts_again(site: Site, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site.breaks = [1000, 2000]
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.requests == 3
    assert f"connection closed after 1000 of {len(BODY)} bytes" in caplog.text


def test_stalled_connection(site: Site, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    site.breaks = [1000]
    site.stalls = True
    assert "timed out; check the network" in failure(site.url, path, timeout=0.5)
    site.released.set()


def test_connection_that_keeps_breaking_leaves_nothing(site: Site, path: Path) -> None:
    site.breaks = [100] * download.ATTEMPTS
    failure(site.url, path)
    assert site.requests == download.ATTEMPTS
    assert list(path.parent.iterdir()) == []


def test_server_lost_for_a_while_after_a_break_is_asked_again(site: Site, path: Path) -> None:
    site.breaks = [1000]
    site.errors = {2: 503, 3: 503}
    fetch(site.url, path, SHA256)
    assert path.read_bytes() == BODY
    assert site.requests == 4


def test_retries_wait_longer_each_time(site: Site, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    site.breaks = [100] * download.ATTEMPTS
    failure(site.url, path, backoff=1.0)
    assert waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("declares_length", [True, False])
def test_wrong_hash_names_both_and_leaves_nothing(site: Site, path: Path, declares_length: bool) -> None:
    site.body = b"something else"
    site.declares_length = declares_length
    message = failure(site.url, path)
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert SHA256 in message
    assert list(path.parent.iterdir()) == []
    assert site.requests == 1


@pytest.mark.parametrize("declares_length", [True, False])
def test_file_over_the_limit_is_refused(site: Site, path: Path, declares_length: bool) -> None:
    site.declares_length = declares_length
    message = failure(site.url, path, max_bytes=len(BODY) - 1)
    assert f"larger than the {len(BODY) - 1} bytes allowed" in message
    assert list(path.parent.iterdir()) == []


def test_file_declared_over_the_limit_is_not_read(site: Site, path: Path) -> None:
    site.breaks = [0]  # reading would find the connection broken, and try again
    failure(site.url, path, max_bytes=len(BODY) - 1)
    assert site.requests == 1


def test_file_of_just_the_limit_is_accepted(site: Site, path: Path) -> None:
    fetch(site.url, path, SHA256, max_bytes=len(BODY))
    assert path.read_bytes() == BODY


def test_http_error_is_reported_at_once(site: Site, path: Path) -> None:
    message = failure(site.url + "-missing", path)
    assert "HTTP 404 Not Found" in message
    assert site.requests == 1


def test_refused_connection(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unheard:  # bound, so that no one else takes the port; not listening
        unheard.bind(("127.0.0.1", 0))
        message = failure(f"http://127.0.0.1:{unheard.getsockname()[1]}/file", path)
    assert "refused" in message
    assert "check the network" in message


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
    assert site.requests == 0
