"""What data statements would lose, counted where they are going to run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from muva_console.ops.health.words import count
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.sqltext import quote_name, quote_table
from muva_console.ops.migrations.catalog import Size
from muva_console.ops.migrations.deeds import Deed, Do, Read
from muva_console.ops.migrations.text import in_parser

COUNT_TIMEOUT = 2.0
"""Seconds for counting one table. Ours."""
BUDGET = 10.0
"""Seconds for counting all of them. Ours."""


async def losses(
    link: PostgresLink, texts: Mapping[str, bytes], sizes: Mapping[str, Size]
) -> tuple[str, ...]:
    """A line for each thing that these texts (by path) would take data away from, with how much of it there
    is now; and one for each statement that cannot be looked into. `sizes` are the tables that are there.
    """
    from muva_console.ops.migrations.reading import read

    found: list[str] = []
    until = time.monotonic() + BUDGET
    reads: dict[str, Read] = await in_parser(lambda: {path: read(text) for path, text in texts.items()})
    for path, seen in reads.items():
        for statement in seen.statements:
            where = f"{path} line {statement.line}"
            if not statement.known or any(deed.do is Do.OPAQUE for deed in statement.deeds):
                found.append(f"{where}: what {statement.kind} takes away cannot be told")
                continue
            lost = [await _loss(link, deed, sizes, until) for deed in statement.deeds]
            found += [f"{where}: {line}" for line in lost if line]
    return tuple(found)


async def _loss(link: PostgresLink, deed: Deed, sizes: Mapping[str, Size], until: float) -> str:
    behind = ", and what hangs on it goes too" if "cascade" in deed.marks else ""
    match deed.do:
        case Do.DROP if deed.type in ("TABLE", "FOREIGN_TABLE") and deed.on in sizes:
            return f"DROP TABLE {deed.on} loses {await _rows(link, deed.on, sizes, until)}{behind}"
        case Do.DROP if deed.type == "SCHEMA":
            inside = [name for name in sizes if name.startswith(f"{deed.on}.")]
            return f"DROP SCHEMA {deed.on} loses {count(len(inside), 'table')}{_some(inside)}"
        case Do.DROP if deed.type == "MATVIEW":
            return f"DROP MATERIALIZED VIEW {deed.on}: what it holds must be made anew"
        case Do.DROP_COLUMN if deed.on in sizes:
            values = await _values(link, deed.on, deed.name, until)
            return f"DROP COLUMN {deed.name} of {deed.on} loses {values}{behind}"
        case Do.TRUNCATE if deed.on in sizes:
            return f"TRUNCATE {deed.on} loses {await _rows(link, deed.on, sizes, until)}{behind}"
        case Do.DELETE:
            which = "all rows" if "all" in deed.marks else "rows"
            return f"DELETE takes {which} of {deed.on}, which has {await _rows(link, deed.on, sizes, until)}"
        case Do.SET_TYPE if deed.on in sizes:
            return f"{deed.name} of {deed.on} gets another type: a value may lose what that cannot hold"
    return ""


async def _rows(link: PostgresLink, table: str, sizes: Mapping[str, Size], until: float) -> str:
    """``50 rows``, counted; ``about 1,200,000 rows`` where that takes too long."""
    try:
        rows = await _counted(link, f"SELECT pg_catalog.count(*) FROM {quote_table(table)}", until)  # noqa: S608
    except DatabaseError:
        size = sizes.get(table)
        known = size is not None and size.rows is not None
        return f"about {size.rows:,.0f} rows" if known and size else "rows that could not be counted"
    return count(rows, "row")


async def _values(link: PostgresLink, table: str, column: str, until: float) -> str:
    name = quote_name(column)
    try:
        values = await _counted(
            link,
            f"SELECT pg_catalog.count({name}) FROM {quote_table(table)}",  # noqa: S608 - quoted names
            until,
        )
    except DatabaseError as error:
        if error.sqlstate == "42703":
            return "nothing: there is no such column"
        return "values that could not be counted"
    return count(values, "value")


async def _counted(link: PostgresLink, sql: str, until: float) -> int:
    ((rows,),) = await link.fetch(sql, timeout=max(0.05, min(COUNT_TIMEOUT, until - time.monotonic())))
    return int(rows)


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return f": {', '.join(listed[:5])}" + (" …" if len(listed) > 5 else "") if listed else ""
