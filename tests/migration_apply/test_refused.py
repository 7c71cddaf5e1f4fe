"""What stands in the way of an apply, each told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muva_console.config.model import Database, Secret
from muva_console.ops.backups import backup_name
from muva_console.ops.errors import Fault, OpsError
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.pg_statement_errors import without_values
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.migrations.apply_ground import NothingToApply
from muva_console.ops.operations import EventKind, Tier

from .world import FOLDER, HISTORY, Commit, World, last


async def reasons(world: World, **choice: object) -> str:
    with pytest.raises(OpsError) as caught:
        await world.plan(**choice)
    return "\n".join(caught.value.lines())


async def test_everything_that_stands_in_the_way_is_named_at_once(world: World) -> None:
    world.put(v2="create table a ();", v4="create table b ();")
    last(await world.apply())
    await world.sql(f"insert into {HISTORY} (version, name) values ('3', 'gone')", "select 1")
    world.commit = Commit(
        {
            "1_late.sql": "create table late ();",
            "2_x.sql": "create table a (note text);",
            "4_x.sql": "-- only a comment more\ncreate table b ();",
            "5_one.sql": "create table c ();",
            "5_two.sql": "create table d ();",
            "6_bad.sql": "create table e (;\n",
            "7_meta.sql": "\\restrict abc\nselect 1;",
            "8_nul.sql": b"select 1;\0",
            "9_ends.sql": "create table f ();\nrollback;\ncreate table g ();",
        }
    )
    told = await reasons(world)
    for reason in (
        "1_late is out of order",
        "2_x was applied on staging with another content",
        "3_gone is applied on staging, and the files lack it",
        "5 is the version of more than one file",
        "6_bad.sql line 1, column 17",
        "7_meta.sql line 1, column 1: \\restrict is a command of psql's",
        "8_nul.sql line 1, column 10: holds a NUL byte",
        "9_ends.sql line 2: ROLLBACK: a file and its record are one transaction",
    ):
        assert reason in told
    assert "4_x" not in told
    assert "muva migrations status" in told
    assert await world.recorded() == ["2", "3", "4"]


async def test_versions_up_to_one_and_out_of_order(world: World) -> None:
    world.put(v2="create table b ();")
    last(await world.apply())
    world.put(v1="create table a ();", v2="create table b ();", v3="create table c ();", v4="select 1;")
    assert "out of order" in await reasons(world)
    assert "it is applied" in await reasons(world, to="2", out_of_order=True)
    assert "there is no version 7" in await reasons(world, to="7")
    last(await world.apply(out_of_order=True, to="3"))
    assert await world.recorded() == ["1", "2", "3"]
    last(await world.apply())
    with pytest.raises(NothingToApply, match="has all 4 migrations of staging"):
        await world.plan()


async def test_a_large_file_is_a_clear_error(world: World) -> None:
    world.commit.contents[f"{FOLDER}/1_x.sql"] = b"select 1;\n" * 5_000_000
    assert "has 50,000,000 bytes, too many to be parsed" in await reasons(world)


async def test_production_wants_a_fresh_backup_or_a_reason(world: World, tmp_path: Path) -> None:
    world.production = True
    world.put(v1="create table t (id int);")
    assert "no folder of backups is configured" in await reasons(world)
    world.dumps = tmp_path

    def dump(age: timedelta, data: bytes) -> None:
        (tmp_path / backup_name("production", datetime.now(UTC) - age, "c" * 12)).write_bytes(data)

    assert "there is no backup of production" in await reasons(world)
    dump(timedelta(hours=2), b"PGDMP\x01\x10\x00")
    assert "is 2h 0m old; 1h 0m is the limit" in await reasons(world)
    dump(timedelta(minutes=5), b"nothing")
    assert "is no good: is no dump" in await reasons(world)
    plan = await world.plan(without_backup="it is empty")
    assert plan.tier is Tier.TYPE_NAME
    assert any("without a fresh backup: it is empty" in risk for risk in plan.risks)


async def test_history_that_changes_after_the_plan_stops_it(world: World) -> None:
    from muva_console.ops.migrations.apply import ApplyMigrations

    world.put(v1="create table t (id int);")
    operation = ApplyMigrations(world.ground())
    plan = await operation.plan()
    last(await world.apply())
    events = [event async for event in operation.perform(plan)]
    assert last(events).kind is EventKind.FAILED
    assert "the history changed since the plan was made: 1" in events[-1].text


async def test_a_pooler_in_transaction_mode_is_refused_with_the_reason() -> None:
    database = Database(host="db.example.org", port=6543, password=Secret(env="X"))

    async def secret() -> str:
        return "x"

    session = PostgresLink("db", database, secret, CommandLog()).session()
    with pytest.raises(DatabaseError) as caught:
        await session.open()
    assert caught.value.fault is Fault.CONFIG
    assert "a lock would be left behind" in caught.value.means
    assert "port 5432" in caught.value.next


@pytest.mark.parametrize(
    ("text", "state", "told"),
    [
        ("Key (email)=(eve@x.org (x)) already exists.", "23505", "Key (email)=(…) already exists."),
        ("Failing row contains (1, Eve, (2)\n).", "23514", "Failing row contains (…)."),
        (
            'invalid input syntax for type integer: "4 secret"',
            "22P02",
            "invalid input syntax for type integer: “…”",
        ),
        ('relation "guests" does not exist', "42P01", 'relation "guests" does not exist'),
        ("syntax error at or near \"'hidden'\"", "42601", "syntax error at or near “…”"),
        ('syntax error at or near "select"', "42601", 'syntax error at or near "select"'),
        ("no guest eve@x.org here", "P0001", "no guest “…” here"),
    ],
)
def test_values_are_left_out(text: str, state: str, told: str) -> None:
    assert without_values(text, state) == told
