"""A release in small: two branches in a real git repository, two real databases, an application, a backup."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg

from muva_console.config.model import (
    Backups,
    Config,
    Database,
    Environment,
    Health,
    Project,
    Seconds,
    Secret,
    Url,
)
from muva_console.drill.migrate import apply
from muva_console.ops.backups import backup_name
from muva_console.ops.checks import CheckContext, run_checks
from muva_console.ops.journal.model import Entry, Filter
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.web import WebLink
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.context import Release
from tests.postgres.server import PASSWORD, Server

FOLDER = "supabase/migrations"
ALL = ("migrations-valid", "migration-status", "migration-tested", "database-sync", "backup-plan")
Files = dict[str, str | bytes | None]

APPLIED: Files = {
    "20250101_guests.sql": "create table public.guests (id int primary key, name text not null);",
    "20250102_bookings.sql": (
        "-- who comes when\n"
        "create table public.bookings (id int primary key, guest int references public.guests, night date);\n"
        "create index bookings_night_idx on public.bookings (night);\n"
        "create function public.booked() returns bigint language sql as\n"
        "$$ select count(*) from public.bookings; $$;"
    ),
}
WAITING: Files = {
    "20250103_reviews.sql": (
        "create table public.reviews (id int primary key, stars int not null);\n"
        "alter table public.reviews enable row level security;\n"
        "alter table public.guests add column language text not null default 'en';"
    )
}
"""Goes out: applied on staging, not on production."""

SEED = """
insert into public.guests (id, name) select n, 'guest ' || n from generate_series(1, 100) n;
insert into public.bookings select n, n, current_date + n from generate_series(1, 50) n;
analyze;
"""


class Remembering:
    """The console's workshop, asked the same thing once: many tests look at one repository."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any, **more: Any) -> Any:
            key = repr((name, arguments, more))
            if key not in self._known:
                self._known[key] = await getattr(self._workshop, name)(*arguments, **more)
            return self._known[key]

        return ask


@dataclass
class World:
    """`release()` writes the branches; the databases are there from the start."""

    folder: Path
    server: Server
    app_url: str
    repositories: dict[str, tuple[Path, Any, dict[str, str]]]
    """Folders, sources and heads of the releases of the tests before, by what is in them."""
    links: list[PostgresLink | WebLink] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    """Other names of databases by environment; None for no database."""
    folder_name: str = FOLDER
    repository: Path = Path()
    source: Any = None
    dirty: set[str] = field(default_factory=set)
    """The databases that were written to."""
    deployments: list[Entry] = field(default_factory=list)
    """What the journal has of them."""

    async def read(self, wanted: Filter) -> list[Entry]:
        """As the journal does."""
        return self.deployments

    @property
    def dumps(self) -> Path:
        return self.folder / "backups"

    def git(self, *words: str, input: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.repository / "checkout"), *words],
            check=True, capture_output=True, input=input, timeout=20,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def release(self, staging: Files | None = None, main: Files | None = None) -> None:
        """main has APPLIED and `main`; staging leaves main's APPLIED and adds WAITING and `staging`. None
        removes a file.
        """
        key = repr((staging, main))
        if key in self.repositories:
            self.repository, self.source, self.heads = self.repositories[key]
            return
        self.repository = self.folder
        checkout = self.repository / "checkout"
        subprocess.run(
            ["git", "init", "-q", "--template=", "-b", "main", str(checkout)], check=True, timeout=20
        )
        stream = bytearray()

        def commit(branch: str, start: str, files: Files) -> None:
            mark = "" if start else "mark :1\n"
            stream.extend(
                f"commit refs/heads/{branch}\n{mark}committer A <a@example.org> 1760000000 +0000\n".encode()
            )
            stream.extend(b"data 1\nx\n" + (f"from {start}\n".encode() if start else b""))
            for name, content in files.items():
                path = f'"{FOLDER}/{name}"'
                if content is None:
                    stream.extend(f"D {path}\n".encode())
                    continue
                data = content.encode() if isinstance(content, str) else content
                stream.extend(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
            stream.extend(b"\n")

        commit("main", "", APPLIED)
        commit("staging", ":1", {**WAITING, **(staging or {})})
        if main:
            commit("main", ":1", main)
        self.git("fast-import", "--quiet", input=bytes(stream))
        main_head, staging_head = self.git("rev-parse", "main", "staging").split()
        self.heads = {"main": main_head, "staging": staging_head}
        self.source = Remembering(Workshop(checkout, self.repository / "copy"))
        self.repositories[key] = (self.repository, self.source, self.heads)

    def backup(self, age: timedelta = timedelta(hours=3), data: bytes | None = None) -> Path:
        self.dumps.mkdir(exist_ok=True)
        path = self.dumps / backup_name("production", datetime.now(UTC) - age, self.heads["main"][:12])
        path.write_bytes(b"PGDMP\x01\x10\x00" if data is None else data)
        return path

    async def sql(self, database: str, *statements: str) -> None:
        self.dirty.add(database)
        connection = await connect(self.server, database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close(timeout=5)

    async def check(self, *names: str) -> dict[str, tuple[Finding, ...]]:
        """The findings of production's checks, by name."""
        environments = {
            name: Environment(
                branch=branch,
                url=Url(self.app_url),
                database=Database(
                    host="127.0.0.1", port=self.server.port, name=name, password=Secret(env="X")
                ),
            )
            for name, branch in (("staging", "staging"), ("production", "main"))
        }
        config = Config(
            project=Project(checkout=self.repository / "checkout", migrations=self.folder_name),
            health=Health(timeout=Seconds(10.0)),
            backups=Backups(directory=self.dumps if self.dumps.exists() else None),
            environments=environments,
        )
        made = {name: self._context(name, config) for name in environments}
        made["production"].release = Release(
            source_branch="staging",
            target_branch="main",
            repository=self.source,
            journal=cast(Any, self),
            secret=cast(Any, None),
            source=made["staging"],
        )
        found = await run_checks(names or ALL, made["production"])
        return {name: tuple(one for one in found if one.check == name) for name in names or ALL}

    def _database(self, name: str | None, user: str = "postgres") -> Database | None:
        if name is None:
            return None
        return Database(
            host="127.0.0.1", port=self.server.port, name=name, user=user, password=Secret(env="X")
        )

    def link(self, name: str, user: str = "postgres", password: str = PASSWORD) -> PostgresLink:
        """A link to one of the databases."""

        async def secret() -> str:
            return password

        database = self._database(name, user)
        assert database is not None
        self.links.append(PostgresLink(f"db {name}", database, secret, CommandLog()))
        return cast(PostgresLink, self.links[-1])

    def _context(self, name: str, config: Config) -> CheckContext:
        database = self.names.get(name, name)
        web = WebLink(f"web {name}", CommandLog())
        self.links.append(web)
        return CheckContext(
            environment_name=name,
            environment=config.environments[name],
            config=config,
            web=web,
            postgres=None if database is None else self.link(database),
        )

    async def close(self) -> None:
        for link in self.links:
            await link.close()


def bad(found: dict[str, tuple[Finding, ...]]) -> dict[str, Level]:
    """The checks that are not ok, with their worst level."""
    levels = {name: [one.level for one in findings] for name, findings in found.items()}
    order = (Level.FAIL, Level.UNKNOWN, Level.WARN)
    return {
        name: next(level for level in order if level in of)
        for name, of in levels.items()
        if set(of) != {Level.OK}
    }


def said(findings: Iterable[Finding]) -> str:
    return "\n".join(f"{one.summary}\n" + "\n".join(one.evidence) for one in findings)


async def connect(server: Server, database: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database=database,
        timeout=10, ssl=False,
    )  # fmt: skip


async def fill(server: Server, name: str) -> None:
    """Make a database as it should be: staging has the waiting migration beside the applied ones."""
    connection = await connect(server, name)
    await connection.execute(
        "drop schema if exists public cascade; drop schema if exists supabase_migrations cascade;"
        "create schema public"
    )
    for file, text in {**APPLIED, **(WAITING if name == "staging" else {})}.items():
        await apply(connection, file, str(text))
    await connection.execute(SEED)
    await connection.close(timeout=5)
