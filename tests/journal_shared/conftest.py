"""One PostgreSQL for all tests here, its journal removed before each; hosts are folders with a way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from muva_console.config.model import Database, Secret
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal, no_redaction
from muva_console.ops.journal import sharing as sharing_module
from muva_console.ops.journal.shared_schema import bring_up
from muva_console.ops.journal.sharing import Sharing
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.postgres import PostgresLink
from tests.patience import HANG
from tests.postgres.server import PASSWORD, Server, running_server

MakeHost = Callable[..., Journal]
pytestmark = pytest.mark.timeout(HANG)


def url_of(server: Server) -> str:
    return f"postgresql://postgres:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/postgres"


def journal_of(folder: Path, url: str, name: str) -> Journal:
    """A host's journal, its copy in a folder."""

    async def secret() -> str:
        return url

    link = PostgresLink("journal", Database(url=Secret(env="UNUSED")), secret, CommandLog())
    return Journal(
        folder,
        Engineer(name=name, host=folder.name, origin="test"),
        redact=no_redaction,
        share=lambda warn: Sharing(link.session, lambda: bring_up(link, name), warn),
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken for fresh, and what is out of reach is tried again at once."""
    monkeypatch.setattr(sharing_module, "FRESH", 0.0)
    monkeypatch.setattr(sharing_module, "BACK_OFF", 0.0)


@pytest.fixture
async def admin(cluster: Server) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url_of(cluster))
    await connection.execute(
        "DROP SCHEMA IF EXISTS muva_journal CASCADE; DROP SCHEMA IF EXISTS supabase_migrations CASCADE"
    )
    yield connection
    await connection.close()


@pytest.fixture
async def host(cluster: Server, admin: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[MakeHost]:
    opened: list[Journal] = []

    def make(name: str = "jump-1", *, engineer: str = "dana", url: str = "") -> Journal:
        opened.append(journal_of(tmp_path / name, url or url_of(cluster), engineer))
        return opened[-1]

    yield make
    for journal in opened:
        await journal.close()
