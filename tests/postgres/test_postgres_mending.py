"""The link against a database that goes away, hangs, comes back: bounded, and mended by itself."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from muva_console.config.model import Database, Secret
from muva_console.ops.errors import Fault, FurtherError, LinkError, OpsError
from muva_console.ops.links import postgres
from muva_console.ops.links.base import CommandLog, LinkState, LinkStatus
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from tests.patience import HANG

from .conftest import password
from .server import Server, running_server

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that may be stopped and frozen."""
    with running_server() as one:
        yield one


@pytest.fixture
async def link(server: Server) -> AsyncIterator[PostgresLink]:
    made = PostgresLink(
        "db test",
        Database(host="127.0.0.1", port=server.port, password=Secret(env="UNUSED")),
        password,
        CommandLog(),
    )
    yield made
    await made.close()


async def comes_back(link: PostgresLink) -> None:
    deadline = time.monotonic() + HANG
    while True:
        try:
            await link.read()
        except LinkError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        else:
            return


async def fails(link: PostgresLink, timeout: float = HANG) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        await link.read(timeout=timeout)
    return caught.value


async def test_down_and_back(server: Server, link: PostgresLink) -> None:
    await link.read()
    await asyncio.to_thread(server.stop)
    try:
        assert (await fails(link)).fault is Fault.REFUSED
        down = link.state
        assert down.status is LinkStatus.DOWN
        assert down.error is not None
        assert "nothing listens" in down.error.what
    finally:
        await asyncio.to_thread(server.start)
    await comes_back(link)
    up = link.state
    assert up.status is LinkStatus.UP
    assert up.error is None


async def test_a_restart_between_two_readings_is_not_noticed(server: Server, link: PostgresLink) -> None:
    await link.read()
    await asyncio.to_thread(server.stop, signal.SIGQUIT)
    await asyncio.to_thread(server.start)
    await link.read()


async def test_a_killed_session_is_replaced_at_once(server: Server, link: PostgresLink) -> None:
    await link.read()
    assert link._connection is not None
    first = link._connection.get_server_pid()
    admin = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=await password(), ssl=False
    )
    await admin.execute("SELECT pg_terminate_backend($1)", first)
    await admin.close()
    await link.read()
    assert link._connection.get_server_pid() != first


async def test_a_server_that_freezes_in_mid_connection(server: Server, link: PostgresLink) -> None:
    await link.read()
    with server.frozen():
        async with asyncio.timeout(HANG):
            error = await fails(link, timeout=0.5)
        assert error.fault is Fault.TIMEOUT
    await comes_back(link)


async def test_a_server_that_accepts_and_says_nothing(
    server: Server, link: PostgresLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CONNECT_TIMEOUT", 0.5)
    with server.frozen():
        async with asyncio.timeout(HANG):
            assert (await fails(link, timeout=2 * HANG)).fault is Fault.TIMEOUT
    monkeypatch.undo()
    await comes_back(link)


async def test_who_asks_too_soon_gets_the_last_error_at_once(
    server: Server, link: PostgresLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RETRY_BASE", 60.0)
    monkeypatch.setattr(postgres, "RETRY_CAP", 60.0)
    await asyncio.to_thread(server.stop)
    try:
        first = await fails(link)
    finally:
        await asyncio.to_thread(server.start)
    assert await fails(link) is first, "the server is back, and is not asked before its time"
    link.retry_now()
    await link.read()


async def test_a_cancelled_reading_leaves_no_session(server: Server, link: PostgresLink) -> None:
    await link.read()
    with server.frozen():
        task = asyncio.create_task(link.read())
        await asyncio.sleep(0)
        while link._lock.locked() is False:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await comes_back(link)


async def test_a_secret_that_cannot_be_had(server: Server) -> None:
    async def locked() -> str:
        raise OpsError("the password manager is locked", where="[environments.production.database] url")

    link = PostgresLink("db production", Database(url=Secret(env="X")), locked, CommandLog())
    error = await fails(link)
    assert error.fault is Fault.CONFIG
    assert "locked" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a:hunter2@h/db",
        "postgres://a:hunter2@h:port/db",
        "postgres:///hunter2",
        "postgres://a:hunter2@h/db?sslmode=maybe",
        "hunter2",
        "",
    ],
)
async def test_a_url_that_cannot_be_used_is_not_quoted(url: str) -> None:
    async def secret() -> str:
        return url

    link = PostgresLink("db production", Database(url=Secret(env="X")), secret, CommandLog())
    error = await fails(link)
    assert error.fault is Fault.CONFIG
    assert "hunter2" not in repr(error.lines()) + repr(link.state)


class Tunnel:
    """A stand-in for a host's SSH connection: forwards a port on loopback, and can be lost."""

    host = "vps"

    def __init__(self) -> None:
        self.opened = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> LinkState:
        raise NotImplementedError

    @asynccontextmanager
    async def open_tcp(self, address: str, port: int) -> AsyncIterator[int]:
        self.opened += 1

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                far_reader, far_writer = await asyncio.open_connection(address, port)
            except OSError:
                writer.close()
                return
            task = asyncio.current_task()
            assert task is not None
            self._pipes.add(task)
            try:
                await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
            finally:
                writer.close()
                far_writer.close()

        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        self._server = await asyncio.start_server(forward, "127.0.0.1", 0)
        try:
            yield self._server.sockets[0].getsockname()[1]
        finally:
            await self.lose()

    async def lose(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._pipes:
            task.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)


async def test_through_a_tunnel(server: Server) -> None:
    tunnel = Tunnel()
    database = Database(host="127.0.0.1", port=server.port, password=Secret(env="UNUSED"))
    link = PostgresLink("db", database, password, CommandLog(), tunnel=tunnel)  # type: ignore[arg-type]
    await link.read()
    await link.read()
    assert tunnel.opened == 1
    assert link.state.detail == "through vps"
    await tunnel.lose()
    await comes_back(link)
    assert tunnel.opened == 2
    await asyncio.to_thread(server.stop)
    try:
        link.retry_now()
        error = await fails(link)
        assert error.fault is Fault.REFUSED
        assert "as seen from vps" in error.what
    finally:
        await asyncio.to_thread(server.start)
    await comes_back(link)
    await link.close()


class NoWay(Tunnel):
    """A host that does not lead there."""

    def __init__(self, error: LinkError | None) -> None:
        super().__init__()
        self.error = error

    @asynccontextmanager
    async def open_tcp(self, address: str, port: int) -> AsyncIterator[int]:
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()
        yield 0


@pytest.mark.parametrize("fault", [Fault.CLOSED, Fault.REFUSED, Fault.TIMEOUT])
async def test_a_host_that_cannot_be_reached_says_nothing_of_the_database_behind_it(
    server: Server, fault: Fault
) -> None:
    tunnel = NoWay(
        LinkError(fault, "it is away", where="vps", means="Somebody unplugged it.", next="Go there.")
    )
    database = Database(host="127.0.0.1", port=server.port, password=Secret(env="UNUSED"))
    link = PostgresLink("db", database, password, CommandLog(), tunnel=tunnel)  # type: ignore[arg-type]
    error = await fails(link)
    assert isinstance(error, DatabaseError)
    assert (error.fault, error.what, error.way) == (fault, "vps: it is away", True)
    assert (error.means, error.next) == ("Somebody unplugged it.", "Go there.")
    await link.close()


async def test_a_place_that_the_host_cannot_reach_is_the_databases_failure(server: Server) -> None:
    tunnel = NoWay(FurtherError(Fault.REFUSED, "the way there failed (refused)", where="vps"))
    database = Database(host="127.0.0.1", port=server.port, password=Secret(env="UNUSED"))
    link = PostgresLink("db", database, password, CommandLog(), tunnel=tunnel)  # type: ignore[arg-type]
    error = await fails(link)
    assert isinstance(error, DatabaseError)
    assert (error.fault, error.way) == (Fault.REFUSED, False)
    await link.close()


async def test_a_host_that_never_answers_says_nothing_of_the_database(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muva_console.ops.links.postgres.CONNECT_TIMEOUT", 0.2)
    database = Database(host="127.0.0.1", port=server.port, password=Secret(env="UNUSED"))
    link = PostgresLink("db", database, password, CommandLog(), tunnel=NoWay(None))  # type: ignore[arg-type]
    error = await fails(link)
    assert isinstance(error, DatabaseError)
    assert (error.fault, error.way) == (Fault.TIMEOUT, True)
    assert "vps" in error.what
    await link.close()
