"""``supabase db push``, as much of it as the workflows use: applies what the database lacks, and records it.

It is what `supabase/setup-cli` puts on the path of a job. The words are the CLI's own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.drill import migrate
from muva_console.ops.errors import OpsError

if TYPE_CHECKING:
    from asyncpg import Connection

_FOLDER = Path("supabase") / "migrations"
_RECORDED = "select version from supabase_migrations.schema_migrations"


async def push(url: str) -> int:
    """Apply what is missing; the exit status."""
    import asyncpg

    files = {path.name.partition("_")[0]: path for path in sorted(_FOLDER.glob("*_*.sql"))}
    _say("Connecting to remote database...")
    connection = await asyncpg.connect(url, timeout=10, ssl=False)
    try:
        recorded = await _recorded(connection)
        unknown = sorted(recorded - set(files))
        if unknown:
            _complain("Remote migration versions not found in local migrations directory.")
            _complain(f"\nMake sure your local git repo is up-to-date: {' '.join(unknown)}")
            return 1
        missing = [path for version, path in files.items() if version not in recorded]
        if not missing:
            _say("Remote database is up to date.")
            return 0
        for path in missing:
            _say(f"Applying migration {path.name}...")
            try:
                await migrate.apply(connection, path.name, path.read_text())
            except asyncpg.PostgresError as error:
                _complain(f"ERROR: {error} (SQLSTATE {error.sqlstate})")
                return 1
        _say("Finished supabase db push.")
        return 0
    finally:
        await connection.close(timeout=5)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


async def _recorded(connection: Connection) -> set[str]:
    import asyncpg

    try:
        return {row["version"] for row in await connection.fetch(_RECORDED)}
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return set()


def main() -> int:
    """``supabase db push [--yes] --db-url URL``."""
    parser = argparse.ArgumentParser(prog="supabase")
    parser.add_argument("words", nargs=2, choices=("db", "push"))
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--db-url", required=True)
    given = parser.parse_args()
    try:
        return asyncio.run(push(given.db_url))
    except (OpsError, OSError, TimeoutError) as error:
        _complain(f"failed to connect to postgres: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
