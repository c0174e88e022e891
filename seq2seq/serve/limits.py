"""What every request passes first, before anything of it is interpreted: its host, its size, its type.

Nothing here or behind it waits without end, and every answer carries the headers that keep a browser safe.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seq2seq.settings.schema import LimitsConfig

META_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'"
)
"""The content-security policy of the page, as far as a page may state it itself."""
HEADERS = {
    "Content-Security-Policy": f"{META_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ARRIVAL = 10.0  # seconds in which the body of a request has to arrive
READ_ON = 2**24  # bytes of a body that is too large, read and thrown away: else many clients miss the answer
RETRY_AFTER = 2  # seconds
NO_JSON = "the body: expected JSON in UTF-8"


class RefusedError(Exception):
    """A request that is not served, with the status and the words of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def response(self) -> Response:
        """The answer."""
        return problem(self.status, str(self))


def problem(status: int, message: str) -> Response:
    """An error as JSON, in one line."""
    headers = {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else None
    content = json.dumps({"error": " ".join(message.split())})  # in ASCII: no text of a request can break it
    return Response(content, status, headers, "application/json")


def largest_body(limits: LimitsConfig) -> int:
    """Bytes of a request: every character as JSON's longest escape, every sentence in quotes, and the keys."""
    return 12 * limits.characters + 8 * limits.sentences + 2000


class Guard:
    """An application that sees only requests within the limits, with their bodies whole."""

    def __init__(self, app: ASGIApp, limits: LimitsConfig, hosts: Collection[str] | None) -> None:
        """``hosts`` are the names under which a browser may ask for the page; None: any.

        With a list, no page of another site can reach a server on this machine by pointing its own name here.
        """
        self._app = app
        self._most = largest_body(limits)
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            body = await self._body(headers, receive)
            if scope["method"] == "POST" and not _is_json(headers):
                raise RefusedError(415, "Content-Type: expected application/json")
        except RefusedError as refused:
            await refused.response()(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replaying(body, receive), send)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._hosts is not None and name not in self._hosts:
            raise RefusedError(403, "Host: not a name of this server; give proxied_as=NAME if a proxy has another")

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body of a request; None if the client has gone."""
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > READ_ON:
            raise self._too_large()
        try:
            return await asyncio.wait_for(self._received(receive), ARRIVAL)
        except (asyncio.TimeoutError, TimeoutError):
            raise RefusedError(408, f"the body did not arrive within {ARRIVAL:g} s") from None

    async def _received(self, receive: Receive) -> bytes | None:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= self._most:
                chunks.append(chunk)
            elif size > READ_ON:
                break
        if size > self._most:
            raise self._too_large()
        return b"".join(chunks)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"the body is too large: at most {self._most:,} bytes")


def _is_json(headers: Headers) -> bool:
    """Whether the body says that it is JSON, which a browser sends to another site only after asking that site."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _with_headers(send: Send, headers: Iterable[tuple[str, str]] = tuple(HEADERS.items())) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in headers:
                given.setdefault(name, value)
        await send(message)

    return sending


def _replaying(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the whole body, then what else comes."""
    read = False

    async def receiving() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
