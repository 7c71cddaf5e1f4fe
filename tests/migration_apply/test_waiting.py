"""Two at once, and statements that wait for somebody's lock."""

from __future__ import annotations

import pytest

from muva_console.ops.migrations import locking
from muva_console.ops.migrations.apply import ApplyMigrations
from muva_console.ops.migrations.apply_ground import Choice
from muva_console.ops.operations import EventKind
from tests.patience import HANG

from .world import World, connect, last, said


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "ASK_AGAIN", 0.02)
    monkeypatch.setattr(locking, "LOOK_AFTER", 0.02)
    monkeypatch.setattr(locking, "LOOK_EVERY", 0.05)


async def test_the_second_sees_who_holds_the_lock_and_since_when(world: World) -> None:
    world.put(v1="create table t (id int);")
    first = world.ground().session()
    await first.open()
    await locking.take(first, world.links[0])
    try:
        assert any(f"pid {first.backend.pid}" in risk for risk in (await world.plan()).risks)
        refused = last(await world.apply())
        assert refused.kind is EventKind.FAILED
        assert f"pid {first.backend.pid}, user postgres from 127.0.0.1 (muva-console), since" in refused.text
        assert await world.recorded() == []
        operation = ApplyMigrations(world.ground(), Choice(wait=HANG))
        events = []
        async for event in operation.perform(await operation.plan()):
            events.append(event)
            if "it is waited for" in event.text:
                assert event.kind is EventKind.WARNING
                await first.close()
    finally:
        await first.close()
    assert last(events).kind is EventKind.DONE
    assert sum("it is waited for" in event.text for event in events) == 1


async def test_blockers_are_shown_and_the_file_is_tried_again(world: World) -> None:
    await world.sql("create table t (id int)", "select 1")
    world.put(v1="create table u (id int); alter table t add column note text;")
    other = await connect(world.server, world.name)
    try:
        await other.execute("begin; insert into t values (42); select 'a secret' from t")
        pid = other.get_server_pid()
        operation = ApplyMigrations(world.ground(), Choice())
        events = []
        async for event in operation.perform(await operation.plan()):
            events.append(event)
            if "attempt 2 of 3" in event.text:
                await other.execute("commit")
        told = said(events, EventKind.WARNING)
        assert f"behind pid {pid}, postgres (no name), idle in transaction" in told
        assert "insert into t values (?)" in told
        assert "secret" not in told
        assert "the lock was not to be had in time; all of it rolled back" in told
        assert last(events).kind is EventKind.DONE
        assert await world.there("u") == ["u"]
        assert not other.is_closed()
    finally:
        await other.close(timeout=5)


async def test_after_the_last_attempt_it_fails_and_nothing_is_there(world: World) -> None:
    await world.sql("create table t (id int)", "select 1")
    world.put(v1="create table u (id int); alter table t add column note text;")
    other = await connect(world.server, world.name)
    try:
        await other.execute("begin; lock table t in share mode")
        events = await world.apply()
        assert "SQLSTATE 55P03" in last(events).text
        assert sum("attempt" in event.text for event in events) == 2
        assert await world.there("u") == []
        assert await other.fetchval("select 1") == 1, "it was not ended"
    finally:
        await other.close(timeout=5)


async def test_the_lock_that_a_file_gives_back_stops_the_next(world: World) -> None:
    world.put(v1="select pg_advisory_unlock_all();", v2="create table t (id int);")
    failed = last(await world.apply())
    assert "stopped before 2_x: the lock against a second apply was given back" in failed.text
    assert await world.recorded() == ["1"]
