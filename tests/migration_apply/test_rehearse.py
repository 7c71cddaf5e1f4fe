"""Dry runs that run: what was locked and written anew is told, and nothing is left."""

from __future__ import annotations

import pytest

from muva_console.ops.links.base import CommandLog
from muva_console.ops.migrations.apply_ground import NotApplicable
from muva_console.ops.migrations.rehearse import RehearseMigrations, TryMigrations
from muva_console.ops.migrations.scratch import MARK, Scratch
from muva_console.ops.operations import Event, EventKind
from tests.postgres.server import programs

from .world import World, last, said

TABLES = "create table t (id int); create table u (note text); create policy p on t using (true);"
CHANGES = (
    "alter table t alter column id type bigint;\n"
    "create index u_note on u (note);\n"
    "alter table u rename column note to text;\n"
    "create table v ();\nselect * from v"
)


async def rehearse(world: World) -> list[Event]:
    ground = world.ground()
    operation = RehearseMigrations(ground, Scratch(ground.link, None, programs(), CommandLog()))
    plan = await operation.plan()
    assert "its tables are empty" in plan.risks[0]
    return [event async for event in operation.perform(plan)]


async def databases(world: World) -> list[str]:
    return [name for (name,) in await world.sql("select datname from pg_database where not datistemplate")]


async def test_a_rehearsal_tells_locks_and_rewrites_and_leaves_nothing(world: World) -> None:
    world.put(v1=TABLES)
    last(await world.apply())
    world.put(v1=TABLES, v2=CHANGES)
    events = await rehearse(world)
    told = said(events, EventKind.OUTPUT)
    assert "1/5 done" in told
    assert "ACCESS EXCLUSIVE on public.t; wrote public.t anew" in told
    assert "took SHARE on public.u" in told
    assert "5/5 done" in told
    assert "public.v" not in told, "it is new"
    assert last(events).text == (
        "rehearsed 1 migration; locks: ACCESS EXCLUSIVE on public.t, ACCESS EXCLUSIVE on public.u; "
        "written anew: public.t"
    )
    assert await databases(world) == ["postgres"]
    assert await world.recorded() == ["1"]
    assert await world.there("v", "u_note") == []


async def test_a_rehearsal_that_fails_is_dropped_too(world: World) -> None:
    world.put(v1="create table t (id int); create index concurrently i on t (id)", v2="select colour from t")
    events = await rehearse(world)
    assert "so its locks were not seen" in said(events, EventKind.OUTPUT)
    assert 'column "colour" does not exist' in last(events).text
    assert await databases(world) == ["postgres"]
    await world.sql("create database left_behind", f"comment on database left_behind is '{MARK}'", "select 1")
    try:
        plan = await Scratch(world.links[0], None, programs(), CommandLog()).plan()
        assert any("earlier rehearsal" in risk and "left_behind" in risk for risk in plan.risks)
    finally:
        await world.sql("drop database left_behind", "select 1")


async def test_run_and_rolled_back(world: World) -> None:
    world.put(v1=TABLES)
    last(await world.apply())
    world.put(v1=TABLES, v2=CHANGES, v3="insert into u values ('x')")
    operation = TryMigrations(world.ground())
    events = [event async for event in operation.perform(await operation.plan())]
    assert last(events).text.startswith(
        "ran 2 migrations and rolled back; locks: ACCESS EXCLUSIVE on public.t"
    )
    assert await world.recorded() == ["1"]
    assert await world.there("v", "u_note") == []
    world.put(v1=TABLES, v2="create table w (); select 1/0")
    operation = TryMigrations(world.ground())
    failed = last([event async for event in operation.perform(await operation.plan())])
    assert "SQLSTATE 22012" in failed.text
    assert await world.there("w") == []


async def test_where_it_is_refused(world: World) -> None:
    world.put(v1="create table t (id int);", v2="vacuum t")
    with pytest.raises(
        NotApplicable, match="VACUUM cannot run in a transaction, so it cannot be rolled back"
    ):
        await TryMigrations(world.ground()).plan()
    world.production = True
    with pytest.raises(NotApplicable, match="production: its locks would hold up real requests"):
        await TryMigrations(world.ground()).plan()
