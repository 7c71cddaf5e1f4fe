"""A database's own history of migrations, as the Supabase CLI keeps it.

``supabase_migrations.schema_migrations (version text, statements text[], name text)``; hosted projects
also have ``created_by``, ``idempotency_key`` and ``rollback``, which the CLI never makes. So the columns are
looked up before they are selected.
"""

from __future__ import annotations

from collections.abc import Collection

from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.sqltext import quote_name
from muva_console.ops.migrations.model import Applied, History
from muva_console.ops.text import sanitise_line

SCHEMA, TABLE = "supabase_migrations", "schema_migrations"
TIMEOUT = 10.0
"""Seconds for each of the two queries."""

COLUMNS = """
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, NULL)
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
"""
SHOWN = f"SELECT version, name FROM {SCHEMA}.{TABLE} ORDER BY version"  # noqa: S608 - nothing filled in
"""What a person would ask."""


DIGEST = (
    "pg_catalog.substr(pg_catalog.sha256(pg_catalog.convert_to("
    "pg_catalog.array_to_string(statements, E';\\n', ''), 'UTF8')), 1, 16)"
)
"""The first half of SHA-256 of `Applied.text`, made where the statements are: 16 bytes come over instead."""


async def read_history(
    link: PostgresLink,
    *,
    statements: bool = True,
    digests: bool = False,
    versions: Collection[str] | None = None,
) -> History:
    """The history, or these versions of it; empty and `there` False where there is no such table. Without
    `statements` what was run is not read; with `digests` its digest is. Raises DatabaseError.
    """
    found = {str(name) for name, _ in await link.fetch(COLUMNS, SCHEMA, TABLE, timeout=TIMEOUT)}
    if "version" not in found:
        return History(where=link.where, applied={}, there=False)
    select = _select(found, statements, digests)
    if versions is None:
        rows = await link.fetch(select, timeout=TIMEOUT)
    else:
        rows = await link.fetch(
            f"{select} WHERE version::text = ANY ($1::text[])", list(versions), timeout=TIMEOUT
        )
    applied = {}
    for version, name, ran, rollback, by, digest in rows:
        applied[version] = Applied(
            version=version,
            name=None if name is None else harmless(name),
            statements=None if ran is None else tuple(one or "" for one in ran),
            rollback=None if not rollback else tuple(one or "" for one in rollback),
            by=None if by is None else sanitise_line(by, cap=120),
            digest=digest or b"",
        )
    return History(where=link.where, applied=applied, columns=tuple(sorted(found)))


def harmless(name: str) -> str:
    """A migration's name as it is told: nearly all are harmless as they are, and there may be thousands."""
    plain = len(name) <= 300 and name.isascii() and name.isprintable()
    return name if plain else sanitise_line(name, cap=300)


async def read_statements(link: PostgresLink, versions: Collection[str]) -> dict[str, tuple[str, ...]]:
    """What was run of these versions, for each of which it is recorded. Raises DatabaseError."""
    found = (await read_history(link, versions=versions)).applied if versions else {}
    return {version: one.statements for version, one in found.items() if one.statements is not None}


def _select(columns: Collection[str], statements: bool, digests: bool) -> str:
    def one(name: str, kind: str, wanted: bool = True) -> str:
        return f"{quote_name(name)}::{kind}" if wanted and name in columns else f"NULL::{kind}"

    wanted = ", ".join(
        (
            one("version", "text"),
            one("name", "text"),
            one("statements", "text[]", statements),
            one("rollback", "text[]", statements or not digests),
            one("created_by", "text"),
            DIGEST if digests and "statements" in columns else "NULL::bytea",
        )
    )
    return f"SELECT {wanted} FROM {SCHEMA}.{TABLE}"  # noqa: S608 - names of ours
