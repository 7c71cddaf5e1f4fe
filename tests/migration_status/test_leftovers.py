"""Files that failed half-way and invalid indexes, made for real."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from muva_console.ops.migrations.model import State
from muva_console.ops.migrations.status import read_matrix
from muva_console.ops.migrations.status_findings import findings_of
from muva_console.ops.readings import Level
from tests.patience import HANG

from .conftest import MakeScene
from .scene import connect

GUESTS = "create table public.guests (id int, email text)"
HALF = """alter table public.guests add column vip boolean;
insert into public.guests values (3, 'c', true);
create unique index concurrently guests_email_idx on public.guests (email);
create view public.vips as select * from public.guests where vip;
"""


async def test_half_way_and_what_it_left(make_scene: MakeScene) -> None:
    scene = await make_scene("production")
    main = {
        "01_guests.sql": GUESTS,
        "02_once.sql": "create unique index concurrently once_idx on public.guests (email)",
        "03_half.sql": HALF,
        # what these do is there already, and comes from elsewhere: it proves nothing
        "04_again.sql": "drop table public.guests; create table public.guests (id int);",
        "05_maybe.sql": "create table if not exists public.guests (id int); alter table public.guests "
        "add column if not exists email text; drop index public.nothing",
        "06_else.sql": "set search_path = other; create table guests (id int)",
    }
    scene.commit(main=main)
    await scene.sql("production", GUESTS, "insert into public.guests values (1, 'a'), (2, 'a')")
    await scene.record("production", ("01", "guests", [GUESTS]), ("02", "once", [main["02_once.sql"]]))
    for statement in [main["02_once.sql"], *HALF.split(";\n")[:3]]:
        try:
            await scene.sql("production", statement)
        except asyncpg.UniqueViolationError:
            assert "concurrently" in statement
    async with scene.workspace() as workspace:
        matrix = await read_matrix(workspace, ["production"])
    cells = {row.title: row.cells[0] for row in matrix.rows}
    told = {title: cell.state for title, cell in cells.items() if cell is not None}
    assert told == {
        "01_guests": State.APPLIED,
        "02_once": State.INVALID_INDEX,
        "03_half": State.HALF_WAY,
        "04_again": State.PENDING,
        "05_maybe": State.PENDING,
        "06_else": State.PENDING,
    }
    (column,) = matrix.columns
    (half,) = column.halves
    assert [line.split(":")[0] for line in half.done] == ["line 1", "line 3"]
    assert half.undone == ("line 4: CREATE VIEW public.vips",)
    assert half.untold == ("line 2: INSERT",)
    first, second = column.stray
    assert (first.index, first.table) == ("public.guests_email_idx", "public.guests")
    assert first.mend == 'DROP INDEX CONCURRENTLY "public"."guests_email_idx";'
    assert second.bytes >= 0 and "public.once_idx is invalid" in str(second)
    finding = findings_of(matrix)[-1]
    assert finding.level is Level.FAIL and "1 failed half-way" in finding.summary
    assert "DROP INDEX CONCURRENTLY" in finding.next
    # the way to mend is one: run it, and nothing is left
    await scene.sql("production", *(one.mend for one in column.stray))
    async with scene.workspace() as workspace:
        assert (await read_matrix(workspace, ["production"])).columns[0].stray == ()


async def test_an_index_that_is_being_built_is_none(make_scene: MakeScene) -> None:
    scene = await make_scene("production")
    scene.commit(main={"01_guests.sql": GUESTS})
    await scene.sql("production", GUESTS)
    holder, builder = [await connect(scene.server, f"{scene.prefix}_production") for _ in range(2)]
    holding = holder.transaction()
    await holding.start()
    await holder.execute("insert into public.guests values (1, 'a')")
    building = asyncio.create_task(
        builder.execute("create index concurrently slow_idx on public.guests (email)")
    )
    try:
        async with scene.workspace() as workspace, asyncio.timeout(HANG):
            while not (column := (await read_matrix(workspace, ["production"])).columns[0]).indexes:
                pass
        assert column.indexes[0].building is True and column.stray == ()
        assert "is being built" in column.notes[0]
    finally:
        await holding.rollback()
        await building
        for one in (holder, builder):
            await one.close(timeout=5)


@pytest.mark.parametrize("grant", ["", "grant pg_read_all_stats to {}"])
async def test_who_may_not_see_others_is_not_told_that_it_failed(make_scene: MakeScene, grant: str) -> None:
    """An invalid index whose table somebody holds: perhaps it is being built."""
    from muva_console.config.model import Database, Secret
    from muva_console.ops.links.base import CommandLog
    from muva_console.ops.links.postgres import PostgresLink
    from muva_console.ops.migrations.leftovers import invalid_indexes
    from tests.postgres.server import PASSWORD

    scene = await make_scene("production")
    user = f"looker_{scene.prefix}"
    await scene.sql(
        "production",
        GUESTS,
        "insert into public.guests values (1, 'a'), (2, 'a')",
        f"create role {user} login password 'x'",
        grant.format(user) or "select 1",
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await scene.sql("production", "create unique index concurrently bad_idx on public.guests (email)")

    async def word() -> str:
        return "x"

    database = Database(
        host="127.0.0.1", port=scene.server.port, name=f"{scene.prefix}_production", user=user,
        password=Secret(env="X"),
    )  # fmt: skip
    link = PostgresLink("db", database, word, CommandLog())
    holder = await connect(scene.server, f"{scene.prefix}_production")
    try:
        assert [one.building for one in await invalid_indexes(link)] == [False]
        async with holder.transaction():
            await holder.execute("lock table public.guests in share update exclusive mode")
            (index,) = await invalid_indexes(link)
            assert index.building is None
    finally:
        await link.close()
        await holder.close(timeout=5)
    assert PASSWORD not in str(index)
