"""Download a file whose SHA-256 is known; a broken download is resumed."""

import logging
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError

from seq2seq.errors import DataError
from seq2seq.storage import integrity
from seq2seq.storage.atomic import sync

log = logging.getLogger(__name__)

MAX_BYTES = 256 * 2**20  # far more than any corpus file fetched here, in case a server sends without end
ATTEMPTS = 4
CHUNK = 2**16
REMEDY = "set data.root=DIR to a directory with local copies"


class _LostError(Exception):
    """The server could not be reached, refused, or broke off; ``began`` if it had sent a part of the file."""

    def __init__(self, why: object, *, began: bool) -> None:
        super().__init__(_one_line(why))
        self.began = began


@dataclass(frozen=True)
class _Download:
    """The file to download, its destination, and how long to wait."""

    url: str
    path: Path
    sha256: str
    max_bytes: int
    timeout: float
    backoff: float

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    def failure(self, why: str, first: str) -> DataError:
        """The error to raise: what could not be fetched, why, and the remedies, beginning with ``first``."""
        return DataError(f"{self.path}: cannot fetch {_one_line(self.url)}: {why}; {first}, or {REMEDY}")


def fetch(
    url: str,
    path: Path,
    sha256: str,
    *,
    max_bytes: int = MAX_BYTES,
    timeout: float = 30.0,
    backoff: float = 1.0,
) -> Path:
    """Download ``url`` to ``path``, unless the file is there with the right hash; returns ``path``.

    The bytes are collected in ``<path>.part``, which becomes ``path`` only once its hash is right. If an
    interrupted download left such a part, it is resumed. A file at ``path`` with another hash is replaced once
    the new one is complete. Only one process at a time may fetch a path: two would write to the same part.

    Args:
        url: an http or https address.
        path: where to put the file.
        sha256: of the file, in hexadecimal.
        max_bytes: the largest size accepted.
        timeout: seconds without an answer, or without data, that count as a broken connection.
        backoff: seconds before a broken download is first tried again; doubled each further time.

    Raises:
        DataError: the address is not http(s) or can't be fetched; the file is larger than ``max_bytes``, has
            another hash, or can't be written.
    """
    job = _Download(url, path, sha256.lower(), max_bytes, timeout, backoff)
    if not url.lower().startswith(("http://", "https://")):
        raise job.failure("only http and https addresses are read", "correct the address")
    try:
        if path.exists():
            if (actual := integrity.sha256(path)) == job.sha256:
                return path
            log.warning("%s: SHA-256 is %s, expected %s; downloading it again", path, actual, job.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        _download_verified(job)
        sync(job.part)  # else a crash could leave the new name on an empty file
        job.part.replace(path)
    except OSError as error:  # from the file system: those from the network have already become DataError
        raise job.failure(_one_line(error), "make room or permission there") from error
    return path


def _download_verified(job: _Download) -> None:
    """Fill ``job.part`` with bytes of the right hash, or delete it and raise DataError."""
    if _download(job) and integrity.sha256(job.part) != job.sha256:
        log.warning("%s: SHA-256 is wrong after resuming; starting over", job.part)
        job.part.unlink()
        _download(job)
    if (actual := integrity.sha256(job.part)) != job.sha256:
        job.part.unlink()
        why = f"SHA-256 is {actual}, expected {job.sha256} (it has changed, or was altered on the way)"
        raise job.failure(why, "start again")


def _download(job: _Download) -> bool:
    """Complete ``job.part``, over broken connections; return whether its beginning is from an earlier request.

    A server that never begins to send is not asked twice: whoever is offline should learn that at once.
    """
    log.info("downloading %s", job.url)
    began = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _transfer(job)
        except _LostError as lost:
            began |= lost.began
            if not began or attempt == ATTEMPTS:
                raise job.failure(f"{lost}{_kept(job.part)}", "check the network and start again") from lost
            log.warning("%s: broke off (%s); attempt %d of %d follows", job.url, lost, attempt + 1, ATTEMPTS)
            time.sleep(job.backoff * 2 ** (attempt - 1))
    raise AssertionError("the last attempt returns or raises")


def _kept(part: Path) -> str:
    size = part.stat().st_size if part.exists() else 0
    return f" ({size} bytes are kept in {part.name}; the next start resumes there)" if size else ""


def _transfer(job: _Download) -> bool:
    """Make one request for the rest of the part; return whether any of it is from an earlier request."""
    have = job.part.stat().st_size if job.part.exists() else 0
    response, offset = _open(job.url, have, job.timeout)
    with response:
        declared = None if response.length is None else offset + response.length
        size = _save(job, response, offset, declared)
    if declared is not None and size < declared:  # to read1, a connection that closes early looks like the end
        raise _LostError(f"connection closed after {size} of {declared} bytes", began=True)
    return offset > 0


def _save(job: _Download, response: HTTPResponse, offset: int, declared: int | None) -> int:
    """Write the body to the part, beginning at ``offset``; return the size of the part.

    Raises:
        DataError: the file is too large.
    """
    size = offset
    too_large = declared is not None and declared > job.max_bytes
    with job.part.open("ab" if offset else "wb") as file:
        while not too_large and (chunk := _read(response)):
            size += len(chunk)
            too_large = size > job.max_bytes
            file.write(chunk)
    if too_large:
        job.part.unlink()
        raise job.failure(f"it is larger than the {job.max_bytes} bytes allowed", "check the address")
    return size


def _open(url: str, offset: int, timeout: float) -> tuple[HTTPResponse, int]:
    """Request the bytes from ``offset``; return the response and the offset at which it really starts."""
    if offset:
        response = _request(url, {"Range": f"bytes={offset}-"}, timeout)
        if response is not None:
            if response.status != 206:  # the server ignores Range and sends the whole file
                return response, 0
            if response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                return response, offset
            response.close()  # another range than requested
    response = _request(url, {}, timeout)
    if response is None:
        raise _LostError("HTTP 416, though no range was requested", began=False)
    return response, 0


def _request(url: str, headers: dict[str, str], timeout: float) -> HTTPResponse | None:
    """The response to a GET, or None for 416 (there is no such range)."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "seq2seq", **headers})
        response: HTTPResponse = _opener().open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code == 416:
            return None
        raise _LostError(f"HTTP {error.code} {error.reason}", began=False) from error
    except URLError as error:
        raise _LostError(error.reason, began=False) from error
    except (OSError, HTTPException, ValueError) as error:  # no valid answer, or no valid address
        raise _LostError(error, began=False) from error
    return response


def _opener() -> urllib.request.OpenerDirector:
    """An opener for http and https only: the default one also follows redirects to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _read(response: HTTPResponse) -> bytes:
    """The bytes of the body that have arrived, b"" at its end (read would lose them on a broken connection)."""
    try:
        return response.read1(CHUNK)
    except (OSError, HTTPException) as error:
        raise _LostError(error, began=True) from error


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) or type(text).__name__
