"""Applying a migration file and recording it in the history table exactly as the Supabase CLI does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError

if TYPE_CHECKING:
    from asyncpg import Connection

_FILE_NAME = re.compile(r"^([0-9]+)_(.*)\.sql$")
_HISTORY = (
    "set local lock_timeout = '4s'",
    "create schema if not exists supabase_migrations",
    "create table if not exists supabase_migrations.schema_migrations (version text not null primary key)",
    "alter table supabase_migrations.schema_migrations add column if not exists statements text[]",
    "alter table supabase_migrations.schema_migrations add column if not exists name text",
)
# What may hold a semicolon that ends nothing; in order of trial.
_TOKEN = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" | (\$[A-Za-z_]*\$).*?\1 | ;""",
    re.VERBOSE | re.DOTALL,
)


def split(text: str) -> list[str]:
    """The statements of a file, without their semicolons; comments stay with the statement they precede."""
    statements, start = [], 0
    for token in _TOKEN.finditer(text):
        if token.group() == ";":
            statements.append(text[start : token.start()].strip())
            start = token.end()
    statements.append(text[start:].strip())
    return [statement for statement in statements if re.sub(r"--[^\n]*", "", statement).strip()]


async def apply(connection: Connection, name: str, text: str) -> None:
    """Run a file's statements and its history row in one transaction. Raises OpsError or asyncpg's errors."""
    match = _FILE_NAME.match(name)
    if match is None:
        raise OpsError("not a migration's file name: <version>_<name>.sql", where=name)
    statements = split(text)
    async with connection.transaction():
        for statement in _HISTORY:
            await connection.execute(statement)
        await connection.execute("reset lock_timeout")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements)"
            " values ($1, $2, $3)",
            match.group(1), match.group(2), statements,
        )  # fmt: skip
