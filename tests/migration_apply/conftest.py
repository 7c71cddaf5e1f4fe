"""One PostgreSQL and one database for all tests here, emptied before each."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from muva_console.config.load import load
from muva_console.ops.migrations import applying
from muva_console.ops.workspace import Workspace
from tests.patience import HANG
from tests.postgres.server import PASSWORD, Server, running_server

from .world import FOLDER, World

TOML = """
[project]
checkout = "checkout"
cache = "cache"
[journal]
directory = "journal"
[environments.staging]
branch = "staging"
[environments.staging.database]
host = "127.0.0.1"
port = {port}
name = "{name}"
user = "postgres"
password = {{ file = "password" }}
"""


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


def commit(folder: Path, files: dict[str, str]) -> None:
    checkout = folder / "checkout"
    (checkout / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (checkout / FOLDER / name).write_text(text)
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q", "-b", "staging"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, timeout=HANG)


@pytest.fixture
async def workspace(world: World, tmp_path: Path) -> AsyncIterator[Workspace]:
    config = tmp_path / "muva.toml"
    config.write_text(TOML.format(port=world.server.port, name=world.name))
    (tmp_path / "password").write_text(PASSWORD)
    for path in (config, tmp_path / "password"):
        path.chmod(0o600)
    made = Workspace(load(config))
    yield made
    await made.close()
