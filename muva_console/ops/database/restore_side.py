"""A backup restored into a database beside the one that serves, which then gives it its name."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from muva_console.ops.database import side
from muva_console.ops.database.narrated import Tell
from muva_console.ops.database.programs import full, lost, run_program, said
from muva_console.ops.database.rows import compared, count_rows, highest_version
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.health.words import spell_span
from muva_console.ops.links.local import LocalResult
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.operations import EventKind

if TYPE_CHECKING:
    from muva_console.ops.database.restore import Ground
    from muva_console.ops.database.target import Target

RESTORE_TIMEOUT = 12 * 3600.0
"""Seconds for pg_restore. Ours."""
ANALYZE_TIMEOUT = 3600.0
"""Seconds for ANALYZE of the whole database. Ours."""
SMALL = 32 * 1024 * 1024
"""Bytes of a backup up to which one session restores it. Ours."""
MOST_JOBS = 4
TOLD_EVERY = 1.0
CLEAN_UP = 6.0
"""Seconds for dropping what was restored half-way; below the performer's own limit."""


async def restore_beside(target: Target, session: PostgresSession, ground: Ground, tell: Tell) -> str:
    """Restore, check, exchange the names; returns what became of it. `session` is in the database itself and
    holds the lock; it is closed before the exchange. Raises OpsError; the old database serves then.
    """
    rights, new = ground.rights, ground.side
    async with target.session(rights.maintenance) as boss:
        for name in await side.left_behind(boss):
            tell(EventKind.WARNING, f"left by a restore that did not end, of no use: {side.dropping(name)}")
        tell(EventKind.STEP, side.creation(rights, new))
        exchanged = False
        try:
            await side.create(boss, rights, new)
            await _filled(target, ground, tell)
            oid = await _checked(target, ground, tell)
            await side.like(boss, rights.oid, new)
            await session.close()
            await target.link.close()  # ours would be cut too
            await side.exchange(
                target,
                boss,
                maintenance=rights.maintenance,
                old=(rights.name, rights.oid),
                side=(new, oid),
                before=ground.before,
                tell=tell,
            )
            exchanged = True
        except OpsError as error:
            # what the exchange itself cannot tell, it says; all else ended before it was committed
            error.means = error.means or f"{rights.name} is what it was: nothing took its name."
            error.next = error.next or "Look whether the server answers, and restore again."
            raise
        finally:
            if not exchanged:
                await _dropped(target, ground, tell)
        await _serves(target, ground, oid, tell)
    return (
        f"{rights.name} is as the backup has it. What it was is kept as {ground.before}; "
        f"when nobody needs it: {side.dropping(ground.before)}"
    )


async def _filled(target: Target, ground: Ground, tell: Tell) -> None:
    size = ground.path.stat().st_size
    jobs = 1 if size <= SMALL else max(1, min(MOST_JOBS, os.cpu_count() or 1))
    async with target.libpq() as libpq:
        words = [
            ground.programs.restore, "--exit-on-error", "--no-password", "--verbose",
            *(() if jobs == 1 else (f"--jobs={jobs}",)),
            f"--dbname={libpq.conninfo(ground.side)}", str(ground.path),
        ]  # fmt: skip
        shown = libpq.typed("pg_restore", "--exit-on-error", str(ground.path), database=ground.side)
        tell(EventKind.STEP, f"{shown} (pg_restore {ground.programs.version})")
        result = await run_program(
            words, libpq, cwd=ground.path.parent, timeout=RESTORE_TIMEOUT, shown=shown, log=target.log,
            on_line=Said(tell).line,
        )  # fmt: skip
    if not result.ok:
        raise failed(result, f"{ground.rights.name} is what it was: nothing took its name.")


class Said:
    """pg_restore's own words on what it is at, at most one a second."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told = 0.0

    def line(self, text: str) -> None:
        """A line of pg_restore's."""
        _, found, what = text.partition("pg_restore: ")
        now = time.monotonic()
        if found and what.startswith(("processing", "creating")) and now - self._told >= TOLD_EVERY:
            self._told = now
            self._tell(EventKind.OUTPUT, what)


def failed(result: LocalResult, serves: str) -> OpsError:
    """What pg_restore's failure means."""
    why = said(result)
    if result.timed_out:
        return LinkError(
            Fault.TIMEOUT,
            f"pg_restore took longer than {spell_span(RESTORE_TIMEOUT)}: given up",
            means=serves,
        )
    if full(result):
        return OpsError(f"the server's disk is full: {why}", means=serves, next="Make room there.")
    if lost(result):
        return LinkError(Fault.CLOSED, f"the connection was lost while it was restored: {why}", means=serves)
    return OpsError(f"pg_restore failed: {why}", means=serves)


async def _checked(target: Target, ground: Ground, tell: Tell) -> int:
    """The new database's oid, when it holds what its record says. Raises OpsError."""
    async with target.session(ground.side) as session:
        await session.execute("ANALYZE", timeout=ANALYZE_TIMEOUT)
        await verified(session, ground, tell)
        ((oid,),) = await session.fetch(
            "SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
        )
        return int(oid)


async def verified(session: PostgresSession, ground: Ground, tell: Tell) -> None:
    """Count what was restored and compare it with the record; tell the difference to before. Raises
    OpsError where it is not what the record says.
    """
    record = ground.record
    wanted = list(dict.fromkeys((*(record.rows if record else ()), *ground.counts)))
    await session.execute("BEGIN READ ONLY")
    missing: dict[str, str] = {}
    counts = await count_rows(session, wanted, failed=lambda table, why: missing.update({table: why}))
    history = await highest_version(session)
    await session.execute("ROLLBACK")
    if record is not None:
        for table, rows in record.rows.items():
            if counts.get(table) != rows:
                got = f"{counts[table]:,} rows" if table in counts else missing.get(table, "not counted")
                raise OpsError(f"{table} has {rows:,} rows in the record and was restored with {got}")
        if history != record.history:
            raise OpsError(f"the history ends with {history or 'none'}, not with {record.history or 'none'}")
    for line in compared(ground.counts, counts):
        tell(EventKind.VERIFIED, line)
    tell(
        EventKind.VERIFIED,
        f"history of migrations: {ground.history or 'none'} before, {history or 'none'} after",
    )


async def _serves(target: Target, ground: Ground, oid: int, tell: Tell) -> None:
    """Look whether the name leads to the new database. What fails here is told; nothing is undone for it."""
    try:
        async with target.session() as session:
            ((now,),) = await session.fetch(
                "SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
            )
    except LinkError as error:
        tell(EventKind.WARNING, f"it took its name, but cannot be looked at now: {error}")
        return
    if now != oid:
        tell(EventKind.WARNING, f"somebody gave the name {ground.rights.name} to another database meanwhile")
        return
    tell(EventKind.VERIFIED, f"{ground.rights.name} is the restored database, and can be connected to")


async def _dropped(target: Target, ground: Ground, tell: Tell) -> None:
    """Remove the new database after a failure, on a connection of its own; bounded."""
    name = ground.rights.name

    async def drop() -> bool:
        async with target.session(ground.rights.maintenance) as boss:
            rows = await boss.fetch("SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = $1", name)
            if rows != [(ground.rights.oid,)]:
                return False  # it did take the name, whatever was said
            await side.drop(boss, ground.side)
            return True

    task = asyncio.create_task(drop(), name="dropping what was restored half-way")
    try:
        dropped = await asyncio.wait_for(asyncio.shield(task), CLEAN_UP)
    except (OpsError, TimeoutError) as error:
        tell(
            EventKind.WARNING,
            f"what was restored half-way is still there ({error or 'no time'}): {side.dropping(ground.side)}",
        )
    except asyncio.CancelledError:
        with suppress(OpsError, TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), CLEAN_UP)
        raise
    else:
        if dropped:
            tell(EventKind.STEP, f"{ground.side} is dropped again; {name} serves as before")
