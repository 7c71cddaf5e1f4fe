"""One PostgreSQL for all tests here (they run in one worker: see the group's mark)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from muva_console.config.model import Database, Secret
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.postgres import PostgresLink
from tests.patience import HANG

from .server import PASSWORD, Server, running_server

MakeLink = Callable[..., PostgresLink]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def log() -> CommandLog:
    return CommandLog()


async def password() -> str:
    return PASSWORD


@pytest.fixture
async def make(cluster: Server, log: CommandLog) -> AsyncIterator[MakeLink]:
    """Makes links to the cluster; closes them at the end."""
    made: list[PostgresLink] = []

    def link(
        *,
        user: str = "postgres",
        name: str = "postgres",
        port: int | None = None,
        secret: Callable[[], Awaitable[str]] = password,
        **more: object,
    ) -> PostgresLink:
        database = Database(
            host="127.0.0.1", port=port or cluster.port, name=name, user=user, password=Secret(env="UNUSED")
        )
        made.append(PostgresLink("db test", database, secret, log, environment="test", **more))  # type: ignore[arg-type]
        return made[-1]

    yield link
    for one in made:
        await one.close()


@pytest.fixture
async def admin(cluster: Server) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(cluster)
    yield connection
    await connection.close(timeout=5)


async def connect(cluster: Server, user: str = "postgres") -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1",
        port=cluster.port,
        user=user,
        password=PASSWORD,
        database="postgres",
        timeout=HANG,
        ssl=False,
    )
