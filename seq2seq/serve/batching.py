"""Requests that wait, and are translated together. One thread computes; the event loop never does.

Nobody waits for company: whatever has arrived when a batch ends is the next one. So a request alone is translated
at once, and the busier the server, the larger its batches. A batch has one model and one number of candidates,
since that number changes when search ends: a request gets what it would get alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from seq2seq.errors import UserError, out_of_memory
from seq2seq.serve.answers import Translations, described
from seq2seq.serve.limits import RefusedError
from seq2seq.serve.models import Served
from seq2seq.settings.schema import LimitsConfig

logger = logging.getLogger(__name__)
CHARACTERS = 4  # of a token, about: what a batch takes is counted before anything is split into tokens


@dataclass(eq=False)
class Job:
    """A request that waits for its answer. If the answer is cancelled, the request is dropped."""

    served: Served
    lines: list[str]
    num_best: int
    attention: bool
    client: str  # its address
    answer: asyncio.Future[Translations] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def size(self) -> int:
        """In characters."""
        return sum(map(len, self.lines))

    def goes_with(self, other: Job) -> bool:
        """Whether both can be translated in one batch."""
        return self.served is other.served and self.num_best == other.num_best


class Batcher:
    """The queue of requests, and the thread that translates them."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._waiting: list[Job] = []  # in the order in which they came
        self._unanswered: list[Job] = []  # these, and those that are being translated
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "translating")

    async def __aenter__(self) -> Batcher:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    @property
    def num_waiting(self) -> int:
        """Requests that nobody translates yet."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether another request would be taken."""
        return len(self._waiting) < self._limits.queue and not self._task.done()

    def submit(self, job: Job) -> None:
        """Let ``job`` wait for its turn.

        Raises:
            RefusedError: too many wait, of this client (429) or at all (503).
        """
        most = self._limits.per_client
        if sum(other.client == job.client for other in self._unanswered) >= most:
            raise RefusedError(429, f"{most} requests of this client are waiting; try again in a few seconds")
        if not self.ready:
            raise RefusedError(503, "the server is busy; try again in a few seconds")
        self._waiting.append(job)
        self._unanswered.append(job)
        job.answer.add_done_callback(lambda _: self._forget(job))
        self._arrived.set()

    def _forget(self, job: Job) -> None:
        self._unanswered.remove(job)
        if job in self._waiting:
            self._waiting.remove(job)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            while jobs := self._next():
                answers = await loop.run_in_executor(self._thread, translated, jobs)
                for job, answer in zip(jobs, answers, strict=True):
                    _answer(job, answer)
            self._arrived.clear()

    def _next(self) -> list[Job]:
        """Take the request that came first, and those that go with it, as many as make a batch."""
        waiting = [job for job in self._waiting if not job.answer.done()]
        taken: list[Job] = []
        for job in waiting:
            if not job.goes_with(waiting[0]):
                continue
            size = sum(other.size for other in [*taken, job])
            if taken and size > CHARACTERS * job.served.translator.decode.batch_tokens:
                break
            taken.append(job)
        self._waiting = [job for job in waiting if job not in taken]
        return taken


def translated(jobs: Sequence[Job]) -> list[Translations | RefusedError]:
    """The answers to ``jobs``, which go together. If that fails, each is tried alone: it may be due to one."""
    first = jobs[0]
    try:
        translator = first.served.translator.with_num_best(first.num_best)
        found = iter(translator.translate([line for job in jobs for line in job.lines]))
        return [
            [described(translator, one, job.attention) for one in islice(found, len(job.lines))] for job in jobs
        ]
    except Exception as error:
        if len(jobs) == 1:
            return [_failure(error)]
        return [answer for job in jobs for answer in translated([job])]


def _failure(error: Exception) -> RefusedError:
    if out_of_memory(error):
        return RefusedError(503, "memory ran out; send less text, or try again")
    if isinstance(error, UserError):
        return RefusedError(500, str(error))
    logger.error("a request failed", exc_info=error)
    return RefusedError(500, "internal error; the server has printed what it was")


def _answer(job: Job, answer: Translations | RefusedError) -> None:
    if job.answer.done():  # cancelled: the client has gone, or waits no longer
        return
    if isinstance(answer, RefusedError):
        job.answer.set_exception(answer)
    else:
        job.answer.set_result(answer)
