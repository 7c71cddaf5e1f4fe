"""One PostgreSQL for all tests here, a database of its own for each."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from muva_console.config.model import Backups, Database, Secret
from muva_console.ops.database.target import Served, Target
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.pg_way import Way
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.operations import Event, EventKind, Operation, Plan
from tests.conftest import in_thread
from tests.patience import HANG
from tests.postgres.server import PASSWORD, Server, programs, running_server

COMMIT = "0123456789ab"
SCHEMA = """
create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
insert into supabase_migrations.schema_migrations values ('20250101', null, 'guests');
create table guests (id int primary key, email text not null);
create table bookings (id int primary key, guest int references guests, note text);
create view booked as select count(*) from bookings;
insert into guests select n, 'guest' || n || '@example.com' from generate_series(1, 100) n;
insert into bookings select n, n, 'night ' || n from generate_series(1, 50) n;
"""
_number = itertools.count(1)


async def connect(port: int, name: str, user: str = "postgres") -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=port, user=user, password=PASSWORD, database=name, timeout=HANG, ssl=False
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    async def fill() -> None:
        admin = await connect(made.port, "postgres")
        escaped = PASSWORD.replace("'", "''")
        await admin.execute(f"create role owner login password '{escaped}'")
        await admin.execute("create database shop_template owner owner")
        await admin.close(timeout=HANG)
        shop = await connect(made.port, "shop_template", "owner")
        await shop.execute(SCHEMA)
        await shop.close(timeout=HANG)

    with running_server() as made:
        in_thread(fill)
        yield made


@dataclass
class Shop:
    """A database with guests and bookings, and what is needed to back it up."""

    port: int
    name: str
    folder: Path
    target: Target
    events: list[Event] = field(default_factory=list)

    async def sql(self, query: str, *, database: str = "", user: str = "postgres") -> list[tuple[Any, ...]]:
        connection = await connect(self.port, database or self.name, user)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close(timeout=HANG)

    def psql(self, query: str, database: str = "postgres") -> str:
        """At once, whatever the event loop is at."""
        words = [str(programs() / "psql"), "-qAtX", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        done = subprocess.run(
            [*words, "-d", database, "-c", query],
            check=True, capture_output=True, timeout=HANG, env={"PGPASSWORD": PASSWORD},
        )  # fmt: skip
        return done.stdout.decode().strip()

    async def bookings(self) -> int:
        ((rows,),) = await self.sql("select count(*) from bookings")
        return int(rows)

    async def databases(self) -> list[str]:
        rows = await self.sql("select datname from pg_database order by 1", database="postgres")
        return [name for (name,) in rows if name.startswith(self.name)]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def dumps(self) -> list[Path]:
        return sorted(self.folder.glob("*.dump"))

    async def run(self, operation: Operation, plan: Plan | None = None) -> Event:
        """Plan and perform; the last event."""
        self.events = []
        async for event in operation.perform(plan or await operation.plan()):
            self.events.append(event)
        return self.events[-1]

    def told(self, kind: EventKind | None = None) -> str:
        return "\n".join(event.text for event in self.events if kind in (None, event.kind))


def shop_of(port: int, name: str, folder: Path, user: str = "owner", **more: Any) -> Shop:
    async def password() -> str:
        return PASSWORD

    async def commit() -> Served:
        return Served(COMMIT, "served")

    database = Database(host="127.0.0.1", port=port, name=name, user=user, password=Secret(env="UNUSED"))
    log = CommandLog()
    target = Target(
        environment="test",
        production=False,
        name="test's database",
        backups=Backups(directory=folder, programs=programs()),
        critical=("guests", "public.bookings"),
        link=PostgresLink("db test", database, password, log),
        way=Way("db test", database, password),
        through="",
        log=log,
        commit=commit,
    )
    return Shop(port, name, folder, changed(target, more))


def changed(target: Target, more: dict[str, Any]) -> Target:
    backups = structs.replace(target.backups, **more.pop("backups", {}))
    return replace(target, backups=backups, **more)


@pytest.fixture
async def stock(server: Server, tmp_path: Path) -> AsyncIterator[Shop]:
    """A database that is backed up and never changed: the template of the others."""
    folder = tmp_path / "backups"
    folder.mkdir()
    made = shop_of(server.port, "shop_template", folder)
    yield made
    await made.target.link.close()


@pytest.fixture
async def shop(server: Server, tmp_path: Path) -> AsyncIterator[Shop]:
    """A database of its own for the test; its user owns it and may create databases."""
    name = f"shop{next(_number)}"
    folder = tmp_path / "backups"
    folder.mkdir()
    admin = await connect(server.port, "postgres")
    await admin.execute(f"create database {name} template shop_template owner owner")
    await admin.execute("alter role owner createdb")
    await admin.execute("grant pg_signal_backend to owner")
    try:
        made = shop_of(server.port, name, folder)
        yield made
        await made.target.link.close()
        for (one,) in await admin.fetch(f"select datname from pg_database where datname like '{name}%'"):
            await admin.execute(f'drop database "{one}" with (force)')
    finally:
        await admin.close(timeout=HANG)
