"""One reading of a database over an open connection, in eight round trips.

Everything happens in one READ ONLY transaction with limits set for that transaction alone: so it is
right behind a pooler in transaction mode too, where what is set for a session would stay with the
server's connection and reach the application.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from muva_console.ops.links.answers import BlockedQuery, DatabaseReading, LongQuery, TableAnswer
from muva_console.ops.links.sqltext import mask, quote_table, split_table
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import asyncpg

STATEMENT_TIMEOUT = 5.0
"""Seconds that one statement may take on the server. Ours."""
LOCK_TIMEOUT = 0.5
"""Seconds that reading a table may wait for a lock: longer is "not readable" to a user too. Ours."""
PINGS = 3
LISTED = 20
"""Long and blocked queries that are listed at most, the longest first."""

_BEGIN = (
    "BEGIN TRANSACTION READ ONLY; "
    f"SET LOCAL statement_timeout = '{int(STATEMENT_TIMEOUT * 1000)}ms'; "
    f"SET LOCAL lock_timeout = '{int(LOCK_TIMEOUT * 1000)}ms'"
)

# waitstart came with Postgres 14, hence to_jsonb. Sessions of others show NULL to a user without
# pg_monitor: they are counted by their database then.
_STATE = f"""
WITH activity AS MATERIALIZED (
  SELECT pid, datid, usename, application_name, state, query, wait_event_type, backend_type,
         CASE WHEN state = 'active' THEN query_start ELSE xact_start END AS began, query_start
    FROM pg_catalog.pg_stat_activity
), lengthy AS (
  SELECT pid, left(query, 2000) AS query, state, usename AS user, application_name AS application,
         extract(epoch FROM pg_catalog.clock_timestamp() - began)::float8 AS running
    FROM activity
   WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_catalog.pg_backend_pid()
     AND pg_catalog.clock_timestamp() - began > $1::float8 * interval '1 second'
   ORDER BY began LIMIT {LISTED}
), held AS (
  SELECT a.pid, left(a.query, 2000) AS query, b.pids AS blockers,
         extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(
           (SELECT min((pg_catalog.to_jsonb(l) ->> 'waitstart')::timestamptz)
              FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND NOT l.granted),
           a.query_start))::float8 AS waiting,
         (SELECT pg_catalog.json_agg(left(o.query, 2000) ORDER BY o.pid)
            FROM activity o WHERE o.pid = ANY (b.pids)) AS blocker_queries
    FROM activity a, LATERAL (SELECT pg_catalog.pg_blocking_pids(a.pid) AS pids OFFSET 0) b
   WHERE a.wait_event_type = 'Lock' AND pg_catalog.cardinality(b.pids) > 0
   ORDER BY waiting DESC LIMIT {LISTED}
), sizes AS (
  SELECT t.place, c.reltuples::float8 AS rows
    FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS t(schema, name, place)
    JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
)
SELECT pg_catalog.json_build_object(
  'version', pg_catalog.current_setting('server_version'),
  'max_connections', pg_catalog.current_setting('max_connections')::int,
  'connections', (SELECT count(*) FROM activity
                   WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)),
  'in_recovery', pg_catalog.pg_is_in_recovery(),
  'long', (SELECT coalesce(pg_catalog.json_agg(lengthy), '[]') FROM lengthy),
  'waiting', (SELECT coalesce(pg_catalog.json_agg(held), '[]') FROM held),
  'rows', (SELECT coalesce(pg_catalog.json_object_agg(place, rows), '{{}}') FROM sizes)
)::text
"""  # noqa: S608 - the one thing filled in is a number of ours


async def read_database(
    connection: asyncpg.Connection, *, critical_tables: Sequence[str], long_query: float
) -> DatabaseReading:
    """Read everything once. Raises what asyncpg raises; the caller then throws the connection away."""
    began = time.perf_counter()
    pings: list[float] = []
    for _ in range(PINGS):
        start = time.perf_counter()
        await connection.execute("SELECT 1")
        pings.append((time.perf_counter() - start) * 1000)
    schemas, names = (
        zip(*(split_table(table) for table in critical_tables), strict=True) if critical_tables else ((), ())
    )
    await connection.execute(_BEGIN)
    text = await connection.fetchval(_STATE, float(long_query), list(schemas), list(names))
    told: dict[str, Any] = msgspec.json.decode(text)
    tables = await _read_tables(connection, critical_tables, told["rows"])
    await connection.execute("ROLLBACK")
    return DatabaseReading(
        at=utc_now(),
        latency_ms=statistics.median(pings),
        version=sanitise_line(told["version"], cap=60),
        connections=told["connections"],
        max_connections=told["max_connections"],
        in_recovery=told["in_recovery"],
        long_queries=tuple(_long(one) for one in told["long"]),
        blocked=tuple(_blocked(one) for one in told["waiting"]),
        tables=tables,
        took_ms=(time.perf_counter() - began) * 1000,
    )


async def fetch_rows(
    connection: asyncpg.Connection, sql: str, arguments: Sequence[object], *, limit: int, timeout: float
) -> list[tuple[Any, ...]]:
    """The rows of one query, at most one more than `limit`; `timeout` (s) holds on the server. Raises what
    asyncpg raises, the transaction then still open.
    """
    # row_security off: rows that a policy hides raise an error, for a count without them would be wrong
    await connection.execute(
        "BEGIN TRANSACTION READ ONLY; "
        f"SET LOCAL statement_timeout = '{max(1, int(timeout * 1000))}ms'; "
        f"SET LOCAL lock_timeout = '{int(LOCK_TIMEOUT * 1000)}ms'; "
        "SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off"
    )
    rows = await (await connection.cursor(sql, *arguments)).fetch(limit + 1)
    await connection.execute("ROLLBACK")
    return [tuple(row) for row in rows]


async def _read_tables(
    connection: asyncpg.Connection, tables: Sequence[str], rows: Mapping[str, float]
) -> tuple[TableAnswer, ...]:
    """All tables in one round trip; one at a time only when that fails, to tell which."""
    import asyncpg

    errors: dict[str, str] = {}
    try:
        await connection.execute(_savepoint(tables))
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK TO SAVEPOINT muva")
        for table in tables:
            try:
                await connection.execute(_savepoint([table]))
            except asyncpg.PostgresError as error:
                await connection.execute("ROLLBACK TO SAVEPOINT muva")
                errors[table] = _why(error)
    return tuple(
        TableAnswer(
            name=table,
            readable=table not in errors,
            error=errors.get(table, ""),
            estimated_rows=_estimate(rows.get(str(place))),
        )
        for place, table in enumerate(tables, start=1)
    )


def _savepoint(tables: Sequence[str]) -> str:
    # names cannot be parameters; quote_table makes any text a name
    reads = "".join(f"SELECT 1 FROM {quote_table(table)} LIMIT 1; " for table in tables)  # noqa: S608
    return f"SAVEPOINT muva; {reads}RELEASE SAVEPOINT muva"


def _why(error: Exception) -> str:
    """In a colleague's words where the words are ours to choose; the server's, sanitised, where not."""
    match getattr(error, "sqlstate", ""):
        case "42501":
            return "this user may not read it"
        case "42P01" | "3F000":
            return "there is no such table"
        case "55P03":
            return f"locked: somebody held it for longer than {LOCK_TIMEOUT:g} s"
        case "57014":
            return f"reading a single row took longer than {STATEMENT_TIMEOUT:g} s"
        case _:
            return sanitise_line(str(error), cap=200)


def _estimate(rows: float | None) -> int | None:
    """The planner's estimate; -1 is Postgres's word for a table that was never analysed."""
    return None if rows is None or rows < 0 else int(rows)


def _long(one: Mapping[str, Any]) -> LongQuery:
    return LongQuery(
        pid=one["pid"],
        query=mask(one["query"] or ""),
        running=one["running"],
        state=sanitise_line(one["state"] or "", cap=60),
        user=sanitise_line(one["user"] or "", cap=63),
        application=sanitise_line(one["application"] or "", cap=63),
    )


def _blocked(one: Mapping[str, Any]) -> BlockedQuery:
    return BlockedQuery(
        pid=one["pid"],
        query=mask(one["query"] or ""),
        waiting=max(0.0, one["waiting"] or 0.0),
        blockers=tuple(dict.fromkeys(one["blockers"])),
        blocker_queries=tuple(mask(query or "") for query in one["blocker_queries"] or ()),
    )
