"""What cannot be told is unknown and says why; histories as they are found; ways back; half-way failures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from muva_console.drill.parts import postgres_programs
from muva_console.ops.errors import Fault
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.migrations.catalog import read_sizes
from muva_console.ops.migrations.history import read_history
from muva_console.ops.readings import Level

from .test_release import HISTORY
from .world import FOLDER, World, bad, said

pytestmark = pytest.mark.xdist_group("release-schema")
UNKNOWN = Level.UNKNOWN


async def test_what_cannot_be_reached_is_unknown(world: World, tmp_path: Path) -> None:
    world.release()
    world.app_url = "http://127.0.0.1:9"
    world.names = {"staging": "nowhere"}
    found = await world.check()
    looking = ("migration-status", "migration-tested", "database-sync", "backup-plan")
    assert bad(found) == dict.fromkeys(looking, UNKNOWN)
    assert "staging: 127.0.0.1" in said(found["migration-status"])
    levels = {one.subject: one.level for one in found["backup-plan"]}
    assert levels == {"release to return to": UNKNOWN, "backup": UNKNOWN, "migrations' way back": Level.OK}

    world.names = {"staging": None, "production": None}  # none configured
    found = await world.check()
    assert bad(found)["migration-status"] is UNKNOWN
    assert "no database is configured for production" in said(found["migration-status"])
    assert "[environments.production.database]" in found["migration-tested"][0].next

    world.folder_name = "db/elsewhere"
    found = await world.check("migrations-valid", "migration-status", "migrations-applied")
    assert set(bad(found).values()) == {UNKNOWN}
    assert "[project] migrations" in found["migrations-valid"][0].next


async def test_histories_are_read_as_they_are_found(world: World) -> None:
    world.release()
    link = world.link("staging")
    whole = await read_history(link)
    assert whole.applied["20250101"].name == "guests"
    assert (whole.applied["20250101"].text or "").startswith("create table public.guests")
    assert (await read_history(link, statements=False)).applied["20250101"].statements is None
    table = "create table supabase_migrations.schema_migrations (version bigint)"
    await world.sql("staging", f"drop table {HISTORY}", table, f"insert into {HISTORY} values (20250101)")
    bare = await read_history(link)
    assert [(one.version, one.name, one.statements, one.rollback) for one in bare.applied.values()] == [
        ("20250101", None, None, None)
    ]
    await world.sql("staging", "drop schema supabase_migrations cascade")
    none = await read_history(link)
    assert (none.there, none.highest) == (False, "")
    found = await world.check("migration-status", "migration-tested")
    assert "staging: there is no history of migrations" in said(found["migration-status"])
    assert found["migration-tested"][0].level is Level.FAIL


async def test_a_migration_that_failed_half_way_is_told(world: World) -> None:
    world.release(main={"20250104_rooms.sql": "create table public.rooms (id int);\nselect 1/0;"})
    found = await world.check("migrations-applied")
    assert found["migrations-applied"][0].summary == "1 not applied on production: 20250104_rooms"
    await world.sql(
        "production", "create table public.rooms (id int)", "insert into public.bookings values (99, 1)"
    )
    with pytest.raises(Exception, match="could not create unique index"):
        await world.sql("production", "create unique index concurrently once on public.bookings (guest)")
    found = await world.check("migrations-applied")
    text = said(found["migrations-applied"])
    assert found["migrations-applied"][0].level is Level.FAIL
    assert "20250104_rooms failed half-way: public.rooms is there" in text
    assert "the index public.once is invalid" in text


async def test_a_way_back_is_a_file_or_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.release(
        {
            "20250104_a.sql": "drop table public.guests cascade;",
            "20250104_a.down.sql": "create table public.guests (id int);",
            "20250105_b.sql": "truncate public.bookings;",
            "20250106_c.sql": "alter table public.bookings drop column night;",
            "20250106_c.down.sql": "alter tabel",
            "20250107_d.sql": "do $$ begin end $$;",
            "20250108_e.sql": "alter table public.bookings rename column night to day;",
        }
    )
    await world.sql(
        "staging",
        f"alter table {HISTORY} add rollback text[], add created_by text",
        f"insert into {HISTORY} (version, name, rollback) values ('20250105', 'b', array['select 1'])",
    )
    monkeypatch.setenv("PATH", f"{postgres_programs()}:/usr/bin:/bin")
    world.backup(timedelta(hours=1), b"PGDMP\x01\x0e\x00\x04\x08\x01")
    found = await world.check("backup-plan", "migrations-valid")
    plan = {one.subject: one for one in found["backup-plan"]}
    assert plan["backup"].level is Level.FAIL
    assert "is of no use: pg_restore cannot read it" in plan["backup"].summary
    back = plan["migrations' way back"]
    assert back.summary.startswith(
        "20250106_c line 1: ALTER TABLE … DROP COLUMN night on public.bookings loses"
    )
    assert f"20250104_a: a way back in {FOLDER}/20250104_a.down.sql" in back.evidence
    assert "20250105_b: a way back is recorded on staging" in back.evidence
    assert any("20250107_d line 1: DO runs code that cannot be looked into" in line for line in back.evidence)
    assert any("20250108_e line 1: RENAME public.bookings may break" in line for line in back.evidence)
    valid = said(found["migrations-valid"])
    assert "20250106_c.down.sql line 1, column 7" in valid
    assert "20250105_b.sql line 1: TRUNCATE public.bookings loses data" in valid


async def test_rows_are_counted_where_there_are_no_statistics(world: World) -> None:
    await world.sql(
        "staging",
        "create table public.new (id int); insert into public.new select generate_series(1, 7)",
        "create table public.parts (id int) partition by range (id)",
        "create table public.parts_1 partition of public.parts for values from (0) to (9)",
        "insert into public.parts values (1), (2); analyze public.parts_1",
        "delete from public.bookings",
        "select pg_stat_force_next_flush()",
        "drop role if exists reader; create role reader login password 'reader'",
        "grant usage on schema public to reader; grant select on public.new to reader",
        "create policy none on public.reviews using (false); grant select on public.reviews to reader",
    )
    sizes = await read_sizes(world.link("staging"))
    counted = {name: (size.rows, size.counted) for name, size in sizes.items()}
    assert counted == {
        "public.new": (7, True), "public.parts": (2, False), "public.bookings": (0, True),
        "public.guests": (100, False), "public.reviews": (0, True),
    }  # fmt: skip
    hidden = await read_sizes(world.link("staging", user="reader", password="reader"))
    assert hidden["public.new"].rows == 7
    assert hidden["public.reviews"].rows is None  # a policy hides rows: no count is better than a wrong one
    assert "may not see all of it" in hidden["public.reviews"].why


async def test_a_query_is_bounded_and_changes_nothing(world: World) -> None:
    link = world.link("production")
    assert await link.fetch("SELECT $1::int + 1, current_setting('search_path')", 1) == [(2, "pg_catalog")]
    for sql, fault in (
        ("SELECT pg_sleep(30)", Fault.TIMEOUT),
        ("SELECT * FROM generate_series(1, 11)", Fault.TOO_LARGE),
        ("DELETE FROM public.guests", Fault.OTHER),
        ("SELECT * FROM guests", Fault.OTHER),
    ):
        with pytest.raises(DatabaseError) as error:
            await link.fetch(sql, limit=10, timeout=0.2)
        assert error.value.fault is fault
        assert str(link.state.status) == "up"  # the query failed, not the link
    assert (await link.fetch("SELECT count(*) FROM public.guests"))[0][0] == 100
