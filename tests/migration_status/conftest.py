from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres.server import Server, running_server

from .scene import HISTORY, Scene, connect

MakeScene = Callable[..., Awaitable[Scene]]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as made:
        yield made


@pytest.fixture
async def make_scene(server: Server, tmp_path: Path) -> AsyncIterator[MakeScene]:
    """A scene with databases for the named environments, each with an empty history."""
    made: list[str] = []

    async def make(*environments: str) -> Scene:
        scene = Scene(tmp_path, server, environments, f"s{next(_numbers)}")
        admin = await connect(server, "postgres")
        for name in environments:
            made.append(f"{scene.prefix}_{name}")
            await admin.execute(f"create database {made[-1]} strategy file_copy")
        await admin.close(timeout=5)
        for name in environments:
            await scene.sql(name, HISTORY)
        scene.write()
        return scene

    yield make
    admin = await connect(server, "postgres")
    for name in made:
        await admin.execute(f"drop database {name} with (force)")
    await admin.close(timeout=5)
