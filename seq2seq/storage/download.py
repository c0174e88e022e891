"""Download a file whose SHA-256 is known; a download that breaks off is started again."""

import hashlib
import logging
import time
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError

from seq2seq.errors import DataError
from seq2seq.storage import integrity
from seq2seq.storage.atomic import write_bytes

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20  # far more than any corpus file fetched here, in case a server sends without end
ATTEMPTS = 4


class _FetchError(Exception):
    """Why a file can't be fetched and what to do; ``began`` if the server broke off after it had begun to send."""

    def __init__(
        self, why: object, remedy: str = "check the network and start again", *, began: bool = False
    ) -> None:
        super().__init__(_one_line(why))
        self.remedy, self.began = remedy, began


def fetch(
    url: str, path: Path, sha256: str, *, max_bytes: int = MAX_BYTES, timeout: float = 30.0, backoff: float = 1.0
) -> Path:
    """Download ``url`` to ``path``, unless the file is there with the right hash; returns ``path``.

    The file appears whole and with the right hash, or not at all; one with another hash is then replaced.

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
    try:
        if path.exists():
            if (actual := integrity.sha256(path)) == sha256.lower():
                return path
            log.warning("%s: SHA-256 is %s, expected %s; downloading it again", path, actual, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        body = _download(url, max_bytes, timeout, backoff)
        if (actual := hashlib.sha256(body).hexdigest()) != sha256.lower():
            why = f"SHA-256 is {actual}, expected {sha256} (it has changed, or was altered on the way)"
            raise _FetchError(why, "start again")
        write_bytes(path, body)
    except (_FetchError, OSError) as error:
        failure = _FetchError(error, "make room or permission there") if isinstance(error, OSError) else error
        remedies = f"{failure.remedy}, or set data.root=DIR to a directory with local copies"
        raise DataError(f"{path}: cannot fetch {_one_line(url)}: {failure}; {remedies}") from error
    return path


def _download(url: str, max_bytes: int, timeout: float, backoff: float) -> bytes:
    """The file, over broken connections.

    A server that never begins to send is not asked twice: whoever is offline should learn that at once.
    """
    log.info("downloading %s", url)
    began = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _body(url, max_bytes, timeout)
        except _FetchError as error:
            began |= error.began
            if not began or attempt == ATTEMPTS:
                raise
            log.warning("%s: broke off (%s); attempt %d of %d follows", url, error, attempt + 1, ATTEMPTS)
            time.sleep(backoff * 2 ** (attempt - 1))
    raise AssertionError("the last attempt returns or raises")


def _body(url: str, max_bytes: int, timeout: float) -> bytes:
    """What one request brings."""
    with _response(url, timeout) as response:
        declared = response.length
        try:
            body = response.read(max_bytes + 1) if (declared or 0) <= max_bytes else b""
        except (OSError, HTTPException) as error:
            raise _FetchError(error, began=True) from error
    if max(len(body), declared or 0) > max_bytes:
        raise _FetchError(f"it is larger than the {max_bytes} bytes allowed", "check the address")
    if declared is not None and len(body) < declared:  # to read, a connection that closes early looks like the end
        raise _FetchError(f"connection closed after {len(body)} of {declared} bytes", began=True)
    return body


def _response(url: str, timeout: float) -> HTTPResponse:
    if not url.lower().startswith(("http://", "https://")):
        raise _FetchError("only http and https addresses are read", "correct the address")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "seq2seq"})
        response: HTTPResponse = _opener().open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        raise _FetchError(f"HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise _FetchError(error.reason) from error
    except (OSError, HTTPException, ValueError) as error:  # no valid answer, or no valid address
        raise _FetchError(error) from error
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


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) or type(text).__name__
