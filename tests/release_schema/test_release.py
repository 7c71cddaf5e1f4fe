"""A good release passes every check; each thing that can be wrong fails the check that is for it, alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from muva_console.drill.migrate import apply
from muva_console.ops.journal.model import Entry
from muva_console.ops.readings import Level

from .world import APPLIED, World, bad, connect, said

pytestmark = pytest.mark.xdist_group("release-schema")

Prepare = Callable[[World], Awaitable[None]]
BOOKINGS = "20250102_bookings.sql"


async def test_a_good_release_passes_and_says_what_goes_out(world: World) -> None:
    # comments of an applied file may change, and so may the case of its words
    world.release(
        {"20250101_guests.sql": "-- who\nCREATE TABLE public.guests (id int primary key,name text NOT NULL);"}
    )
    world.backup()
    found = await world.check()
    assert bad(found) == {}
    summaries = {name: findings[0].summary for name, findings in found.items()}
    assert summaries["migrations-valid"] == "3 migrations, all valid; 1 of them is new: 20250103_reviews"
    assert (
        "1 pending on production: 20250103_reviews; all applied on staging" in summaries["migration-status"]
    )
    assert summaries["migration-tested"] == "1 migration pending on production; it ran on staging"
    assert summaries["database-sync"] == (
        "2 tables alike, rows 1× of production's; 2 differences that pending migrations explain"
    )
    assert [one.subject for one in found["backup-plan"]] == [
        "release to return to",
        "backup",
        "migrations' way back",
    ]
    assert (
        found["backup-plan"][0].summary
        == f"{world.heads['main'][:7]} (1.4.2), which production serves now, healthy"
    )

    pending = await world.check("migrations-applied")
    assert bad(pending) == {}  # main has what production has
    assert pending["migrations-applied"][0].summary == "all 2 migrations of main are applied on production"


async def recorded_as_failed(world: World) -> None:
    world.release()
    world.deployments = [deployment("failed", world.heads["main"])]


async def rolled_back(world: World) -> None:
    world.release()
    main = world.heads["main"]
    world.deployments = [
        deployment("success", main), deployment("success", "c" * 40, kind="rollback", rolls_back=main),
    ]  # fmt: skip


def deployment(status: str, commit: str, **more: str) -> Entry:
    data = {"id": commit, "environment": "production", "commit": commit, "branch": "main", "status": status}
    return Entry(
        id=1, at=datetime.now(UTC), engineer="dana", origin="here", session="s", environment="production",
        kind="deployment", subject="", text="", data={**data, **more}, prev_hash="", hash="",
    )  # fmt: skip


async def invalid(world: World) -> None:
    unparsable = "select 1;\n\ncreate tabel public.x (id int);"
    world.release(
        {
            "20250104_bad.sql": unparsable,
            "20250105_dumped.sql": "\\restrict abc\nselect 1;",
            "add_notes.sql": "select 1;",
        }
    )
    await _record(world, "20250104", "bad", unparsable)
    await world.sql("staging", f"insert into {HISTORY} values ('20250105', null, 'dumped')")


async def edited(world: World) -> None:
    """Of the function it is the body alone: PostgreSQL's parser gives both texts one fingerprint."""
    world.release({BOOKINGS: str(APPLIED[BOOKINGS]).replace("count(*) from", "count(*) + 1 from")})


async def removed(world: World) -> None:
    world.release({"20250101_guests.sql": None})


async def duplicate(world: World) -> None:
    world.release({"20250101_again.sql": "select 1;"})


async def conflict(world: World) -> None:
    """One version, given on each branch to another migration; production has run its own."""
    world.release(main={"20250103_rooms.sql": "create table public.rooms (id int primary key);"})


async def out_of_order(world: World) -> None:
    world.release({"20250101120000_late.sql": "comment on table public.guests is 'guests';"})
    for name in ("staging", "production"):
        await world.sql(name, f"insert into {HISTORY} values ('20250102120000', array['select 1'], 'x')")
    await _record(world, "20250101120000", "late", "comment on table public.guests is 'guests';")


async def missing(world: World) -> None:
    world.release()
    await world.sql("staging", f"insert into {HISTORY} values ('20250102500000', array['select 1'], 'gone')")


async def drifted(world: World) -> None:
    world.release()
    other = "array['create table public.guests (id bigint)']"
    await world.sql("production", f"update {HISTORY} set statements = {other} where version = '20250101'")


async def untested(world: World) -> None:
    world.release({"20250104_notes.sql": "create table public.notes (id int primary key);"})


async def tested_otherwise(world: World) -> None:
    world.release()
    await world.sql("staging", f"update {HISTORY} set statements[1] = 'select 1' where version = '20250103'")


async def schema_drift(world: World) -> None:
    world.release()
    await world.sql("production", "alter table public.bookings alter column night set not null")


async def function_drift(world: World) -> None:
    world.release()
    body = "create or replace function public.booked() returns bigint language sql as 'select 1::bigint'"
    await world.sql("staging", body)


async def rows_out_of_ratio(world: World) -> None:
    world.release()
    more = "insert into public.bookings select n, 1, current_date from generate_series(1000, 2000) n"
    await world.sql("production", more, "analyze public.bookings")


async def emptied(world: World) -> None:
    world.release()
    await world.sql("staging", "truncate public.bookings")


async def stale_backup(world: World) -> None:
    world.release()
    world.backup(timedelta(days=2))


async def broken_backup(world: World) -> None:
    world.release()
    world.backup(timedelta(hours=4))
    world.backup(timedelta(hours=1), b"\x1f\x8bnot a dump")


async def future_backup(world: World) -> None:
    world.release()
    world.backup(-timedelta(days=1))


async def destructive(world: World) -> None:
    text = (
        "create table public.x (id int);\ndrop table public.x;\nalter table public.guests drop column name;"
    )
    world.release({"20250104_names.sql": text})
    await _run(world, "20250104_names.sql", text)


HISTORY = "supabase_migrations.schema_migrations"
CASES: list[tuple[Prepare, str, str]] = [
    (invalid, "migrations-valid", 'line 3, column 8: syntax error at or near "tabel"'),
    (invalid, "migrations-valid", "line 1, column 1: \\restrict is a command of psql's"),
    (invalid, "migrations-valid", "add_notes.sql would be skipped"),
    (edited, "migrations-valid", f"{BOOKINGS} was edited after it was applied on production"),
    (removed, "migrations-valid", "20250101_guests.sql was removed after it was applied on production"),
    (duplicate, "migration-status", "20250101 twice on staging"),
    (conflict, "migration-status", "20250103_reviews.sql on staging and"),
    (out_of_order, "migration-status", "20250101120000_late is out of order: production has"),
    (missing, "migration-status", "20250102500000_gone is applied on staging, and no branch"),
    (
        drifted,
        "migration-status",
        "20250101_guests was applied on production with another content",
    ),
    (untested, "migration-tested", "20250104_notes has not run on staging"),
    (
        tested_otherwise,
        "migration-tested",
        "20250103_reviews ran on staging with another content",
    ),
    (
        schema_drift,
        "database-sync",
        "column public.bookings.night: date on staging, date not null on prod",
    ),
    (function_drift, "database-sync", "function public.booked() is defined otherwise"),
    (rows_out_of_ratio, "database-sync", "0.048×; 0.1 to 10 is expected"),
    (emptied, "database-sync", "public.bookings is empty on staging"),
    (recorded_as_failed, "backup-plan", "and its deployment is recorded as failed"),
    (rolled_back, "backup-plan", "which a rollback has taken back"),
    (
        stale_backup,
        "backup-plan",
        "the newest backup of production is 2d 0h old; 1d 0h is the limit",
    ),
    (
        broken_backup,
        "backup-plan",
        "the newest backup of production is no dump in pg_dump's custom",
    ),
    (future_backup, "backup-plan", "is dated in the future"),
    (
        destructive,
        "backup-plan",
        "20250104_names line 3: ALTER TABLE … DROP COLUMN name on public.guests",
    ),
]


@pytest.mark.parametrize("prepare", dict.fromkeys(case[0] for case in CASES), ids=lambda case: case.__name__)
async def test_each_fault_fails_its_check_alone(world: World, prepare: Prepare) -> None:
    await prepare(world)
    if "backup" not in prepare.__name__:
        world.backup()
    found = await world.check()
    for _, check, words in (case for case in CASES if case[0] is prepare):
        assert words in said(found[check])
        assert [name for name, level in bad(found).items() if level is Level.FAIL] == [check]


async def _run(world: World, name: str, text: str) -> None:
    """Apply a migration to staging as the Supabase CLI does."""
    connection = await connect(world.server, "staging")
    await apply(connection, name, text)
    await connection.close(timeout=5)


async def _record(world: World, version: str, name: str, text: str) -> None:
    """Say in staging's history that it ran."""
    await world.sql(
        "staging", f"insert into {HISTORY} values ('{version}', array[$text${text}$text$], '{name}')"
    )
