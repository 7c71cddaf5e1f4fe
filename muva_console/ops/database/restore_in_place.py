"""A backup restored over the database itself, in one transaction: all of it or nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from muva_console.ops.database.narrated import Tell
from muva_console.ops.database.programs import run_program
from muva_console.ops.database.record import Contents
from muva_console.ops.database.restore_side import RESTORE_TIMEOUT, Said, failed, verified
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.migrations.catalog import INTERNAL
from muva_console.ops.migrations.locking import watching
from muva_console.ops.operations import EventKind

if TYPE_CHECKING:
    from muva_console.ops.database.restore import Ground
    from muva_console.ops.database.target import Target

APPLICATION = "muva-console restore"
LOOK_EVERY = 0.3

_TABLES = """
SELECT n.nspname || '.' || c.relname, c.oid::int8
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND NOT n.nspname = ANY ($1::text[])
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                    AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid)
 ORDER BY 1
"""
_PID = """
SELECT pid FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND application_name = $1 ORDER BY backend_start DESC LIMIT 1
"""


async def newer_tables(session: PostgresSession, held: Contents) -> tuple[str, ...]:
    """The tables that the backup does not have. Raises DatabaseError."""
    return tuple(name for name in await _tables(session) if name not in held.relations)


async def _tables(session: PostgresSession) -> dict[str, int]:
    return {str(name): int(oid) for name, oid in await session.fetch(_TABLES, list(INTERNAL))}


async def restore_in_place(target: Target, session: PostgresSession, ground: Ground, tell: Tell) -> str:
    """Restore in one transaction and compare. `session` is in the database and holds the lock. Raises
    OpsError; the database is then as it was, or it is said that this cannot be told.
    """
    was = await _tables(session)
    name = ground.rights.name
    async with target.libpq() as libpq:
        options = ["--clean", "--if-exists", "--single-transaction", "--exit-on-error"]
        words = [
            ground.programs.restore, *options, "--no-password", "--verbose",
            f"--dbname={libpq.conninfo(application=APPLICATION)}", str(ground.path),
        ]  # fmt: skip
        shown = libpq.typed("pg_restore", *options, str(ground.path))
        tell(EventKind.STEP, f"{shown} (pg_restore {ground.programs.version})")
        watch = asyncio.create_task(_watched(target, tell), name="who blocks the restore")
        try:
            result = await run_program(
                words, libpq, cwd=ground.path.parent, timeout=RESTORE_TIMEOUT, shown=shown, log=target.log,
                on_line=Said(tell).line,
            )  # fmt: skip
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    if not result.ok:
        raise failed(result, await _what_is(target, was, ground))
    async with target.session() as fresh:
        await fresh.execute("ANALYZE", timeout=RESTORE_TIMEOUT)
        try:
            await verified(fresh, ground, tell)
        except OpsError as error:
            raise OpsError(
                f"it was restored, but {error.what}",
                means="Somebody may have written to it since; the transaction itself was committed.",
            ) from None
        left = await newer_tables(fresh, ground.contents)
    if left:
        tell(EventKind.WARNING, f"not of the backup, and left as they were: {', '.join(left[:10])}")
    return f"{name} is as the backup has it, restored in place"


async def _watched(target: Target, tell: Tell) -> None:
    """Tell who blocks pg_restore's session, as long as it lasts."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            rows = await target.link.fetch(_PID, APPLICATION)
        except LinkError:
            continue
        if rows:
            async with watching(target.link, rows[0][0], lambda line: tell(EventKind.WARNING, line)):
                await asyncio.Event().wait()


async def _what_is(target: Target, was: dict[str, int], ground: Ground) -> str:
    """What became of the database after a failure: restored tables have other oids than those of before."""
    name = ground.rights.name
    for pause in (0.1, 1.0, 3.0):
        await asyncio.sleep(pause)
        try:
            async with target.session() as session:
                now = await _tables(session)
        except LinkError:
            continue
        if now == was:
            return f"All was rolled back: {name} is what it was, and serves"
        if any(now.get(table) == oid for table, oid in was.items() if table in ground.contents.relations):
            return f"{name} is being changed by somebody else: look before you go on"
        return f"The transaction was committed all the same: {name} is as the backup has it"
    return (
        f"Whether it was committed cannot be told, for {name} is not reached: it is either what it was or as "
        "the backup has it, nothing in between. Count the rows of a table that the two have differently"
    )
