"""One PostgreSQL for all tests here, two databases of it and a repository for each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import in_thread
from tests.postgres.server import Server, running_server
from tests.web.conftest import page, serving

from .world import World, connect, fill


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    async def databases() -> None:
        admin = await connect(made, "postgres")
        for name in ("staging", "production"):
            await admin.execute(f"create database {name}")
        await admin.close(timeout=5)

    with running_server() as made:
        in_thread(databases)
        yield made


@pytest.fixture(scope="session")
def dirty() -> set[str]:
    """The databases that are not as they should be."""
    return {"staging", "production"}


@pytest.fixture(scope="session")
def repositories() -> dict[str, tuple[Path, Any, dict[str, str]]]:
    return {}


@pytest.fixture
async def world(
    server: Server, tmp_path: Path, dirty: set[str], repositories: dict[str, tuple[Path, Any, dict[str, str]]]
) -> AsyncIterator[World]:
    """A release that is as it should be once `release()` and `backup()` were called."""
    for name in tuple(dirty):
        await fill(server, name)
        dirty.remove(name)
    made = World(tmp_path, server, "", repositories, dirty=dirty)

    async def serve(reader: object, writer: object) -> None:
        await reader.readuntil(b"\r\n\r\n")  # type: ignore[attr-defined]
        document = {"status": "healthy", "version": "1.4.2", "commit": made.heads.get("main", "")}
        writer.write(page(json.dumps(document).encode(), headers="Content-Type: application/json\r\n"))  # type: ignore[attr-defined]
        await writer.drain()  # type: ignore[attr-defined]

    async with serving(serve) as port:
        made.app_url = f"http://127.0.0.1:{port}"
        yield made
        await made.close()
