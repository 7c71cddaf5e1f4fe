"""A scratch database for a rehearsal: made, given the target's schema, and dropped.

On the server of `[migrations] scratch`, else on the target's own; never the target, and never a database that
was there before: the name is new and the database is made here.
"""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.config.model import Database
from muva_console.ops.database.narrated import Tell
from muva_console.ops.database.programs import Programs, find_programs, run_program, said
from muva_console.ops.database.side import side_name
from muva_console.ops.database.target import Libpq
from muva_console.ops.errors import OpsError
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.pg_statement_errors import StatementError
from muva_console.ops.links.pg_way import Way
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.links.sqltext import quote_name
from muva_console.ops.migrations.apply_ground import Ground
from muva_console.ops.migrations.history import SCHEMA, TABLE
from muva_console.ops.migrations.model import History
from muva_console.ops.operations import EventKind, PlannedCommand
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

MARK = "muva-console: a rehearsal of migrations, of no use"
"""The comment on a scratch database: whoever finds one that nobody uses may drop it."""
DUMP_TIMEOUT = 300.0
"""Seconds for dumping, and for loading, a schema."""
CREATE_TIMEOUT = 120.0
DROP_WITHIN = 8.0
"""Seconds that dropping may take when the rehearsal was given up; below act.CLEANUP_TIMEOUT."""
LOCK_WAIT = 5_000
"""Milliseconds that pg_dump waits for a table's ACCESS SHARE lock."""
INSUFFICIENT_PRIVILEGE = "42501"

_ENCODING = """
SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype,
       pg_catalog.current_setting('server_version_num')::int / 10000
  FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
"""
_LEFT = """
SELECT d.datname::text FROM pg_catalog.pg_database d
 WHERE pg_catalog.shobj_description(d.oid, 'pg_database') = $1
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where rehearsals take place."""

    target: PostgresLink
    """The environment's database, whose schema is taken."""
    server: PostgresLink | None
    """A database of the server that is configured for it; None for the target's own server."""
    programs: Path | None
    """[backups] programs."""
    log: CommandLog

    @property
    def boss(self) -> PostgresLink:
        """The database from which the scratch database is made."""
        return self.server or self.target

    async def plan(self) -> Planned:
        """Look where it would be made. Raises OpsError."""
        rows = await self.boss.fetch(_LEFT, MARK)
        where = self.boss.where
        name = where.rpartition("/")[2]
        risks = [] if self.server is not None else ["it is made on the environment's own server"]
        risks += [
            f"an earlier rehearsal has left a database: {self.boss.psql(f'DROP DATABASE {quote_name(one)}')}"
            for (one,) in rows
        ]
        return Planned(
            where=f"a scratch database beside {where}",
            same_server=self.server is None,
            commands=(
                PlannedCommand(
                    where, self.boss.psql(f"CREATE DATABASE {name}_rehearsal_… TEMPLATE template0")
                ),
                PlannedCommand(
                    "here", f"pg_dump --schema-only {shlex.quote(self.target.where)} | pg_restore", "no rows"
                ),
            ),
            risks=tuple(risks),
        )


class Planned(Struct, frozen=True, kw_only=True):
    """What a rehearsal's plan says of its place."""

    where: str
    same_server: bool
    commands: tuple[PlannedCommand, ...]
    risks: tuple[str, ...]


def scratch_of(workspace: Workspace, ground: Ground) -> Scratch:
    """Where an environment's migrations are rehearsed."""
    reference = workspace.config.migrations.scratch
    server = None
    if reference is not None:
        server = PostgresLink(
            "db scratch",
            Database(url=reference),
            lambda: workspace.secret(reference),
            workspace.commands,
            environment=ground.environment,
        )
        workspace.at_end(server.close)
    return Scratch(ground.link, server, workspace.config.backups.programs, workspace.commands)


@asynccontextmanager
async def scratch_database(
    scratch: Scratch, ground: Ground, history: History, tell: Tell
) -> AsyncIterator[Ground]:
    """The ground on a new database with the target's schema and history; dropped on leaving, whatever
    happens. Raises OpsError.
    """
    boss = scratch.boss.session()
    await boss.open()
    made: list[str] = []
    link: PostgresLink | None = None
    try:
        name = await _create(scratch, boss, made, tell)
        link = scratch.boss.to(name)
        await _load(scratch, link, tell)
        await _history(link, history)
        yield replace(ground, link=link, session=link.session, health=None)
    finally:
        if link is not None:
            await link.close()
        await _see_through(_drop(boss, made, tell))


async def _create(scratch: Scratch, boss: PostgresSession, made: list[str], tell: Tell) -> str:
    """The name of a new database; it is in `made` from the moment that it is there."""
    ((encoding, collate, ctype, _),) = await scratch.target.fetch(_ENCODING)
    name = side_name(scratch.target.where.rpartition("/")[2], "rehearsal", utc_now())
    words = f"CREATE DATABASE {quote_name(name)} TEMPLATE template0 ENCODING {_literal(encoding)}"
    if scratch.server is None:
        words += f" LC_COLLATE {_literal(collate)} LC_CTYPE {_literal(ctype)}"
    tell(EventKind.STEP, boss.psql(words))
    try:
        await boss.execute(words, timeout=CREATE_TIMEOUT)
        made.append(name)
        await boss.execute(f"COMMENT ON DATABASE {quote_name(name)} IS {_literal(MARK)}")
    except StatementError as error:
        if error.sqlstate == INSUFFICIENT_PRIVILEGE:
            raise OpsError(
                "this user may not make databases here",
                where=boss.where,
                next="Give [migrations] scratch the address of a server where one may.",
            ) from None
        raise
    return name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def _load(scratch: Scratch, link: PostgresLink, tell: Tell) -> None:
    """Dump the target's schema and load it. What cannot be loaded is told, for a rehearsal goes on."""
    ((*_, major),) = await scratch.target.fetch(_ENCODING)
    programs = await find_programs(scratch.programs, major, log=scratch.log)
    with tempfile.TemporaryDirectory(prefix="muva-rehearsal-") as folder:
        path = Path(folder) / "schema.dump"
        async with _libpq(scratch.target.way()) as libpq:
            await _dump(scratch, programs, libpq, path, tell)
        async with _libpq(link.way()) as libpq:
            await _restore(scratch, programs, libpq, path, tell)


async def _dump(scratch: Scratch, programs: Programs, libpq: Libpq, path: Path, tell: Tell) -> None:
    words = ["--schema-only", "--format=custom", "--no-publications", "--no-subscriptions"]
    shown = libpq.typed("pg_dump", *words, "--file=schema.dump")
    tell(EventKind.STEP, shown)
    result = await run_program(
        [
            programs.dump, *words, "--no-password", f"--lock-wait-timeout={LOCK_WAIT}", f"--file={path}",
            f"--dbname={libpq.conninfo()}",
        ],
        libpq, cwd=path.parent, timeout=DUMP_TIMEOUT, shown=shown, log=scratch.log,
    )  # fmt: skip
    if not result.ok:
        raise OpsError(f"the schema cannot be dumped: {said(result)}", where=scratch.target.where)


async def _restore(scratch: Scratch, programs: Programs, libpq: Libpq, path: Path, tell: Tell) -> None:
    words = ["--no-owner", "--no-privileges"]
    shown = libpq.typed("pg_restore", *words, "schema.dump")
    tell(EventKind.STEP, shown)
    result = await run_program(
        [programs.restore, *words, "--no-password", f"--dbname={libpq.conninfo()}", str(path)],
        libpq, cwd=path.parent, timeout=DUMP_TIMEOUT, shown=shown, log=scratch.log,
    )  # fmt: skip
    if result.timed_out or result.exit_status not in (0, 1):
        raise OpsError(f"the schema cannot be loaded: {said(result)}", where=libpq.address.where)
    if result.exit_status:
        tell(EventKind.WARNING, f"the scratch database is not the whole schema: {said(result)}")


async def _history(link: PostgresLink, history: History) -> None:
    """The rows of the history, without what was run: a dump of the schema has none."""
    if not history.there or not history.applied:
        return
    named = "name" in history.columns
    session = link.session()
    await session.open()
    try:
        versions = sorted(history.applied)
        columns = "version, name" if named else "version"
        names = [history.applied[version].name for version in versions]
        await session.fetch(
            f"INSERT INTO {SCHEMA}.{TABLE} ({columns}) SELECT {'v, n' if named else 'v'}"  # noqa: S608
            " FROM unnest($1::text[], $2::text[]) AS rows(v, n)",
            versions,
            names,
        )
    finally:
        await session.close()


@asynccontextmanager
async def _libpq(way: Way) -> AsyncIterator[Libpq]:
    try:
        address = await way.known()
        host, port = await way.leads()
        yield Libpq(address, host, port, tunnelled=way.tunnel is not None)
    finally:
        await way.close()


async def _drop(boss: PostgresSession, made: list[str], tell: Tell) -> None:
    try:
        for name in made:
            words = f"DROP DATABASE IF EXISTS {quote_name(name)} WITH (FORCE)"
            try:
                if not boss.usable:
                    await boss.open()
                await boss.execute(words, timeout=CREATE_TIMEOUT)
                tell(EventKind.STEP, f"{name} is dropped")
            except OpsError as error:
                tell(EventKind.WARNING, f"{name} could not be dropped: {error}; do it: {boss.psql(words)}")
    finally:
        await boss.close()


async def _see_through(work: Coroutine[object, object, None]) -> None:
    """Wait for it even where the rehearsal is given up meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=DROP_WITHIN)
        raise
