"""The history table as it is written: made as the Supabase CLI makes it, its columns as they are found.

The CLI's own statements (pkg/migration/history.go): schema and table IF NOT EXISTS, then the two columns,
under a lock_timeout of 4 s. Hosted projects have more columns, which are filled where they are there.
"""

from __future__ import annotations

from collections.abc import Collection

from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.migrations.apply_ground import Step
from muva_console.ops.migrations.history import SCHEMA, TABLE

MAKE = (
    "SET LOCAL lock_timeout = '4s'",
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{TABLE} (version text NOT NULL PRIMARY KEY)",
    f"ALTER TABLE {SCHEMA}.{TABLE} ADD COLUMN IF NOT EXISTS statements text[]",
    f"ALTER TABLE {SCHEMA}.{TABLE} ADD COLUMN IF NOT EXISTS name text",
)
WANTED = frozenset({"version", "statements", "name"})


async def make_history(session: PostgresSession) -> None:
    """Make the table, or the columns that it lacks, within the transaction that is open. Raises
    DatabaseError.
    """
    for statement in MAKE:
        await session.execute(statement)


async def record(session: PostgresSession, step: Step, columns: Collection[str], engineer: str) -> None:
    """Write a file's row within the transaction that is open. `columns` are those that the table has.
    Raises DatabaseError.
    """
    values: dict[str, tuple[str, object]] = {
        "version": ("text", step.file.version),
        "name": ("text", step.file.name),
        "statements": ("text[]", list(step.script.recorded)),
        "created_by": ("text", engineer),
        "rollback": ("text[]", list(step.rollback) or None),
    }
    there = [name for name in values if name in columns]
    marks = ", ".join(f"${place}::{values[name][0]}" for place, name in enumerate(there, start=1))
    await session.fetch(
        f"INSERT INTO {SCHEMA}.{TABLE} ({', '.join(there)}) VALUES ({marks})",  # noqa: S608 - names of ours
        *(values[name][1] for name in there),
    )
