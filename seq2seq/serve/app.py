"""The page, the API and its description, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from seq2seq import __version__
from seq2seq.errors import did_you_mean
from seq2seq.pages.template import asset, page
from seq2seq.serve import answers
from seq2seq.serve.answers import Answer, Asked, Health, Problem, Runs
from seq2seq.serve.batching import Batcher, Job
from seq2seq.serve.limits import META_POLICY, NO_JSON, Guard, RefusedError, problem
from seq2seq.serve.models import Served
from seq2seq.settings.schema import LimitsConfig

ASSETS = {
    "style.css": "text/css",
    "attention.js": "text/javascript",
    "translate-page.js": "text/javascript",
    "serve.js": "text/javascript",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON in UTF-8."},
    413: {"model": Problem, "description": "The body, or the text in it, is too large."},
    415: {"model": Problem, "description": "The Content-Type is not application/json."},
    422: {"model": Problem, "description": "A key or a value is wrong."},
    429: {"model": Problem, "description": "Too many requests of this client are waiting; see Retry-After."},
    503: {"model": Problem, "description": "The queue is full, or the deadline has passed; see Retry-After."},
}
BUSY: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "The queue is full."}}


def application(served: Sequence[Served], limits: LimitsConfig, hosts: Collection[str] | None = None) -> ASGIApp:
    """The application that serves these models.

    Args:
        served: the first translates unless a request names another.
        limits: of each request, and of all that wait.
        hosts: names that the Host header may have; None: any.
    """
    batcher = Batcher(limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPI(
        title="seq2seq", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    _answer_errors(app)
    _add_api(app, batcher, served, limits)
    _add_health(app, batcher)
    _add_pages(app)
    return Guard(app, limits, hosts)


def _answer_errors(app: FastAPI) -> None:
    """Every error is JSON with one line."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(422, answers.mistake(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, NO_JSON if error.status_code == 400 else error.detail)

    @app.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> Response:
        return problem(500, "internal error; the server has printed what it was")


def _add_api(app: FastAPI, batcher: Batcher, served: Sequence[Served], limits: LimitsConfig) -> None:
    @app.get("/api/runs", response_model=Runs)
    async def runs() -> Response:
        """The models that can be asked, and the limits."""
        return JSONResponse(answers.runs(served, limits))

    @app.post("/api/translate", response_model=Answer, responses=PROBLEMS)
    async def translate(asked: Asked, request: Request) -> Response:
        """Translate a text. Requests that arrive together are translated together."""
        one = _chosen(asked, served)
        job = Job(one, _lines(asked, limits), _num_best(asked, one), asked.attention, _client(request))
        batcher.submit(job)
        translations = await _waited(job, request, limits.deadline)
        return JSONResponse({"run": one.name, "translations": translations})


def _chosen(asked: Asked, served: Sequence[Served]) -> Served:
    names = {one.name: one for one in served}
    if asked.run is None:
        return served[0]
    if asked.run not in names:
        hint = did_you_mean(asked.run[:100], names)
        raise RefusedError(422, f"run: no such run; there is {' and '.join(names)}{hint}")
    return names[asked.run]


def _lines(asked: Asked, limits: LimitsConfig) -> list[str]:
    lines = asked.lines
    if (characters := sum(map(len, lines))) > limits.characters:
        raise RefusedError(413, f"text: {characters:,} characters; a request has at most {limits.characters:,}")
    if len(lines) > limits.sentences:
        raise RefusedError(413, f"text: {len(lines):,} sentences; a request has at most {limits.sentences:,}")
    return lines


def _num_best(asked: Asked, one: Served) -> int:
    decode = one.translator.decode
    if asked.num_best is not None and asked.num_best > decode.beam_size:
        raise RefusedError(422, f"num_best: at most {decode.beam_size}, the beam of {one.name}")
    return asked.num_best or decode.num_best


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


async def _waited(job: Job, request: Request, deadline: float) -> answers.Translations:
    """The answer to ``job``. It is dropped if the client goes, or the deadline passes."""
    gone = asyncio.create_task(_disconnected(request))
    either: set[asyncio.Future[Any]] = {job.answer, gone}
    try:
        await asyncio.wait(either, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        if job.answer.done():
            return job.answer.result()
        if gone.done():
            raise RefusedError(499, "the client has gone")  # nobody reads it
        raise RefusedError(503, f"not translated within {deadline:g} s: the server is busy; try again later")
    finally:
        gone.cancel()
        job.answer.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_health(app: FastAPI, batcher: Batcher) -> None:
    def state() -> dict[str, Any]:
        return {"status": "ok" if batcher.ready else "busy", "waiting": batcher.num_waiting}

    @app.get("/health", response_model=Health)
    async def health() -> Response:
        """Whether the server runs, however busy it is."""
        return JSONResponse(state())

    @app.get("/ready", response_model=Health, responses=BUSY)
    async def ready() -> Response:
        """Whether the server would take another request."""
        return JSONResponse(state(), 200 if batcher.ready else 503)


def _add_pages(app: FastAPI) -> None:
    described = app.openapi()  # of the API, before the pages are added
    files = {name: asset(name) for name in ASSETS}
    home = page("serve.html", title="Translate", script="serve.js", policy=META_POLICY)
    api = page("api.html", described=described)

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return HTMLResponse(home)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(api)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(described)

    @app.get("/assets/{name}", include_in_schema=False)
    async def assets(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=ASSETS[name])
