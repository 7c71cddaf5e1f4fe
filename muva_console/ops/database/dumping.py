"""One run of `pg_dump`, watched: of a snapshot of ours, in which the rows are counted beside it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.ops.backups import spell_size
from muva_console.ops.database.narrated import Tell
from muva_console.ops.database.partial import Partial
from muva_console.ops.database.programs import Programs, full, lost, run_program, said
from muva_console.ops.database.rows import count_rows, highest_version, tables_to_count
from muva_console.ops.database.target import Libpq, Target
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.health.words import spell_span
from muva_console.ops.links.local import LocalResult
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.operations import EventKind

DUMP_TIMEOUT = 6 * 3600.0
"""Seconds for a whole dump. Ours."""
STALLED = 600.0
"""Seconds without a byte after which a dump is given up. Ours: pg_dump waits for no lock as long."""
LOCK_WAIT = "20s"
"""How long pg_dump waits for a table that a migration holds; it would hold up who comes after it."""
TOLD_EVERY = 1.0
"""Seconds between two words on how far it is."""

FACTS = """
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.pg_database_size(pg_catalog.current_database())::bigint,
       pg_catalog.current_database()::text
"""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a database before it is dumped."""

    version: str
    major: int
    size: int
    """Bytes on the server's disk, indexes too."""
    database: str


async def facts_of(session: PostgresSession) -> Facts:
    """Raises DatabaseError."""
    ((version, number, size, database),) = await session.fetch(FACTS)
    return Facts(version=version.split()[0], major=number // 10000, size=size, database=database)


class Dumped(Struct, frozen=True, kw_only=True):
    """What was counted in the snapshot of a dump."""

    rows: dict[str, int]
    history: str
    """The highest version of the history of migrations."""


async def dump(
    target: Target,
    session: PostgresSession,
    libpq: Libpq,
    facts: Facts,
    programs: Programs,
    partial: Partial,
    tell: Tell,
) -> Dumped:
    """Dump one snapshot and count in it. Raises OpsError."""
    await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    ((snapshot,),) = await session.fetch("SELECT pg_catalog.pg_export_snapshot()")
    words = [
        programs.dump, "--format=custom", "--verbose", "--no-password", f"--lock-wait-timeout={LOCK_WAIT}",
        f"--snapshot={snapshot}", f"--file={partial.path}", f"--dbname={libpq.conninfo()}",
    ]  # fmt: skip
    shown = dump_line(libpq, partial.path)
    tell(EventKind.STEP, f"{shown} (pg_dump {programs.version}, server {facts.version})")
    at = _Progress(partial, facts, tell)
    dump = asyncio.create_task(
        run_program(
            words, libpq, cwd=partial.path.parent, timeout=DUMP_TIMEOUT, shown=shown, log=target.log,
            on_line=at.line,
        ),
        name="pg_dump",
    )  # fmt: skip
    counting = asyncio.create_task(_counted(session, target.critical, tell), name="counting")
    try:
        # pg_dump's end first: what it says is why the counting lost its session too
        result = await at.watched(dump)
        if not result.ok:
            raise _failed(result, partial.path)
        dumped = await counting
        await session.execute("ROLLBACK")
    finally:
        await _ended(dump, counting)
    return dumped


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _counted(session: PostgresSession, critical: Sequence[str], tell: Tell) -> Dumped:
    def failed(table: str, why: str) -> None:
        tell(EventKind.WARNING, f"{table} is not counted: {why}")

    tables = await tables_to_count(session, critical)
    rows = await count_rows(session, tables, failed=failed)
    return Dumped(rows=rows, history=await highest_version(session))


class _Progress:
    """How far a dump is, told at most once a second; a dump that stands still is given up."""

    def __init__(self, partial: Partial, facts: Facts, tell: Tell) -> None:
        self._partial, self._facts, self._tell = partial, facts, tell
        self._table = ""

    def line(self, text: str) -> None:
        """A line of pg_dump's."""
        _, found, table = text.partition("dumping contents of table ")
        if found:
            self._table = table.strip().replace('"', "")

    async def watched(self, dump: asyncio.Task[LocalResult]) -> LocalResult:
        """The result. Raises OpsError where nothing comes any more."""
        began = moved = time.monotonic()
        told = 0
        while True:
            done, _ = await asyncio.wait({dump}, timeout=TOLD_EVERY)
            now, size = time.monotonic(), self._partial.size
            if done:
                return dump.result()
            if size != told:
                moved = now
                rate = spell_size(int(size / max(now - began, 0.001)))
                about = f", at {self._table}" if self._table else ""
                whole = spell_size(self._facts.size)
                self._tell(EventKind.OUTPUT, f"{spell_size(size)} of a database of {whole}, {rate}/s{about}")
                told = size
            elif now - moved > STALLED:
                raise LinkError(
                    Fault.TIMEOUT,
                    f"pg_dump has written nothing for {spell_span(STALLED)}: given up",
                    where=self._table,
                )


def _failed(result: LocalResult, path: Path) -> OpsError:
    why = said(result)
    if full(result):
        return no_room(path.parent)
    if result.timed_out:
        return LinkError(Fault.TIMEOUT, f"pg_dump took longer than {spell_span(DUMP_TIMEOUT)}: given up")
    if "lock" in why and "timeout" in why:
        return OpsError(
            f"a table is locked by another session for longer than {LOCK_WAIT}",
            means=f"Perhaps a migration runs. pg_dump says: {why}",
            next="Look who holds it, and back up again.",
        )
    if lost(result):
        return LinkError(
            Fault.CLOSED, f"the connection was lost while it was dumped: {why}", means="No backup was made."
        )
    return OpsError(f"pg_dump failed: {why}", means="No backup was made.")


def no_room(folder: Path) -> OpsError:
    """That a folder has no room for a backup."""
    try:
        free = f"{spell_size(shutil.disk_usage(folder).free)} are free there now"
    except OSError:
        free = "it cannot be told how much is free"
    return OpsError(
        "there is no room for the backup: it was not made",
        where=str(folder),
        means=f"What was written of it is removed again; {free}.",
        next="Make room there, or let [backups] directory be elsewhere.",
    )


def dump_line(libpq: Libpq, path: Path) -> str:
    """What a person would type for it."""
    return libpq.typed("pg_dump", "--format=custom", f"--file={path}")
