"""What each statement would lock, for the plan of an apply, and how large what it locks is.

The one seam to the hazards: `hazards` is asked where it is there, and what this module knows by itself (the
locks of a statement by its first words) stands in where it cannot tell. Lock modes by statement: PostgreSQL
18 documentation, section 13.3.1 and the reference pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from muva_console.ops.backups import spell_size
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.sqltext import split_table
from muva_console.ops.migrations.model import Statement

_SIZES = """
SELECT w.name, c.reltuples::float8, pg_catalog.pg_stat_get_live_tuples(c.oid)::float8,
       pg_catalog.pg_total_relation_size(c.oid)::int8
  FROM unnest($1::text[], $2::text[], $3::text[]) AS w(name, space, relation)
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.space
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.relation
 WHERE c.relkind IN ('r', 'p', 'm')
"""
ALL, WRITES = "blocks reads and writes", "blocks writes, not reads"
SCHEMA = "blocks other changes of it alone"
_BLOCKS = {
    "ACCESS EXCLUSIVE": ALL,
    "EXCLUSIVE": WRITES,
    "SHARE ROW EXCLUSIVE": WRITES,
    "SHARE": WRITES,
    "SHARE UPDATE EXCLUSIVE": SCHEMA,
    "ROW EXCLUSIVE": "blocks no reads and no writes of other rows",
}
# by how the statement's kind begins; the first that fits
_MODES = (
    ("ALTER TABLE … VALIDATE", "SHARE UPDATE EXCLUSIVE"),
    ("ALTER TABLE … SET STATISTICS", "SHARE UPDATE EXCLUSIVE"),
    ("ALTER TABLE", "ACCESS EXCLUSIVE"),
    ("CREATE INDEX", "SHARE"),
    ("CREATE UNIQUE", "SHARE"),
    ("CREATE TRIGGER", "SHARE ROW EXCLUSIVE"),
    ("CREATE POLICY", "ACCESS EXCLUSIVE"),
    ("ALTER POLICY", "ACCESS EXCLUSIVE"),
    ("DROP FUNCTION", ""),
    ("DROP TYPE", ""),
    ("DROP SCHEMA", ""),
    ("DROP", "ACCESS EXCLUSIVE"),
    ("RENAME", "ACCESS EXCLUSIVE"),
    ("TRUNCATE", "ACCESS EXCLUSIVE"),
    ("REINDEX", "SHARE"),
    ("REFRESH", "ACCESS EXCLUSIVE"),
    ("CLUSTER", "ACCESS EXCLUSIVE"),
    ("VACUUM", "SHARE UPDATE EXCLUSIVE"),
    ("COMMENT", "SHARE UPDATE EXCLUSIVE"),
    ("INSERT", "ROW EXCLUSIVE"),
    ("UPDATE", "ROW EXCLUSIVE"),
    ("DELETE", "ROW EXCLUSIVE"),
)


class TableSize(Struct, frozen=True):
    """How large a table is now."""

    rows: float | None
    """By the statistics; None where it was never analysed."""
    bytes: int
    """With its indexes and TOAST."""

    def __str__(self) -> str:
        rows = "rows unknown" if self.rows is None else f"about {self.rows:,.0f} rows"
        return f"{rows}, {spell_size(self.bytes)}"


class Taken(Struct, frozen=True):
    """What a statement locks."""

    mode: str
    """PostgreSQL's word, such as ``ACCESS EXCLUSIVE``; empty where it locks no table that was there."""
    tables: tuple[str, ...] = ()
    blocks: str = ""
    note: str = ""
    """What else is known: that it rewrites or scans the table."""

    def told(self, sizes: Mapping[str, TableSize]) -> str:
        """``ACCESS EXCLUSIVE on public.guests (about 1,200 rows, 96 KiB): blocks reads and writes``."""
        if not self.mode:
            return self.note
        on = ", ".join(
            f"{table} ({sizes[table]})" if table in sizes else table for table in self.tables[:3]
        ) + (f" and {len(self.tables) - 3} more" if len(self.tables) > 3 else "")
        told = f"{self.mode} on {on}: {self.blocks}" if on else f"{self.mode}: {self.blocks}"
        return f"{told}; {self.note}" if self.note else told


def taken_by(statement: Statement, known: Iterable[str]) -> Taken:
    """By the statement's kind alone; `known` are the tables that are there, for a new one is in nobody's
    way.
    """
    if statement.effect == "opaque":
        return Taken("", note="what it locks cannot be told: it runs code")
    mode = next((mode for lead, mode in _MODES if statement.kind.startswith(lead)), "")
    if statement.alone and mode in ("SHARE", "ACCESS EXCLUSIVE"):
        mode = "SHARE UPDATE EXCLUSIVE"
    tables = tuple(one for one in statement.touches if one in set(known))
    if not mode or (not tables and statement.touches):
        return Taken("")
    return Taken(mode, tables, _BLOCKS[mode])


async def read_table_sizes(link: PostgresLink, names: Iterable[str]) -> dict[str, TableSize]:
    """The sizes of those of these tables (``schema.name``) that are there. Raises DatabaseError."""
    wanted = sorted({name for name in names if not name.endswith("()")})
    if not wanted:
        return {}
    spaces, relations = zip(*(split_table(name) for name in wanted), strict=True)
    found = {}
    for name, estimate, live, size in await link.fetch(_SIZES, wanted, list(spaces), list(relations)):
        rows = estimate if estimate > 0 else live or (0.0 if estimate == 0 else None)
        found[name] = TableSize(rows, size or 0)
    return found
