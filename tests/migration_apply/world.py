"""One environment in small: a real database, migrations as a commit has them, and an apply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncpg

from muva_console.config.model import Backups, Database, Migrations, Seconds, Secret
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.migrations.apply import ApplyMigrations
from muva_console.ops.migrations.apply_ground import Choice, Ground
from muva_console.ops.operations import Event, EventKind, Plan
from tests.patience import HANG
from tests.postgres.server import PASSWORD, Server

FOLDER = "supabase/migrations"
SHA = "c0ffee" + "0" * 34
HISTORY = "supabase_migrations.schema_migrations"


class Commit:
    """Files as the console's own copy of the repository has them (`ops.links.source.Source`)."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.contents = {
            f"{FOLDER}/{name}": text.encode() if isinstance(text, str) else text
            for name, text in files.items()
        }

    async def known_heads(self) -> tuple[Mapping[str, str], str]:
        return {"main": SHA, "staging": SHA}, ""

    async def files(self, sha: str, folder: str = "") -> tuple[str, ...]:
        return tuple(sorted(self.contents))

    async def read(self, sha: str, path: str, *, limit: int = 0) -> bytes | None:
        return self.contents.get(path)

    async def read_all(self, sha: str, paths: Sequence[str]) -> dict[str, bytes]:
        return {
            path: self.contents[path]
            for path in paths
            if path in self.contents and len(self.contents[path]) <= 1024 * 1024
        }


@dataclass
class World:
    server: Server
    name: str
    links: list[PostgresLink] = field(default_factory=list)
    commit: Commit = field(default_factory=lambda: Commit({}))
    make_session: Callable[[PostgresLink], PostgresSession] = PostgresLink.session
    sessions: list[PostgresSession] = field(default_factory=list)
    production: bool = False
    settings: Migrations = field(
        default_factory=lambda: Migrations(
            lock_timeout=Seconds(0.3), retries=2, statement_timeout=Seconds(30)
        )
    )
    dumps: Path | None = None
    health: Any = None
    other: asyncpg.Connection | None = None
    """Somebody else's connection."""

    def link(self, **more: Any) -> PostgresLink:
        async def secret() -> str:
            return PASSWORD

        database = Database(host="127.0.0.1", port=self.server.port, name=self.name, password=Secret(env="X"))
        self.links.append(PostgresLink("db", database, secret, CommandLog(), **more))
        return self.links[-1]

    def ground(self, link: PostgresLink | None = None) -> Ground:
        used = link or (self.links[0] if self.links else self.link())

        def session() -> PostgresSession:
            self.sessions.append(self.make_session(used))
            return self.sessions[-1]

        return Ground(
            environment="production" if self.production else "staging",
            production=self.production,
            link=used,
            repository=cast(Any, self.commit),
            branch="main" if self.production else "staging",
            folder=FOLDER,
            settings=self.settings,
            backups=Backups(directory=self.dumps),
            engineer="dana@test",
            session=session,
            health=self.health,
        )

    def put(self, **files: str | bytes) -> None:
        """Migrations by version: ``v1="create table …"`` is 1_x.sql."""
        self.commit = Commit({f"{name.removeprefix('v')}_x.sql": text for name, text in files.items()})

    async def plan(self, **choice: Any) -> Plan:
        return await ApplyMigrations(self.ground(), Choice(**choice)).plan()

    async def apply(self, **choice: Any) -> list[Event]:
        """Plan and perform; every event."""
        operation = ApplyMigrations(self.ground(), Choice(**choice))
        plan = await operation.plan()
        async with asyncio.timeout(HANG):
            return [event async for event in operation.perform(plan)]

    async def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as somebody else; the rows of the last."""
        if self.other is None:
            self.other = await connect(self.server, self.name)
        for statement in statements[:-1]:
            await self.other.execute(statement)
        return [tuple(row) for row in await self.other.fetch(statements[-1])]

    async def recorded(self) -> list[str]:
        """The versions in the history; none where there is no table."""
        if not (await self.sql(f"select to_regclass('{HISTORY}')"))[0][0]:
            return []
        return [version for (version,) in await self.sql(f"select version from {HISTORY} order by 1")]

    async def there(self, *relations: str) -> list[str]:
        """Those of these relations that are there."""
        rows = await self.sql(
            f"select relname from pg_class where relname = any('{{{','.join(relations)}}}') order by 1"
        )
        return [name for (name,) in rows]


def last(events: list[Event]) -> Event:
    assert [event.kind for event in events if event.kind in (EventKind.DONE, EventKind.FAILED)] == [
        events[-1].kind
    ]
    return events[-1]


def said(events: list[Event], *kinds: EventKind) -> str:
    return "\n".join(event.text for event in events if not kinds or event.kind in kinds)


async def connect(server: Server, name: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database=name, ssl=False
    )
