"""A database's schema and the sizes of its tables, read from the catalogs, and two of them compared.

What a platform keeps for itself is left out: Supabase's own schemas differ between projects of different
age. The list is the Supabase CLI's (`internalSchemas` of its `db diff`), with extensions' members beside.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.sqltext import quote_name
from muva_console.ops.migrations.catalog_sql import BYTES, MINE, SCHEMA, SIZES
from muva_console.ops.text import sanitise_line

INTERNAL = (
    "information_schema", "pgbouncer", "pgsodium", "pgsodium_masks", "auth", "cron", "extensions", "graphql",
    "graphql_public", "net", "pgmq", "pgtle", "realtime", "_realtime", "_analytics", "_supavisor", "storage",
    "supabase_functions", "supabase_migrations", "tiger", "tiger_data", "topology", "vault", "dbdev",
    "repack",
)  # fmt: skip
TIMEOUT = 10.0
"""Seconds for the one query that reads a schema."""
COUNT_CAP = 1_000_000
"""Rows up to which a table without statistics is counted. Ours."""
COUNT_TIMEOUT = 1.0
"""Seconds that counting one table may take. Ours."""
BYTES_TIMEOUT = 2.0
"""Seconds for asking what tables take on disk. Ours."""
COUNT_BUDGET = 4.0
"""Seconds for counting all tables of a database. Ours."""

Part = tuple[str, str, str]
"""What a fact is about: its kind, the table (or function, type) it belongs to, and its own name."""


class Size(Struct, frozen=True):
    """How many rows a table has, and what it takes on disk."""

    rows: float | None
    """None where it could not be told; `why` then."""
    counted: bool = False
    """Counted, not estimated."""
    capped: bool = False
    """Counting stopped at COUNT_CAP: there are at least as many."""
    why: str = ""
    bytes: float | None = None
    """On disk, with indexes and what is kept out of line; None where it could not be told."""


class Difference(Struct, frozen=True):
    """One fact in which two schemas differ."""

    kind: str
    owner: str
    """``schema.table``, ``schema.function`` or ``schema.type``."""
    name: str
    here: str | None
    """None where it is missing."""
    there: str | None

    @property
    def what(self) -> str:
        """``column public.bookings.note``; ``function public.f(integer)``."""
        joined = self.owner + (self.name if self.kind == "function" else f".{self.name}" if self.name else "")
        return f"{self.kind} {joined}"


async def read_schema(link: PostgresLink) -> dict[Part, str]:
    """Every table, view, column, index, constraint, policy, trigger, function, enum and domain, with its
    definition (a digest of it for functions and views). Raises DatabaseError.
    """
    rows = await link.fetch(MINE + SCHEMA, list(INTERNAL), timeout=TIMEOUT)
    return {(kind, owner, name): definition or "" for kind, owner, name, definition in rows}


def tables_of(schema: Iterable[Part]) -> set[str]:
    """The names of its tables."""
    return {owner for kind, owner, _ in schema if kind == "table"}


def differences(here: Mapping[Part, str], there: Mapping[Part, str]) -> tuple[Difference, ...]:
    """In what two schemas differ; of a table that only one has, that alone."""
    found = [
        Difference(*part, here.get(part), there.get(part))
        for part in sorted({*here, *there})
        if here.get(part) != there.get(part)
    ]
    whole = {one.owner for one in found if one.kind in ("table", "view") and None in (one.here, one.there)}
    return tuple(one for one in found if one.owner not in whole or one.kind in ("table", "view"))


async def read_sizes(link: PostgresLink) -> dict[str, Size]:
    """The rows of every table: by the statistics; counted where there are none, or where they say that it is
    empty; and its bytes. Raises DatabaseError.
    """
    rows = await link.fetch(MINE + SIZES, list(INTERNAL), timeout=TIMEOUT)
    space = await _bytes(link)
    found: dict[str, Size] = {}
    until = time.monotonic() + COUNT_BUDGET
    for name, least, estimate, live in sorted(rows):
        # Live rows are counted twice where a session fills a table and analyses it at once, so the estimate
        # of ANALYZE goes first; but a table emptied since is told by them alone.
        sure = least >= 0 and estimate and live
        size = Size(estimate) if sure else await _counted(link, name, until, estimate or live)
        found[name] = structs.replace(size, bytes=space.get(name))
    return found


async def _bytes(link: PostgresLink) -> dict[str, float]:
    """What tables take on disk; nothing where that cannot be told soon: asking waits for whoever holds a
    table.
    """
    try:
        return dict(await link.fetch(MINE + BYTES, list(INTERNAL), timeout=BYTES_TIMEOUT))
    except DatabaseError as error:
        if not error.sqlstate:
            raise
        return {}


async def _counted(link: PostgresLink, table: str, until: float, about: float) -> Size:
    """The rows, counted; `about` so many where that takes too long and there is at least a guess."""
    left = until - time.monotonic()
    if left <= 0:
        return Size(about or None, why="never analysed, and there was no time left to count it")
    schema, _, name = table.partition(".")
    query = (
        f"SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {quote_name(schema)}.{quote_name(name)} LIMIT $1) t"  # noqa: S608
    )
    try:
        ((rows,),) = await link.fetch(query, COUNT_CAP, timeout=min(left, COUNT_TIMEOUT))
    except DatabaseError as error:
        if not error.sqlstate:
            raise
        what = "this user may not see all of it" if error.sqlstate == "42501" else error.what
        return Size(
            about or None, why=f"never analysed, and not to be counted: {sanitise_line(what, cap=200)}"
        )
    return Size(float(rows), counted=True, capped=rows >= COUNT_CAP)
