from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.feed import Feed, Freshness, Snapshot
from tests.patience import HANG


class Source:
    """Counts how it is asked, and fails on demand."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            return self.asked
        finally:
            self.at_once -= 1


async def until(condition: Callable[[], bool], seconds: float = HANG) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.002)


async def test_many_viewers_one_poll() -> None:
    source = Source()
    feed = Feed("test", source, interval=1000)
    seen: list[list[int | None]] = [[] for _ in range(20)]
    for mine in seen:
        feed.watch(lambda snapshot, mine=mine: mine.append(snapshot.value))  # type: ignore[misc]
    await until(lambda: all(mine[-1] == 1 for mine in seen))
    assert source.asked == 1
    await feed.close()


async def test_without_a_viewer_it_rests_and_it_wakes_for_a_new_one() -> None:
    source = Source()
    feed = Feed("test", source, interval=0.005)
    stop = feed.watch(lambda _: None)
    await until(lambda: source.asked >= 3)
    stop()
    await asyncio.sleep(0)
    resting = source.asked
    await asyncio.sleep(0.05)
    assert source.asked == resting
    feed.watch(lambda _: None)
    await until(lambda: source.asked > resting)
    await feed.close()


async def test_refreshing_while_it_asks_does_not_overlap() -> None:
    source = Source()
    source.gate.clear()
    feed = Feed("test", source, interval=1000)
    feed.watch(lambda _: None)
    await until(lambda: source.asked == 1)
    for _ in range(50):
        feed.refresh()
    source.gate.set()
    await until(lambda: source.at_once == 0 and feed.snapshot.value is not None)
    assert source.most_at_once == 1
    assert source.asked <= 2
    await feed.close()


async def test_a_failure_keeps_the_last_value_with_its_age() -> None:
    source = Source()
    feed = Feed("test", source, interval=0.01)
    feed.watch(lambda _: None)
    await until(lambda: feed.snapshot.value is not None)
    source.error = LinkError(Fault.REFUSED, "refused", where="host")
    await until(lambda: feed.snapshot.failures >= 1)
    snapshot = feed.snapshot
    assert snapshot.value is not None
    assert snapshot.freshness() is Freshness.UNREACHABLE
    age = snapshot.age()
    assert age is not None
    assert age >= 0
    source.error = None
    feed.refresh()
    await until(lambda: feed.snapshot.error is None)
    assert feed.snapshot.failures == 0
    await feed.close()


async def test_a_defect_in_the_source_does_not_end_the_feed() -> None:
    source = Source()
    source.error = ZeroDivisionError("oops")
    feed = Feed("test", source, interval=1000)
    feed.watch(lambda _: None)
    await until(lambda: feed.snapshot.error is not None)
    assert "ZeroDivisionError" in str(feed.snapshot.error)
    source.error = None
    feed.refresh()
    await until(lambda: feed.snapshot.value is not None)
    await feed.close()


async def test_a_source_that_hangs_is_given_up() -> None:
    source = Source()
    source.gate.clear()
    feed = Feed("slow thing", source, interval=1000, timeout=0.02)
    feed.watch(lambda _: None)
    await until(lambda: feed.snapshot.error is not None)
    assert isinstance(feed.snapshot.error, LinkError)
    assert feed.snapshot.error.fault is Fault.TIMEOUT
    await feed.close()


async def test_paused_it_is_not_asked_but_a_refresh_asks_once() -> None:
    source = Source()
    feed = Feed("test", source, interval=0.005)
    feed.watch(lambda _: None)
    await until(lambda: source.asked >= 1 and not feed.snapshot.asking)
    feed.pause(True)
    await asyncio.sleep(0.02)
    before = source.asked
    await asyncio.sleep(0.05)
    assert source.asked == before
    assert feed.snapshot.freshness() is Freshness.PAUSED
    feed.refresh()
    await until(lambda: source.asked == before + 1)
    await asyncio.sleep(0.05)
    assert source.asked == before + 1
    feed.pause(False)
    await until(lambda: source.asked > before + 1)
    await feed.close()


async def test_a_shorter_interval_holds_at_once() -> None:
    source = Source()
    feed = Feed("test", source, interval=1000)
    feed.watch(lambda _: None)
    await until(lambda: source.asked == 1)
    feed.set_interval(0.005)
    await until(lambda: source.asked >= 3)
    await feed.close()


def test_old_is_stale_and_never_fresh() -> None:
    snapshot = Snapshot(value=1, taken=100.0, interval=10.0)
    assert snapshot.freshness(110.0) is Freshness.FRESH
    assert snapshot.freshness(126.0) is Freshness.STALE
    assert Snapshot[int](interval=10.0).freshness(0.0) is Freshness.NEVER


async def test_once_raises_what_the_source_raised() -> None:
    source = Source()
    source.error = OpsError("no", where="there")
    with pytest.raises(OpsError, match="there: no"):
        await Feed("test", source).once()


async def test_a_source_that_was_cancelled_elsewhere_does_not_end_the_looking() -> None:
    """A link that is closed cancels what reads over it; the feed tells a failure and asks again."""
    asked = 0

    async def fetch() -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            elsewhere = asyncio.create_task(asyncio.sleep(60))
            elsewhere.cancel()
            await asyncio.shield(elsewhere)
        return asked

    feed = Feed("test", fetch, interval=0.005)
    seen: list[Snapshot[int]] = []
    feed.watch(seen.append)
    await until(lambda: seen[-1].value == 2)
    assert any(isinstance(s.error, LinkError) and s.error.fault is Fault.CLOSED for s in seen)
    await feed.close()
