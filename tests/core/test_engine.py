from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from muva_console.engine import Engine
from muva_console.ops.feed import Feed, Snapshot
from tests.patience import HANG


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.start()
    yield engine
    engine.stop()


async def test_work_goes_on_while_the_screens_loop_is_blocked(engine: Engine) -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    engine.post(lambda: asyncio.ensure_future(tick()))
    before = len(ticks)
    time.sleep(0.3)  # a terminal that takes nothing: this very loop stands still
    assert len(ticks) - before >= 5


async def test_a_blocked_screen_gets_the_newest_snapshot_not_all_of_them(engine: Engine) -> None:
    counter = 0

    async def fetch() -> int:
        nonlocal counter
        counter += 1
        return counter

    feed = Feed("fast", fetch, interval=0.001)
    seen: list[Snapshot[int]] = []
    stop = engine.watch(feed, seen.append)
    deadline = time.monotonic() + HANG
    while counter < 50 and time.monotonic() < deadline:
        time.sleep(0.01)  # blocks the screen's loop on purpose
    delivered_while_blocked = len(seen)
    while not seen:
        await asyncio.sleep(0.001)
    assert delivered_while_blocked == 0
    assert seen[0].value is not None
    assert seen[0].value >= 49
    stop()


async def test_a_cancelled_call_is_cancelled_in_the_ops_loop(engine: Engine) -> None:
    cancelled = threading.Event()
    began = threading.Event()

    async def long() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.ensure_future(engine.call(long))
    while not began.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.wait(5)


async def test_leaving_an_iteration_does_not_end_the_work(engine: Engine) -> None:
    done = threading.Event()
    go_on = threading.Event()

    async def work() -> AsyncIterator[int]:
        yield 1
        while not go_on.is_set():
            await asyncio.sleep(0.001)
        yield 2
        done.set()

    async for item in engine.iterate(work):
        assert item == 1
        break
    go_on.set()
    assert done.wait(5)


async def test_leaving_a_stream_ends_what_is_streamed(engine: Engine) -> None:
    closed = threading.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async with aclosing(engine.stream(endless)) as items:
        async for _ in items:
            break
    assert closed.wait(5)


async def test_an_error_reaches_the_one_who_iterates(engine: Engine) -> None:
    async def work() -> AsyncIterator[int]:
        yield 1
        raise ValueError("no more")

    seen = []
    with pytest.raises(ValueError, match="no more"):
        async for item in engine.iterate(work):
            seen.append(item)  # noqa: PERF401 - what came before the error is what is asked
    assert seen == [1]


def test_stopping_closes_what_is_open_and_may_be_repeated() -> None:
    engine = Engine()
    engine.start()
    closed = threading.Event()

    async def closing() -> None:
        closed.set()

    engine.stop(closing)
    engine.stop(closing)
    assert closed.is_set()
