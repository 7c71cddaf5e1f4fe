"""The session is killed before and after everything it asks: what is told is what is true."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from muva_console.ops.errors import Fault
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.migrations import apply_lost
from muva_console.ops.migrations.apply import ApplyMigrations
from muva_console.ops.operations import EventKind
from tests.patience import HANG

from .world import World, last


class Mortal(PostgresSession):
    """Killed by the server at one of its questions; `asked` are all of them."""

    world: World
    kill: tuple[int, str] = (-1, "")
    """The number of the question, and "before" it is sent or "after" it was answered."""
    asked: list[str]

    async def _run(self, sql: str, ask: Any, timeout: float) -> Any:
        if not hasattr(self, "asked"):
            self.asked = []
        self.asked.append(sql)
        number, when = self.kill
        mine = number == len(self.asked) - 1
        if mine and when == "before":
            await self.die()
        answer = await super()._run(sql, ask, timeout)
        if mine and when == "after":
            await self.die()
            self._lose()
            raise DatabaseError(Fault.CLOSED, "the connection was lost", where=self.where)
        return answer

    async def die(self) -> None:
        pid = self.backend.pid
        await self.world.sql(f"select pg_terminate_backend({pid})")
        async with asyncio.timeout(HANG):
            while await self.world.sql(f"select 1 from pg_stat_activity where pid = {pid}"):
                await asyncio.sleep(0.005)


def mortal(world: World, number: int, when: str) -> None:
    def make(link: PostgresLink) -> PostgresSession:
        session = Mortal(link._way.apart(), link._log)
        session.world, session.kill = world, (number, when)
        return session

    world.make_session = make


async def clean(world: World) -> None:
    await world.sql("drop table if exists t, u", "drop schema if exists supabase_migrations cascade")


async def test_killed_at_each_question_of_a_transaction(world: World) -> None:
    world.put(v1="create table t (id int);\ninsert into t values (1);")
    mortal(world, -1, "")
    last(await world.apply())
    asked = world.sessions[-1].asked  # type: ignore[attr-defined]
    begin, commit = asked.index("BEGIN"), asked.index("COMMIT")
    assert commit - begin > 6
    seen = set()
    await clean(world)
    planned = ApplyMigrations(world.ground())
    plan = await planned.plan()
    for number in range(1, commit + 1):  # 0 is the question for its own pid
        for when in ("before", "after"):
            own = asked[number].startswith(("create", "insert", "INSERT", "COMMIT"))
            if when == "after" and not own:
                continue  # the same as before the next
            await clean(world)
            mortal(world, number, when)
            operation = ApplyMigrations(world.ground())
            operation._planned = planned._planned
            failed = last([event async for event in operation.perform(plan)])
            point = f"{asked[number]} {when}"
            assert failed.kind is EventKind.FAILED, point
            committed = await world.recorded() == ["1"]
            assert (await world.there("t") == ["t"]) is committed, point
            assert committed is (point == "COMMIT after"), point
            if committed:
                assert "1_x was committed, with its record" in failed.text, point
            elif number > begin + 1:  # from then on its number is known
                assert "1_x was rolled back: nothing of it is applied" in failed.text, point
            elif number > begin - 2:
                assert "Nothing of 1_x was begun" in failed.text, point
            seen.update(re.findall(r"lost (at [A-Za-z ]+|before it[a-z ]+)", failed.text))
            pid = world.sessions[-1].backend.pid
            assert not await world.sql(f"select 1 from pg_stat_activity where pid = {pid}"), point
    assert {"at COMMIT ", "at its record ", "at statement "} <= seen
    assert len(seen) >= 4


async def test_killed_while_it_commits(world: World) -> None:
    """A constraint that is looked at late makes COMMIT take its time."""
    world.put(
        v1="create table t (id int);"
        "create function slow() returns trigger language plpgsql as "
        "$$ begin perform pg_sleep(60); return null; end $$;"
        "create constraint trigger late after insert on t deferrable initially deferred"
        " for each row execute function slow();"
        "insert into t values (1);"
    )
    applying = asyncio.create_task(world.apply())
    async with asyncio.timeout(HANG):
        while not (
            found := await world.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query = 'COMMIT' and wait_event = 'PgSleep'"
            )
        ):
            await asyncio.sleep(0.01)
    assert found == [(True,)]
    failed = last(await applying)
    assert "lost at COMMIT" in failed.text
    assert "1_x was rolled back" in failed.text
    assert await world.there("t") == []


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_what_runs_alone(world: World, when: str) -> None:
    world.put(v1="create table t (id int)", v2="create index concurrently t_id on t (id)")
    mortal(world, -1, "")
    last(await world.apply(to="1"))
    number = next(n for n, sql in enumerate(await _asked(world)) if "concurrently" in sql)
    await world.sql(
        "drop index t_id", "delete from supabase_migrations.schema_migrations where version = '2'"
    )
    mortal(world, number, when)
    failed = last(await world.apply())
    assert failed.kind is EventKind.FAILED
    assert await world.recorded() == ["1"]
    if when == "before":
        assert "public.t_id is not there" in failed.text
    else:
        assert "public.t_id is there and valid; the file is not recorded" in failed.text
        assert "supabase migration repair --status applied 2" in failed.text


async def _asked(world: World) -> list[str]:
    last(await world.apply())
    return list(world.sessions[-1].asked)  # type: ignore[attr-defined]


async def test_a_session_that_lives_on_is_ended_and_looked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our end of the connection is gone, and the server has not noticed: its transaction holds locks."""
    monkeypatch.setattr(apply_lost, "LINGER", 0.05)
    monkeypatch.setattr(apply_lost, "LOOK_EVERY", 0.02)

    class Deaf(PostgresSession):
        async def execute(self, sql: str, *, timeout: float = 10.0) -> str:
            if "pg_sleep" not in sql:
                return await super().execute(sql, timeout=timeout)
            assert self._connection is not None
            going = asyncio.ensure_future(super().execute(sql, timeout=timeout))
            await asyncio.wait({going}, timeout=0.2)
            kept, self._connection = self._connection, None  # cut off, not closed: the server hears nothing
            stray.append((kept, going))
            raise DatabaseError(Fault.CLOSED, "the connection was lost", where=self.where)

    stray: list[Any] = []
    world.make_session = lambda link: Deaf(link._way.apart(), link._log)
    world.put(v1="create table t (id int); select pg_sleep(60);")
    failed = last(await world.apply())
    assert "1_x was rolled back: nothing of it is applied" in failed.text
    assert await world.there("t") == []
    for connection, going in stray:
        connection.terminate()
        await asyncio.gather(going, return_exceptions=True)


async def test_where_the_server_stays_away_it_says_how_to_find_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_lost, "LOOK_FOR", 0.05)
    world.put(v1="create table t (id int);")

    async def away(*_: object, **__: object) -> Any:
        raise DatabaseError(Fault.REFUSED, "connection refused: nothing listens there")

    class Cut(Mortal):
        async def _run(self, sql: str, ask: Any, timeout: float) -> Any:
            if sql.startswith("create table"):
                world.links[-1].fetch = away  # type: ignore[method-assign]
                await self.die()
            return await super()._run(sql, ask, timeout)

    def make(link: PostgresLink) -> PostgresSession:
        session = Cut(link._way.apart(), link._log)
        session.world = world
        return session

    world.make_session = make
    failed = last(await world.apply())
    assert "Whether 1_x is applied cannot be told: the server cannot be asked" in failed.text
    assert re.search(r"psql .*txid_status\(\d+\)", failed.text)


async def test_giving_up_cancels_the_statement_on_the_server(world: World) -> None:
    world.put(v1="create table t (id int); select pg_sleep(60);")
    applying = asyncio.create_task(world.apply())
    busy = (
        "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(HANG):
        while not (await world.sql(busy + " and wait_event = 'PgSleep'"))[0][0]:
            await asyncio.sleep(0.01)
        applying.cancel()
        await asyncio.gather(applying, return_exceptions=True)
        while (await world.sql(busy))[0][0]:
            await asyncio.sleep(0.01)
    assert await world.there("t") == []
    assert await world.recorded() == []


async def test_the_connection_that_applies_names_itself(world: World) -> None:
    session = world.link().session()
    await session.open()
    try:
        rows = await world.sql(
            f"select application_name from pg_stat_activity where pid = {session.backend.pid}"
        )
        assert rows == [("muva-console",)]
        assert await session.fetch("show tcp_keepalives_idle") == [("15",)]
    finally:
        await session.close()
