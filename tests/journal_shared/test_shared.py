"""Several jump hosts, one journal: one order, one chain, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from muva_console.ops.errors import Refused
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.incidents.model import Severity
from muva_console.ops.journal import Draft, Filter, Journal, Kind, new_act
from muva_console.ops.readings import Level
from tests.journal_shared.conftest import MakeHost, url_of
from tests.patience import HANG
from tests.postgres.server import Server

pytestmark = [pytest.mark.timeout(HANG), pytest.mark.xdist_group("journal_shared")]
ALL = Filter(limit=None)
NOWHERE = "postgresql://postgres:x@127.0.0.1:1/postgres"


def note(text: str) -> Draft:
    return Draft(kind=Kind.NOTE, subject="note", text=text)


async def texts(journal: Journal) -> list[str]:
    return [entry.text for entry in await journal.read(ALL)]


async def shared(admin: asyncpg.Connection) -> list[Any]:
    return list(await admin.fetch("SELECT id, text, hash, prev_hash FROM muva_journal.entry ORDER BY id"))


async def holds(*journals: Journal) -> None:
    for journal in journals:
        told = await journal.verify()
        assert told.level is Level.OK, told.summary


async def test_what_one_host_writes_the_other_reads_in_one_chain(
    host: MakeHost, admin: asyncpg.Connection
) -> None:
    one, two = host("jump-1"), host("jump-2", engineer="eve")
    first = await one.append(note("a"))
    second = await two.append(note("b"))
    third = await one.append(note("c"))
    assert [first.id, second.id, third.id] == [1, 2, 3]
    assert third.prev_hash == second.hash
    assert await texts(one) == await texts(two) == ["a", "b", "c"]
    assert [row["hash"] for row in await shared(admin)] == [first.hash, second.hash, third.hash]
    assert [entry.engineer for entry in await two.read(ALL)] == ["dana", "eve", "dana"]
    await holds(one, two)


async def test_two_hosts_that_begin_at_once_make_one_schema_and_one_order(
    host: MakeHost, admin: asyncpg.Connection
) -> None:
    hosts = [host(f"jump-{number}") for number in range(3)]

    async def write(journal: Journal, name: str) -> None:
        for number in range(10):
            await journal.append(note(f"{name}{number}"))

    await asyncio.gather(*(write(journal, name) for journal, name in zip(hosts, "abc", strict=True)))
    rows = await shared(admin)
    for journal in hosts:
        await journal.read()  # what was written while another brought the schema up waits for the next look
    rows = await shared(admin)
    assert len(rows) == 30
    for name in "abc":  # each host's own order is kept
        own = [row["text"] for row in rows if row["text"][0] == name]
        assert own == [f"{name}{number}" for number in range(10)]
    for journal in hosts:
        assert await texts(journal) == [row["text"] for row in rows]
    await holds(*hosts)


async def test_of_two_hosts_that_open_an_incident_at_once_one_does(host: MakeHost) -> None:
    one, two = host("jump-1"), host("jump-2", engineer="eve")
    await one.ready()
    await two.ready()

    async def open_(journal: Journal) -> str:
        try:
            return (await Desk(journal).open("production", "it is down", Severity.HIGH)).name
        except Refused as error:
            return error.what

    said = await asyncio.gather(open_(one), open_(two))
    assert sum("open there already" in told for told in said) == 1
    assert len(await Desk(two).all()) == 1


async def test_what_is_written_while_it_cannot_be_reached_waits_and_goes_behind_what_others_wrote(
    host: MakeHost, admin: asyncpg.Connection
) -> None:
    one, two = host("jump-1"), host("jump-2", engineer="eve")
    await one.append(note("before"))
    await one.close()
    away = host("jump-1", url=NOWHERE)
    act = new_act()
    begun = await away.begin_act(
        Draft(kind=Kind.ACT_BEGUN, subject="restart", environment="production", act=act), target="x"
    )
    ended = await away.end_act(
        Draft(kind=Kind.ACT_ENDED, subject="restart", data={"outcome": "done"}, act=act)
    )
    assert begun.entry.id == 2
    assert ended.entry is not None
    assert ended.entry.ref == 2
    status = await away.status()
    assert status.waiting == 2
    assert any("out of reach" in warning for warning in status.warnings)
    assert await texts(two) == ["before"]
    await two.append(note("by eve, meanwhile"))
    await away.close()
    back = host("jump-1")
    entries = await back.read(ALL)
    assert [entry.id for entry in entries] == [1, 2, 3, 4]
    assert [entry.kind for entry in entries] == [Kind.NOTE, Kind.NOTE, Kind.ACT_BEGUN, Kind.ACT_ENDED]
    assert entries[3].ref == 3  # what it refers to has gone with it
    assert (await back.status()).waiting == 0
    assert [entry.hash for entry in await two.read(ALL)] == [entry.hash for entry in entries]
    assert await back.open_acts() == []
    await holds(back, two)
    assert len(await shared(admin)) == 4


async def test_a_journal_of_before_is_put_into_the_shared_one_whole(
    host: MakeHost, admin: asyncpg.Connection
) -> None:
    alone = host("jump-1", url=NOWHERE)
    for number in range(3):
        await alone.append(note(f"old {number}"))
    await alone.close()
    other = host("jump-2", engineer="eve")
    await other.append(note("there first"))
    joined = host("jump-1")
    assert await texts(joined) == ["there first", "old 0", "old 1", "old 2"]
    assert await texts(other) == await texts(joined)
    await holds(joined, other)


async def test_an_entry_of_the_shared_journal_is_never_changed_or_removed(
    host: MakeHost, admin: asyncpg.Connection
) -> None:
    await host().append(note("a"))
    for statement in (
        "UPDATE muva_journal.entry SET text = 'b'",
        "DELETE FROM muva_journal.entry",
        "TRUNCATE muva_journal.entry CASCADE",
        "INSERT INTO muva_journal.entry SELECT 3, at, engineer, origin, session, environment, kind, subject, "
        "text, data, act, ref, hash, repeat('a', 64), repeat('b', 64) FROM muva_journal.entry",
    ):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await admin.execute(statement)


async def test_a_copy_is_not_mixed_with_another_journal(host: MakeHost, admin: asyncpg.Connection) -> None:
    one = host("jump-1")
    await one.append(note("a"))
    await one.close()
    await admin.execute("DROP SCHEMA muva_journal CASCADE; DROP SCHEMA supabase_migrations CASCADE")
    again = host("jump-1")
    written = await again.append(note("b"))
    assert written.id == 2  # kept here, and sent nowhere
    warnings = (await again.status()).warnings
    assert any("another than the one" in warning for warning in warnings)
    assert await shared(admin) == []


async def test_the_schema_is_applied_by_the_engine_with_its_record(
    host: MakeHost, admin: asyncpg.Connection
) -> None:
    await host().ready()
    rows = await admin.fetch("SELECT version, name FROM supabase_migrations.schema_migrations")
    assert [(row["version"], row["name"]) for row in rows] == [("20261127120000", "journal")]


async def test_a_journal_that_follows_sees_what_another_host_writes(host: MakeHost) -> None:
    one, two = host("jump-1"), host("jump-2", engineer="eve")
    await one.ready()
    follow = two.follow(after=0, interval=0.05)
    await one.append(note("a"))
    async with asyncio.timeout(HANG):
        seen = await anext(follow)
    assert [entry.text for entry in seen] == ["a"]
    await follow.aclose()


async def test_the_server_is_stopped_in_between_and_nothing_is_lost(cluster: Server, host: MakeHost) -> None:
    one, two = host("jump-1"), host("jump-2", engineer="eve")
    await one.append(note("a"))
    await two.append(note("b"))
    await asyncio.to_thread(cluster.stop)
    try:
        await asyncio.gather(one.append(note("c")), two.append(note("d")))
        assert (await one.status()).waiting == 1
    finally:
        await asyncio.to_thread(cluster.start)
    for _ in range(2):
        await one.read()
        await two.read()
    assert await texts(one) == await texts(two)
    assert sorted(await texts(one)) == ["a", "b", "c", "d"]
    await holds(one, two)


async def test_no_warning_shows_the_address(host: MakeHost, cluster: Server) -> None:
    wrong = url_of(cluster).replace("p%40ss", "wr0ng-p%40ss")
    assert "wr0ng" in wrong
    journal = host("jump-1", url=wrong)
    await journal.append(note("a"))
    told = " ".join((await journal.status()).warnings)
    assert "out of reach" in told
    assert "wr0ng" not in told
