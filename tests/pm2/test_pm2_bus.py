"""The live bus: always drained, typed, and gone when nobody listens."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from muva_console.ops.pm2.bus import BUFFER_ITEMS, BusItem, Pm2Bus, Subscription
from muva_console.ops.pm2.model import BusNotice, LogChunk, NoticeKind, ProcessEvent
from muva_console.ops.readings import utc_now
from tests.patience import HANG
from tests.pm2.local_link import LocalLink
from tests.pm2.real_pm2 import FLOOD, SERVER, Pm2

SECRET = "s3cr3t-Zq9xB"
THROWS = "process.on('SIGUSR2', () => { throw new TypeError('no database') }); setInterval(() => {}, 1000)"
LIMIT = 2_000_000


async def take(subscription: Subscription, wanted: Callable[[list[BusItem]], bool]) -> list[BusItem]:
    """Items until they are as wanted."""
    items: list[BusItem] = []
    async with asyncio.timeout(HANG):
        async for item in subscription:
            items.append(item)
            if wanted(items):
                break
    return items


async def connected(subscription: Subscription) -> None:
    await take(subscription, lambda items: _notice(items[-1], NoticeKind.CONNECTED))


def _notice(item: BusItem, kind: NoticeKind) -> bool:
    return isinstance(item, BusNotice) and item.kind is kind


def _said(item: BusItem, stream: str) -> bool:
    return isinstance(item, LogChunk) and item.stream == stream


def _event(items: list[BusItem], event: str) -> bool:
    return any(isinstance(item, ProcessEvent) and item.event == event for item in items)


async def until(condition: Callable[[], bool], timeout: float = HANG) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_events_logs_exceptions_and_the_end(pm2: Pm2) -> None:
    env = {"DATABASE_URL": SECRET}
    talk = "console.log('hello\\x1b[31m'); console.error('oops'); setInterval(() => {}, 1000)"
    throws = {"source": THROWS, "exec_mode": "cluster", "env": env}
    pm2.start(talk={"source": talk, "env": env}, throws=throws)
    reader = pm2.reader()
    bus = reader.bus
    everything, events, one = bus.subscribe(), bus.subscribe(logs=False), bus.subscribe(process="throws")
    for subscription in (everything, events, one):
        await connected(subscription)
    pids = {process.name: process.pid for process in (await reader.read()).processes}

    pm2.run("restart", "talk")
    items = await take(everything, lambda items: _event(items, "restart"))
    more = await take(
        everything, lambda items: any(isinstance(i, LogChunk) and i.stream == "out" for i in items)
    )
    items += more
    told = [item for item in items if isinstance(item, ProcessEvent)]
    assert [event.event for event in told if event.event != "exit"] == ["online", "restart"]
    assert all((event.process, event.pm_id, event.host) == ("talk", 0, "vps") for event in told)
    assert [event.manually for event in told if event.event == "restart"] == [True]
    chunk = items[-1]
    assert isinstance(chunk, LogChunk)
    assert chunk.data == "hello\x1b[31m\n"  # raw: lines are made of it first
    assert abs((chunk.at - utc_now()).total_seconds()) < 5

    pid = pids["talk"] = (await reader.read()).processes[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    items += await take(everything, lambda items: _event(items, "exit"))
    killed = [item for item in items if isinstance(item, ProcessEvent) and item.event == "exit"][-1]
    assert killed.detail == "by SIGKILL"

    thrower = pids["throws"]
    assert thrower is not None
    os.kill(thrower, signal.SIGUSR2)
    of_one = await take(one, lambda items: _event(items, "exit"))
    exception = next(i for i in of_one if isinstance(i, ProcessEvent) and i.event == "exception")
    assert exception.detail == "TypeError: no database"
    assert {item.process for item in of_one if not isinstance(item, BusNotice)} == {"throws"}

    pm2.run("kill")
    items += await take(everything, lambda items: _notice(items[-1], NoticeKind.LOST))
    assert any(_notice(item, NoticeKind.KILLED) for item in items)
    await until(lambda: bus.error is not None)
    assert not bus.connected

    pm2.start(talk=SERVER)  # another daemon: it is found without being asked
    items += await take(everything, lambda items: _notice(items[-1], NoticeKind.CONNECTED))
    assert bus.error is None
    assert not any(isinstance(item, LogChunk) for item in await _all(events))
    assert SECRET not in repr(items) + repr(of_one)
    await reader.close()
    assert [item async for item in everything] == []


async def _all(subscription: Subscription) -> list[BusItem]:
    return [await anext(subscription) for _ in range(subscription.pending)]


async def test_nobody_listening_is_disconnected(shared: Pm2) -> None:
    link = shared.link()
    bus = Pm2Bus(lambda: link.open_unix(f"{shared.home}/pub.sock"), "vps")
    first, second = bus.subscribe(), bus.subscribe(logs=False)
    await connected(first)
    await connected(second)
    assert link.opened == 1
    second.pause(True)
    assert link.channels == 1
    first.close()  # who is left is paused
    await until(lambda: link.channels == 0)
    assert not bus.connected
    assert bus.error is None
    second.pause(False)
    await take(second, lambda items: _notice(items[-1], NoticeKind.CONNECTED))
    assert link.channels == 1
    async with second:
        pass
    await until(lambda: link.channels == 0)
    await bus.close()
    assert [task for task in asyncio.all_tasks() if "pm2 bus" in task.get_name()] == []


async def test_pausing_and_going_on_at_once(shared: Pm2) -> None:
    link = shared.link()
    bus = Pm2Bus(lambda: link.open_unix(f"{shared.home}/pub.sock"), "vps")
    subscription = bus.subscribe()
    await connected(subscription)
    for _ in range(20):
        subscription.pause(True)
        subscription.pause(False)
    await until(lambda: bus.connected and link.channels == 1)
    await bus.close()
    assert link.channels == 0


async def test_a_flood_is_drained_whoever_reads(pm2: Pm2) -> None:
    """20 MB/s of logs, a consumer that takes nothing: the daemon's memory stays, ours is bounded."""
    pm2.start(flood=FLOOD, web=SERVER)
    reader = pm2.reader()
    stalled, counting = reader.bus.subscribe(limit=LIMIT), reader.bus.subscribe(logs=False)
    await connected(counting)
    flood = (await reader.read()).processes[0]
    assert flood.pid is not None
    daemon = psutil.Process(pm2.daemon)
    before = daemon.memory_info().rss
    os.kill(flood.pid, signal.SIGUSR2)
    await until(lambda: reader.bus.received > 30_000_000, timeout=HANG)
    os.kill(flood.pid, signal.SIGSTOP)
    read = reader.bus.received
    await asyncio.sleep(0.3)
    assert reader.bus.received - read < 10e6  # nothing worth the name had waited in the daemon
    assert daemon.memory_info().rss - before < 150e6  # its own garbage; what nobody reads comes on top
    assert stalled.dropped_bytes > 25_000_000
    assert stalled.dropped_chunks > 0
    kept = await _all(stalled)
    assert sum(len(item.data) for item in kept if isinstance(item, LogChunk)) <= LIMIT
    assert len(kept) <= BUFFER_ITEMS
    assert _notice(kept[0], NoticeKind.CONNECTED)  # what happened outlives what was said
    assert counting.dropped_chunks == 0
    await reader.close()


def test_what_happened_is_kept_before_what_was_said() -> None:
    subscription = Subscription(logs=True, process=None, pm_id=None, limit=100, changed=lambda: None)
    event = ProcessEvent(host="h", at=utc_now(), event="exit", process="x", pm_id=0)
    subscription.offer(event)
    for number in range(50):
        data = f"{number:02}" * 5
        subscription.offer(LogChunk(host="h", process="x", pm_id=0, stream="out", at=utc_now(), data=data))
    assert subscription.pending == 11
    assert (subscription.dropped_chunks, subscription.dropped_bytes) == (40, 400)
    assert subscription._items[0] is event
    assert isinstance(subscription._items[-1], LogChunk)
    assert subscription._items[-1].data.startswith("49")  # the newest are kept


async def test_what_an_application_sends_under_pm2s_topics_does_no_harm(pm2: Pm2) -> None:
    """`process.send` lets an application put anything on the bus."""
    liar = """
    for (const type of ['process:event', 'log:out', 'log:PM2', 'pm2:kill', 'process:exception'])
      for (const data of [1, 'x', [null], {data: 1, message: {}, event: []}])
        process.send({ type, data });
    process.send({ type: 'done', data: 1 });
    setTimeout(() => { console.log('still here'); }, 100); setInterval(() => {}, 1000)
    """
    pm2.start(web=SERVER)
    reader = pm2.reader()
    subscription = reader.bus.subscribe()
    await connected(subscription)
    pm2.start(liar=liar)
    items = await take(
        subscription, lambda items: isinstance(items[-1], LogChunk) and "still here" in items[-1].data
    )
    assert not any(_notice(item, NoticeKind.LOST) for item in items)
    await reader.close()


async def test_a_bus_that_is_not_there_is_an_error_in_sight() -> None:
    link = LocalLink({})
    bus = Pm2Bus(lambda: link.open_unix("/nowhere/pub.sock"), "vps")
    subscription = bus.subscribe()
    await until(lambda: bus.error is not None)
    assert str(bus.error) == "vps: no socket /nowhere/pub.sock"
    assert subscription.pending == 0
    await bus.close()
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)
