"""Rows of tables, counted exactly: what a backup holds, and what a restore changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from muva_console.ops.links.pg_statement_errors import StatementError
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.links.sqltext import quote_table, split_table
from muva_console.ops.migrations.catalog import INTERNAL
from muva_console.ops.migrations.history import SCHEMA, TABLE

COUNT_TIMEOUT = 120.0
"""Seconds for counting one table. Ours: two hundred million rows."""
MOST = 60
"""Tables that are counted where none are configured as critical: the largest first. Ours."""

_TABLES = """
SELECT n.nspname || '.' || c.relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_'
   AND NOT n.nspname = ANY ($1::text[])
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                    AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid)
 ORDER BY c.reltuples DESC, 1 LIMIT $2
"""
_HISTORY = f"SELECT pg_catalog.max(version)::text FROM {SCHEMA}.{TABLE}"  # noqa: S608 - names of ours


async def tables_to_count(session: PostgresSession, critical: Sequence[str]) -> tuple[str, ...]:
    """``schema.table`` of the critical tables, or of all where none are configured. Raises DatabaseError."""
    if critical:
        return tuple(dict.fromkeys(".".join(split_table(name)) for name in critical))
    return tuple(str(name) for (name,) in await session.fetch(_TABLES, list(INTERNAL), MOST))


async def count_rows(
    session: PostgresSession, tables: Sequence[str], *, failed: Callable[[str, str], None]
) -> dict[str, int]:
    """The rows of each table, in the transaction that is open and lives on; `failed` is told of those that
    cannot be counted, and why. Raises DatabaseError.
    """
    found = {}
    await session.execute(
        # row_security off: rows that a policy hides raise an error, for a count without them would be wrong
        f"SET LOCAL statement_timeout = '{int(COUNT_TIMEOUT)}s'; SET LOCAL lock_timeout = '10s'; "
        "SET LOCAL row_security = off; SAVEPOINT counting"
    )
    for table in tables:
        try:
            query = f"SELECT pg_catalog.count(*) FROM {quote_table(table)}"  # noqa: S608 - a quoted name
            ((rows,),) = await session.fetch(query, timeout=COUNT_TIMEOUT)
        except StatementError as error:
            failed(table, error.what)
            await session.execute("ROLLBACK TO SAVEPOINT counting")
        else:
            found[table] = int(rows)
    await session.execute("RELEASE SAVEPOINT counting")
    return found


async def highest_version(session: PostgresSession) -> str:
    """The highest version of the history of migrations; empty where there is none. In a transaction. Raises
    DatabaseError.
    """
    ((there,),) = await session.fetch("SELECT pg_catalog.to_regclass($1) IS NOT NULL", f"{SCHEMA}.{TABLE}")
    if not there:
        return ""
    await session.execute("SAVEPOINT history")
    try:
        ((version,),) = await session.fetch(_HISTORY)
    except StatementError:
        await session.execute("ROLLBACK TO SAVEPOINT history")
        return ""
    return str(version or "")


def compared(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """A line for each table: ``public.bookings: 50 rows before, 48 after (-2)``."""
    lines = []
    for table in sorted({*before, *after}):
        old, new = before.get(table), after.get(table)
        if old is None or new is None:
            there = (
                f"{new:,} rows after, not there before" if old is None else f"{old:,} rows before, gone after"
            )
            lines.append(f"{table}: {there}")
        else:
            change = "as before" if old == new else f"({new - old:+,})"
            lines.append(f"{table}: {old:,} rows before, {new:,} after {change}")
    return lines
