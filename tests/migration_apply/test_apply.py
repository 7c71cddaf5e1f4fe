"""An apply that works, and one that fails: what is there afterwards, and what was told."""

from __future__ import annotations

from muva_console.ops.migrations.apply import ApplyMigrations
from muva_console.ops.operations import EventKind, Plan
from muva_console.ops.readings import Finding, Level, utc_now

from .world import FOLDER, HISTORY, World, last, said

ONE = "-- who comes\ncreate table guests (id int primary key, email text unique);\n"
TWO = "create table bookings (id int);\ninsert into bookings values (1), (2);\n-- the end\n"


async def test_each_file_with_its_record(world: World) -> None:
    world.put(v1=ONE, v2=TWO)
    plan = await world.plan()
    assert "2 migrations" in plan.title
    events = await world.apply()
    assert last(events).text == "2 migrations applied and recorded on staging"
    assert await world.sql(f"select version, name, statements from {HISTORY} order by 1") == [
        ("1", "x", ["-- who comes\ncreate table guests (id int primary key, email text unique)"]),
        ("2", "x", ["create table bookings (id int)", "insert into bookings values (1), (2)", "-- the end"]),
    ]
    assert await world.sql("select count(*) from bookings") == [(2,)]
    assert ", 2 rows" in said(events, EventKind.OUTPUT)


async def test_it_stops_at_the_first_error_and_keeps_nothing_of_that_file(world: World) -> None:
    world.put(
        v1=ONE + "insert into guests values (1, 'eve@example.org');",
        v2="create table bookings (id int);\n\n  insert into guests\n    values (2, 'eve@example.org');",
        v3="create table never ();",
    )
    failed = last(await world.apply())
    assert failed.kind is EventKind.FAILED
    assert "supabase/migrations/2_x.sql line 3, column 3: statement 2 (INSERT)" in failed.text
    assert "SQLSTATE 23505" in failed.text
    assert "Key (email)=(…)" in failed.text
    assert "eve@" not in failed.text
    assert "nothing of this file was kept" in failed.text
    assert "Applied and kept: 1_x. 1 file after it was not tried." in failed.text
    assert await world.recorded() == ["1"]
    assert await world.there("bookings", "never") == []


async def test_a_position_is_a_place_in_the_file(world: World) -> None:
    world.put(v1="create table t (id int);\n-- é é\nselect\n  id, 'ü',\n    colour from t;")
    failed = last(await world.apply())
    assert "line 5, column 5: statement 2 (SELECT)" in failed.text
    assert 'column "colour" does not exist (SQLSTATE 42703)' in failed.text


async def test_the_session_is_as_new_for_every_file(world: World) -> None:
    world.put(
        v1="set search_path = ''; set role pg_monitor; create temp table left_over (id int);",
        v2="create table t (id int); create temp table left_over (id int);",
    )
    assert last(await world.apply()).kind is EventKind.DONE
    assert await world.sql("select to_regclass('public.t') is not null") == [(True,)]


async def test_the_files_own_begin_and_commit_are_left_out(world: World) -> None:
    world.put(v1="BEGIN;\ncreate table t (id int);\nselect 1/0;\nCOMMIT;")
    assert "its own BEGIN and COMMIT are left out" in said_of(await world.plan())
    failed = last(await world.apply())
    assert "line 3, column 1" in failed.text
    assert await world.there("t") == []


async def test_what_the_history_has_of_columns_is_filled(world: World) -> None:
    await world.sql(
        "create schema supabase_migrations",
        f"create table {HISTORY} (version text primary key, created_by text, rollback text[], "
        "idempotency_key text unique)",
    )
    world.put(v1="create table t (id int);")
    world.commit.contents[f"{FOLDER}/1_x.down.sql"] = b"drop table t;"
    plan = await world.plan()
    assert plan.undo == "muva migrations rollback --env staging --steps 1"
    assert last(await world.apply()).kind is EventKind.DONE
    assert await world.sql(f"select version, name, created_by, rollback, statements from {HISTORY}") == [
        ("1", "x", "dana@test", ["drop table t"], ["create table t (id int)"])
    ]


async def test_alone_outside_of_a_transaction_and_its_invalid_index(world: World) -> None:
    world.put(v1="create table t (id int); insert into t values (1), (1);")
    last(await world.apply())
    world.put(v1=text(world), v2="create unique index concurrently t_id on t (id);")
    plan = await world.plan()
    assert "runs alone, in no transaction" in said_of(plan)
    events = await world.apply()
    failed = last(events)
    assert "2_x.sql line 1, column 1: statement 1 (CREATE UNIQUE)" in failed.text
    assert "Key (id)=(…) is duplicated" in failed.text
    told = said(events, EventKind.WARNING)
    assert "the index public.t_id is invalid" in told
    assert 'DROP INDEX CONCURRENTLY "public"."t_id"' in told
    assert await world.recorded() == ["1"]
    # IF NOT EXISTS would hide it
    world.put(v1=text(world), v2="create unique index concurrently if not exists t_id on t (id);")
    hidden = last(await world.apply())
    assert hidden.kind is EventKind.FAILED
    assert "applied and recorded on staging, but the index public.t_id" in hidden.text


async def test_a_mixed_file_runs_in_parts_and_says_so(world: World) -> None:
    world.put(v1="create table t (id int);\ncreate index concurrently t_id on t (id);\ncreate table u ();")
    assert "1_x.sql can be left half applied and unrecorded" in said_of(await world.plan())
    assert last(await world.apply()).kind is EventKind.DONE
    assert await world.there("t", "u", "t_id") == ["t", "t_id", "u"]
    world.put(
        v1=text(world),
        v2="create table a ();\nvacuum t;\ncreate table b ();\nselect 1/0;",
    )
    failed = last(await world.apply())
    assert "nothing of this part was kept" in failed.text
    assert "The 2 statements before it are committed, and the file is not recorded" in failed.text
    assert await world.there("a", "b") == ["a"]


async def test_health_decides_whether_it_is_done(world: World) -> None:
    async def unwell() -> tuple[Finding, ...]:
        return (
            Finding(check="api-health", level=Level.OK, summary="fine", title="API", at=utc_now()),
            Finding(
                check="database", level=Level.UNKNOWN, summary="no answer", title="Database", at=utc_now()
            ),
        )

    world.health = unwell
    world.put(v1="create table t (id int);")
    events = await world.apply()
    assert "API: fine" in said(events, EventKind.VERIFIED)
    assert "staging is not well, or it cannot be told: Database: no answer" in last(events).text
    assert await world.recorded() == ["1"]


async def test_a_file_that_changes_meanwhile_stops(world: World) -> None:
    world.put(v1="create table t (id int);", v2="create table u (id int);")
    operation = ApplyMigrations(world.ground())
    plan = await operation.plan()
    events = operation.perform(plan)
    async for event in events:
        if "1_x: committed" in event.text:
            break
        world.commit.contents[f"{FOLDER}/2_x.sql"] = b"drop table t;"
    rest = [event async for event in events]
    assert "stopped before 2_x: the file changed since the plan was made" in rest[-1].text
    assert await world.recorded() == ["1"]


def text(world: World) -> bytes:
    return world.commit.contents[f"{FOLDER}/1_x.sql"]


def said_of(plan: Plan) -> str:
    return "\n".join([*(f"{one.where} {one.line} {one.why}" for one in plan.commands), *plan.risks])


async def test_what_hurts_stands_in_the_plan(world: World) -> None:
    await world.sql(
        "create table t (id int, note text)", "insert into t select 1 from generate_series(1, 2000)"
    )
    world.put(
        v1="alter table t drop column note;\nalter table t alter column id type bigint;\ndelete from t;"
    )
    plan = await world.plan()
    told = said_of(plan)
    assert "1:2 alter table t alter column id type bigint ACCESS EXCLUSIVE on public.t (2,000 rows" in told
    assert "while it rewrites it" in told
    for line, rule in ((1, "drop-column"), (2, "column-type"), (3, "delete-all")):
        assert any(f"1_x.sql line {line} ({rule})" in risk for risk in plan.risks)
    assert any("no way back of its own" in risk for risk in plan.risks)
    assert plan.undo == ""
