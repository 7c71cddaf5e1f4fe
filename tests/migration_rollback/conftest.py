"""One PostgreSQL and one database for all tests here, emptied before each; the world of applying."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.migration_apply.world import World
from tests.postgres.server import Server, running_server


@pytest.fixture(scope="session")
def cluster() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
async def world(cluster: Server) -> AsyncIterator[World]:
    made = World(cluster, "postgres")
    await made.sql(
        "drop schema public cascade",
        "create schema public",
        "drop schema if exists supabase_migrations cascade",
        "select 1",
    )
    yield made
    for link in made.links:
        await link.close()
    assert made.other is not None
    await made.other.close(timeout=5)
