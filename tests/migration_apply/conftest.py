"""One PostgreSQL for all tests here, a database of its own for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from muva_console.ops.migrations import applying
from tests.postgres.server import Server, running_server

from .world import World, connect

_number = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(applying, "PAUSE", 0.02)


@pytest.fixture
async def world(cluster: Server) -> AsyncIterator[World]:
    made = World(cluster, f"w{next(_number)}")
    admin = await connect(cluster, "postgres")
    await admin.execute(f"create database {made.name} strategy file_copy")
    try:
        yield made
        for link in made.links:
            await link.close()
        if made.other is not None:
            await made.other.close(timeout=5)
        # a session that a test has left is a defect; the tests end their own
        await admin.execute(f"drop database {made.name} with (force)")
    finally:
        await admin.close(timeout=5)
