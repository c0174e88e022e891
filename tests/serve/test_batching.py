"""What arrives together is translated together, and each request gets what it would get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Echo, alone, echoing, letters

from seq2seq.serve.batching import Batcher, Job
from seq2seq.serve.limits import RefusedError
from seq2seq.serve.models import Served
from seq2seq.settings.schema import LimitsConfig

Texts = list[list[str]]
LETTERS = letters(beam_size=4)


def job(served: Served, *lines: str, num_best: int = 1, client: str = "me") -> Job:
    return Job(served, [*lines], num_best, False, client)


def texts(answer: Sequence[dict[str, list[dict[str, str]]]]) -> Texts:
    return [[candidate["text"] for candidate in translation["candidates"]] for translation in answer]


def during(task: Callable[[Batcher], Awaitable[None]], **limits: int) -> None:
    """Run ``task`` while a batcher works."""

    async def running() -> None:
        async with Batcher(LimitsConfig(**limits)) as batcher:
            await asyncio.wait_for(task(batcher), 30)

    asyncio.run(running())


async def busy(batcher: Batcher, served: Served, echo: Echo) -> Job:
    """A request that is being translated until the gate opens."""
    echo.gate.clear()
    first = job(served, "first", client="other")
    batcher.submit(first)
    while not echo.begun.is_set():
        await asyncio.sleep(0.001)
    return first


def test_what_waits_is_one_batch() -> None:
    served, echo = echoing()

    async def task(batcher: Batcher) -> None:
        first = await busy(batcher, served, echo)
        jobs = [job(served, f"a{i}", f"b{i}") for i in range(5)]
        for one in jobs:
            batcher.submit(one)
        assert batcher.num_waiting == 5
        echo.gate.set()
        assert texts(await first.answer) == [["FIRST"]]
        for i, one in enumerate(jobs):
            assert texts(await one.answer) == [[f"A{i}"], [f"B{i}"]]

    during(task)
    assert echo.batches == [["first"], [f"{letter}{i}" for i in range(5) for letter in "ab"]]


def test_other_numbers_of_candidates_and_other_models_are_other_batches() -> None:
    (one, echo), (other, second) = echoing(), echoing("other")

    async def task(batcher: Batcher) -> None:
        await busy(batcher, one, echo)
        jobs = [
            job(one, "a", num_best=2),
            job(other, "b"),
            job(one, "c"),
            job(one, "d", num_best=2),
            job(other, "e"),
        ]
        for each in jobs:
            batcher.submit(each)
        echo.gate.set()
        assert [texts(await each.answer) for each in jobs] == [
            [["A", "A A"]], [["B"]], [["C"]], [["D", "D D"]], [["E"]],
        ]  # fmt: skip

    during(task)
    assert echo.batches == [["first"], ["a", "d"], ["c"]]
    assert second.batches == [["b", "e"]]


def test_a_batch_has_an_end() -> None:
    served, echo = echoing(batch_tokens=5)  # about 20 characters

    async def task(batcher: Batcher) -> None:
        await busy(batcher, served, echo)
        jobs = [job(served, letter * 8) for letter in "abcde"] + [job(served, "f" * 50)]
        for each in jobs:
            batcher.submit(each)
        echo.gate.set()
        await asyncio.gather(*(each.answer for each in jobs))

    during(task)
    assert [[line[0] for line in batch] for batch in echo.batches[1:]] == [["a", "b"], ["c", "d"], ["e"], ["f"]]


def test_one_that_fails_harms_no_other() -> None:
    served, echo = echoing()

    async def task(batcher: Batcher) -> None:
        await busy(batcher, served, echo)
        good, bad, also = job(served, "good"), job(served, "fail"), job(served, "also")
        for each in (good, bad, also):
            batcher.submit(each)
        echo.gate.set()
        assert texts(await good.answer) == [["GOOD"]]
        assert texts(await also.answer) == [["ALSO"]]
        with pytest.raises(RefusedError, match="internal error") as caught:
            await bad.answer
        assert caught.value.status == 500

    during(task)


def test_what_is_cancelled_is_not_translated() -> None:
    served, echo = echoing()

    async def task(batcher: Batcher) -> None:
        first = await busy(batcher, served, echo)
        gone, stays = job(served, "gone"), job(served, "stays")
        batcher.submit(gone)
        batcher.submit(stays)
        first.answer.cancel()  # too late for the thread, whose answer nobody gets
        gone.answer.cancel()
        await asyncio.sleep(0)
        assert batcher.num_waiting == 1
        echo.gate.set()
        assert texts(await stays.answer) == [["STAYS"]]

    during(task)
    assert echo.batches == [["first"], ["stays"]]


def test_the_queue_and_the_share_of_each_client_have_ends() -> None:
    served, echo = echoing()

    async def task(batcher: Batcher) -> None:
        await busy(batcher, served, echo)
        jobs = [job(served, "a", client="me"), job(served, "b", client="me"), job(served, "c", client="you")]
        for each in jobs:
            batcher.submit(each)
        assert not batcher.ready
        with pytest.raises(RefusedError, match="2 requests of this client are waiting") as caught:
            batcher.submit(job(served, "d", client="me"))
        assert caught.value.status == 429
        with pytest.raises(RefusedError, match="busy") as caught:
            batcher.submit(job(served, "e", client="her"))
        assert caught.value.status == 503
        jobs[0].answer.cancel()
        await asyncio.sleep(0)
        batcher.submit(job(served, "f", client="me"))
        echo.gate.set()

    during(task, queue=3, per_client=2)


LINE = st.text("abcdefghijkl ", max_size=12)
REQUESTS = st.lists(st.tuples(st.lists(LINE, max_size=3), st.integers(1, 4)), min_size=1, max_size=8)


@settings(max_examples=25)
@given(REQUESTS)
def test_together_as_alone(requests: list[tuple[list[str], int]]) -> None:
    async def task(batcher: Batcher) -> None:
        jobs = [job(LETTERS, *lines, num_best=num_best) for lines, num_best in requests]
        for each in jobs:
            batcher.submit(each)
        for each, (lines, num_best) in zip(jobs, requests, strict=True):
            assert texts(await each.answer) == [alone(LETTERS, line, num_best) for line in lines]

    during(task)
