"""What one reading tells of a real PostgreSQL, and that it can change nothing there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from muva_console.config.model import Database, Secret
from muva_console.ops.errors import Fault
from muva_console.ops.links.base import CommandLog, LinkStatus
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from tests.patience import HANG

from .conftest import MakeLink, connect
from .server import MAX_CONNECTIONS, PASSWORD, Server

pytestmark = pytest.mark.xdist_group("postgres")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + HANG
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
async def table(admin: asyncpg.Connection) -> AsyncIterator[str]:
    await admin.execute("CREATE TABLE bookings (id int, guest text); INSERT INTO bookings VALUES (1, 'Ana')")
    yield "bookings"
    await admin.execute("DROP TABLE bookings")


@asynccontextmanager
async def role(admin: asyncpg.Connection, name: str, options: str = "") -> AsyncIterator[str]:
    await admin.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}' {options}"
    )
    try:
        yield name
    finally:
        await admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_reading_of_a_quiet_database(make: MakeLink, admin: asyncpg.Connection) -> None:
    link = make()
    reading = await link.read()
    assert 0 < reading.latency_ms < 1000
    assert reading.version.startswith("18.")
    assert reading.max_connections == MAX_CONNECTIONS
    before = reading.connections
    assert before >= 2  # the admin's and ours
    assert (reading.in_recovery, reading.long_queries, reading.blocked, reading.tables) == (False, (), (), ())
    more = await connect_as(link)
    assert (await link.read()).connections == before + 1
    await more.close()
    assert link.state.status is LinkStatus.UP


async def connect_as(link: PostgresLink) -> asyncpg.Connection:
    host, _, rest = link.where.partition(":")
    port = int(rest.partition("/")[0])
    return await asyncpg.connect(
        host=host, port=port, user="postgres", password=PASSWORD, database="postgres", ssl=False, timeout=HANG
    )


async def test_one_connection_is_kept(make: MakeLink, admin: asyncpg.Connection) -> None:
    link = make()
    pids = set()
    for _ in range(3):
        await link.read()
        pids |= {
            row["pid"]
            for row in await admin.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'muva-console'"
            )
        }
    assert len(pids) == 1


async def test_the_session_can_change_nothing(make: MakeLink, admin: asyncpg.Connection, table: str) -> None:
    link = make()
    await link.read(critical_tables=[table])
    assert link._connection is not None
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await link._connection.execute(f"DELETE FROM {table}")
    assert await link._connection.fetchval("SHOW statement_timeout") == "5s"
    assert not await link._connection.fetch("SELECT * FROM pg_prepared_statements WHERE from_sql")


async def test_critical_tables(make: MakeLink, admin: asyncpg.Connection, table: str) -> None:
    await admin.execute('CREATE SCHEMA hotels; CREATE TABLE hotels."Odd ""name; DROP" (a int)')
    await admin.execute("ANALYZE bookings")
    try:
        link = make()
        reading = await link.read(critical_tables=["bookings", 'hotels.Odd "name; DROP', "gone", "no.where"])
    finally:
        await admin.execute("DROP SCHEMA hotels CASCADE")
    told = {one.name: one for one in reading.tables}
    assert [one.readable for one in reading.tables] == [True, True, False, False]
    assert told["bookings"].estimated_rows == 1
    assert told['hotels.Odd "name; DROP'].estimated_rows is None, "never analysed is not zero rows"
    assert told["gone"].error == told["no.where"].error == "there is no such table"
    assert await admin.fetchval("SELECT count(*) FROM bookings") == 1


async def test_a_table_without_the_privilege_to_read_it(
    make: MakeLink, admin: asyncpg.Connection, table: str
) -> None:
    async with role(admin, "reader"):
        await admin.execute("CREATE TABLE secrets (a int); CREATE SCHEMA shut; CREATE TABLE shut.t (a int)")
        await admin.execute("GRANT SELECT ON bookings TO reader")
        try:
            link = make(user="reader")
            reading = await link.read(critical_tables=["bookings", "secrets", "shut.t"])
            await link.close()
        finally:
            await admin.execute("DROP TABLE secrets; DROP SCHEMA shut CASCADE")
    assert [one.readable for one in reading.tables] == [True, False, False]
    assert {one.error for one in reading.tables[1:]} == {"this user may not read it"}
    assert reading.connections >= 2, "the sessions of others are counted although their rows are hidden"


async def test_a_locked_table_is_not_waited_for(
    make: MakeLink, admin: asyncpg.Connection, table: str
) -> None:
    link = make()
    await link.read()
    async with admin.transaction():
        await admin.execute("LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(HANG):
            reading = await link.read(critical_tables=["bookings", "pg_catalog.pg_class"], timeout=2 * HANG)
    assert [one.readable for one in reading.tables] == [False, True]
    assert "locked" in reading.tables[0].error
    assert (await link.read(critical_tables=["bookings"])).tables[0].readable


async def test_blocked_queries_name_their_blockers_and_no_literal(
    make: MakeLink, cluster: Server, admin: asyncpg.Connection, table: str
) -> None:
    link = make()
    holder, waiter = await connect(cluster), await connect(cluster)
    try:
        await holder.execute("BEGIN; UPDATE bookings SET guest = 'secret-guest' WHERE id = 1")
        update = "UPDATE bookings SET guest = 'secret-token-4711' WHERE id = 1"
        task = asyncio.create_task(waiter.execute(update))

        async def waits() -> bool:
            return bool((await link.read()).blocked)

        await until(waits)
        (blocked,) = (await link.read()).blocked
        assert blocked.pid == waiter.get_server_pid()
        assert blocked.blockers == (holder.get_server_pid(),)
        assert blocked.waiting > 0
        assert blocked.query == "UPDATE bookings SET guest = ? WHERE id = ?"
        assert blocked.blocker_queries == ("BEGIN; UPDATE bookings SET guest = ? WHERE id = ?",)
        await holder.execute("ROLLBACK")
        await asyncio.wait_for(task, HANG)
        assert not (await link.read()).blocked
    finally:
        await holder.close()
        await waiter.close()


async def test_long_queries_and_idle_transactions_are_listed(
    make: MakeLink, cluster: Server, admin: asyncpg.Connection
) -> None:
    link = make()
    idle, busy = await connect(cluster), await connect(cluster)
    try:
        await idle.execute("BEGIN; SELECT 'hidden'")
        task = asyncio.create_task(busy.execute("SELECT pg_sleep(30), 'hidden'"))

        async def both() -> bool:
            return len((await link.read(long_query=0.05)).long_queries) == 2

        await until(both)
        told = {one.pid: one for one in (await link.read(long_query=0.05)).long_queries}
        assert told[busy.get_server_pid()].state == "active"
        assert told[busy.get_server_pid()].query == "SELECT pg_sleep(?), ?"
        assert told[idle.get_server_pid()].state == "idle in transaction"
        assert all(one.running > 0.05 and one.user == "postgres" for one in told.values())
        assert not (await link.read(long_query=3600)).long_queries
        task.cancel()
    finally:
        idle.terminate()
        busy.terminate()


async def test_it_works_as_behind_a_transaction_pooler(
    make: MakeLink, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Nothing may be set for the session: the pooler would hand it to the application."""
    from muva_console.ops.links import pg_address

    link = make()
    monkeypatch.setattr(pg_address, "POOLER_PORT", int(link.where.partition(":")[2].partition("/")[0]))
    reading = await link.read(critical_tables=[table])
    assert reading.tables[0].readable
    assert link.state.detail == "transaction pooler"
    assert link._connection is not None
    assert await link._connection.fetchval("SHOW default_transaction_read_only") == "off"
    assert await link._connection.fetchval("SHOW statement_timeout") == "0"
    assert await link._connection.fetchval("SHOW lock_timeout") == "0"
    assert not await link._connection.fetch("SELECT name FROM pg_prepared_statements WHERE name <> ''")


async def test_no_connection_left(make: MakeLink, cluster: Server, admin: asyncpg.Connection) -> None:
    async with role(admin, "crowd"), role(admin, "late"):
        crowd: list[asyncpg.Connection] = []
        try:
            with pytest.raises(asyncpg.TooManyConnectionsError):
                while True:
                    crowd.append(await connect(cluster, "crowd"))
            link = make(user="late")
            with pytest.raises(DatabaseError) as caught:
                await link.read()
            assert caught.value.sqlstate == "53300"
            assert caught.value.fault is Fault.REFUSED
            assert "no connection is left" in caught.value.what
            await asyncio.gather(*(one.close() for one in crowd))
            crowd.clear()
            link.retry_now()
            await link.read()
            await link.close()
        finally:
            await asyncio.gather(*(one.close() for one in crowd))


async def test_a_wrong_password_is_asked_for_again_and_never_told(cluster: Server, log: CommandLog) -> None:
    given = iter(["wr0ng-one", PASSWORD])
    database = Database(url=Secret(env="UNUSED"))

    async def secret() -> str:
        from urllib.parse import quote

        return f"postgres://postgres:{quote(next(given), safe='')}@127.0.0.1:{cluster.port}/postgres"

    link = PostgresLink("db production", database, secret, log)
    assert link.where == "db production"
    with pytest.raises(DatabaseError) as caught:
        await link.read()
    assert (caught.value.fault, caught.value.sqlstate) == (Fault.AUTH, "28P01")
    with pytest.raises(DatabaseError):  # too soon: the server is not asked again
        await link.read()
    link.retry_now()
    await link.read()
    seen = repr(caught.value.lines()) + repr(log.records()) + repr(link.state) + repr(link._way.address)
    assert "wr0ng" not in seen
    assert PASSWORD not in seen
    assert "p%40ss" not in seen
    await link.close()


async def test_a_database_that_is_not_there(make: MakeLink) -> None:
    with pytest.raises(DatabaseError) as caught:
        await make(name="nowhere").read()
    assert caught.value.fault is Fault.MISSING
    assert "nowhere" in str(caught.value)


async def test_tls_that_the_server_does_not_offer(cluster: Server, log: CommandLog) -> None:
    async def secret() -> str:
        return f"postgres://postgres@127.0.0.1:{cluster.port}/postgres?sslmode=require"

    link = PostgresLink("db", Database(url=Secret(env="UNUSED")), secret, log)
    with pytest.raises(DatabaseError) as caught:
        await link.read()
    assert caught.value.fault is Fault.TLS
    await link.close()


async def test_the_command_log_holds_a_line_a_person_could_type(make: MakeLink, log: CommandLog) -> None:
    link = make()
    await link.read()
    (record,) = log.records()
    assert record.line.startswith("psql -h 127.0.0.1 -p ")
    assert (record.outcome, record.environment) == ("ok", "test")
    assert record.where == link.where
    assert PASSWORD not in record.line


async def test_readings_at_once_take_turns(make: MakeLink, table: str) -> None:
    link = make()
    readings = await asyncio.gather(*(link.read(critical_tables=[table]) for _ in range(5)))
    assert all(reading.tables[0].readable for reading in readings)
