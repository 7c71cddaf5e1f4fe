"""The checks that ask the database, against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from muva_console.config.model import Database, Seconds, Secret, Thresholds
from muva_console.ops.checks import CheckContext, run_check
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.answers import DatabaseReading
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.readings import Finding, Level
from tests.patience import HANG
from tests.postgres.conftest import connect, password
from tests.postgres.server import MAX_CONNECTIONS, Server, running_server

from .conftest import App, MakeContext

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(server)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def ctx(server: Server, context: MakeContext) -> AsyncIterator[CheckContext]:
    database = Database(
        host="127.0.0.1",
        port=server.port,
        password=Secret(env="UNUSED"),
        critical_tables=("bookings", "guests"),
    )
    # the latency of a machine that runs other tests too is not what is tested
    made = context(database=database, thresholds=Thresholds(database=Seconds(5)))
    made.postgres = PostgresLink("db", database, password, CommandLog())
    yield made
    await made.postgres.close()


async def one(name: str, ctx: CheckContext) -> Finding:
    (finding,) = await run_check(name, ctx)
    return finding


async def test_a_good_database(ctx: CheckContext, admin: asyncpg.Connection) -> None:
    await admin.execute("CREATE TABLE bookings (a int); CREATE TABLE guests (a int); ANALYZE")
    try:
        connectivity, tables = await one("database", ctx), await one("critical-tables", ctx)
    finally:
        await admin.execute("DROP TABLE bookings, guests")
    assert (connectivity.level, connectivity.subject) == (Level.OK, "asked from here")
    assert f"of {MAX_CONNECTIONS} connections" in connectivity.summary
    assert connectivity.command.startswith("psql -h 127.0.0.1")
    assert (tables.level, tables.summary) == (Level.OK, "all 2 tables readable")
    assert "bookings: readable, about 0 rows" in tables.evidence
    assert 'FROM "public"."bookings" LIMIT 1' in tables.command


async def test_a_table_that_is_missing(ctx: CheckContext, admin: asyncpg.Connection) -> None:
    await admin.execute("CREATE TABLE bookings (a int)")
    try:
        finding = await one("critical-tables", ctx)
    finally:
        await admin.execute("DROP TABLE bookings")
    assert finding.level is Level.FAIL
    assert finding.summary == "1 of 2 tables cannot be read: guests: there is no such table"


async def test_blocked_queries(ctx: CheckContext, server: Server, admin: asyncpg.Connection) -> None:
    await admin.execute("CREATE TABLE bookings (a int); INSERT INTO bookings VALUES (1)")
    holder, waiter = await connect(server), await connect(server)
    try:
        await holder.execute("BEGIN; UPDATE bookings SET a = 2")
        task = asyncio.create_task(waiter.execute("UPDATE bookings SET a = 3"))
        async with asyncio.timeout(HANG):
            while "blocked" not in (finding := await one("database", ctx)).summary:
                await asyncio.sleep(0.01)
        assert finding.level is Level.WARN
        assert str(holder.get_server_pid()) in finding.summary
        assert any("UPDATE bookings SET a = ?" in line for line in finding.evidence)
        ctx.environment = ctx.environment.__class__(
            branch="main",
            database=ctx.environment.database,
            thresholds=Thresholds(database=Seconds(5), long_query=Seconds(0.001)),
        )
        assert (await one("database", ctx)).level is Level.FAIL
        await holder.execute("ROLLBACK")
        await asyncio.wait_for(task, HANG)
    finally:
        await holder.close()
        await waiter.close()
        await admin.execute("DROP TABLE bookings")


async def test_nearly_no_connection_left(
    ctx: CheckContext, server: Server, admin: asyncpg.Connection
) -> None:
    await one("database", ctx)
    crowd = [await connect(server) for _ in range(MAX_CONNECTIONS - 2)]
    try:
        finding = await one("database", ctx)
    finally:
        await asyncio.gather(*(each.close() for each in crowd))
    assert finding.level is Level.FAIL
    assert f"{MAX_CONNECTIONS} of {MAX_CONNECTIONS} connections" in finding.summary


async def test_a_stopped_database_fails_and_its_tables_wait(ctx: CheckContext, server: Server) -> None:
    await asyncio.to_thread(server.stop)
    try:
        connectivity, tables = await one("database", ctx), await one("critical-tables", ctx)
    finally:
        await asyncio.to_thread(server.start)
    assert connectivity.level is Level.FAIL
    assert "refused" in connectivity.summary
    assert tables.level is Level.UNKNOWN
    assert "waits on the database" in tables.summary


async def test_the_application_and_we_are_two_findings(
    ctx: CheckContext, app: App, context: MakeContext
) -> None:
    both = context(url=app.url, database=ctx.environment.database, thresholds=Thresholds(database=Seconds(5)))
    both.postgres = ctx.postgres
    app.answers["/api/health/db"] = (503, {"status": "error", "error": "too many clients"})
    findings = await run_check("database", both)
    assert [(f.subject, f.level) for f in findings] == [
        ("asked by the application", Level.FAIL),
        ("asked from here", Level.OK),
    ]


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        (Fault.AUTH, Level.UNKNOWN),
        (Fault.CONFIG, Level.UNKNOWN),
        (Fault.UNREACHABLE, Level.UNKNOWN),
        (Fault.TIMEOUT, Level.FAIL),
        (Fault.CLOSED, Level.FAIL),
    ],
)
async def test_whose_trouble_it_is(ctx: CheckContext, fault: Fault, level: Level) -> None:
    async def fails() -> None:
        raise LinkError(fault, "so it is", where="db:5432/app")

    ctx.take_database = fails  # type: ignore[assignment]
    assert (await one("database", ctx)).level is level


@pytest.mark.parametrize("fault", [Fault.CLOSED, Fault.REFUSED, Fault.TIMEOUT])
async def test_a_way_that_failed_tells_nothing_of_the_database(ctx: CheckContext, fault: Fault) -> None:
    async def away() -> DatabaseReading:
        raise DatabaseError(fault, "vps: it is away", where="db", way=True)

    ctx.take_database = away
    finding = await one("database", ctx)
    assert finding.level is Level.UNKNOWN
    assert "vps: it is away" in finding.summary


async def test_no_critical_tables_are_unknown(context: MakeContext, server: Server) -> None:
    ctx = context(database=Database(host="127.0.0.1", port=server.port))
    ctx.postgres = PostgresLink("db", ctx.environment.database or Database(), password, CommandLog())
    finding = await one("critical-tables", ctx)
    assert finding.level is Level.UNKNOWN
    assert "critical_tables" in finding.next
