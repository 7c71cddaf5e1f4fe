"""A window of kept history, read: samples for a day, hours for six weeks, days beyond."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from muva_console.ops.monitoring import spread
from muva_console.ops.monitoring.model import RESTARTS, Grain, Past, Point
from muva_console.ops.monitoring.rolling import DAY, HOUR, LEVELS, SLOT
from muva_console.ops.readings import Level

_BY_SAMPLE, _BY_HOUR = timedelta(hours=26), timedelta(days=46)
"""The longest windows that are read from samples and from hours. Ours: at most 3,000 rows a series."""
_WIDTH = {Grain.SAMPLE: SLOT, Grain.HOUR: HOUR, Grain.DAY: DAY}


class _Row(NamedTuple):
    """A slot of any grain, as the file has hours and days."""

    slot: int
    known: int
    failed: int
    slow: int
    blind: int
    restarts: int
    spread: bytes


def grain_of(since: datetime, until: datetime) -> Grain:
    """What a window is read from."""
    span = until - since
    return Grain.SAMPLE if span <= _BY_SAMPLE else Grain.HOUR if span <= _BY_HOUR else Grain.DAY


def look_back(
    connection: sqlite3.Connection,
    environment: str,
    series: str,
    since: datetime,
    until: datetime,
    places: int,
) -> Past:
    """A window in `places` stretches. Hours and days count with the whole of those that the window touches.
    Raises ValueError for an empty window, sqlite3.Error.
    """
    if until <= since or places < 1:
        raise ValueError("a window ends after it begins")
    grain = grain_of(since, until)
    width = _WIDTH[grain]
    first, last = int(since.timestamp()) // width, int(until.timestamp()) // width
    places = min(places, last - first + 1)
    found = connection.execute(
        "SELECT id FROM series WHERE environment = ? AND name = ?", (environment, series)
    ).fetchone()
    rows = list(_rows(connection, grain, found[0], first, last, series == RESTARTS)) if found else []
    parts: list[list[_Row]] = [[] for _ in range(places)]
    for row in rows:
        parts[min(places - 1, (row.slot - first) * places // (last - first + 1))].append(row)
    counts = spread.added(row.spread for row in rows)
    return Past(
        environment=environment,
        series=series,
        since=since,
        until=until,
        grain=grain,
        points=tuple(_point(part) for part in parts),
        known=sum(row.known for row in rows),
        failed=sum(row.failed for row in rows),
        slow=sum(row.slow for row in rows),
        p50=spread.percentile(counts, 0.5),
        p95=spread.percentile(counts, 0.95),
        p99=spread.percentile(counts, 0.99),
        restarts=sum(row.restarts for row in rows),
        first=datetime.fromtimestamp(rows[0].slot * width, UTC) if rows else None,
    )


def _rows(
    connection: sqlite3.Connection, grain: Grain, series: int, first: int, last: int, counter: bool
) -> Iterable[_Row]:
    if grain is not Grain.SAMPLE:
        table = "hour" if grain is Grain.HOUR else "day"
        rows = connection.execute(
            f"SELECT {', '.join(_Row._fields)} FROM {table}"  # noqa: S608 - names of our own
            " WHERE series = ? AND slot BETWEEN ? AND ? ORDER BY slot",
            (series, first, last),
        )
        yield from map(_Row._make, rows)
        return
    before: float | None = None
    for slot, number, value in connection.execute(
        "SELECT slot, level, value FROM sample WHERE series = ? AND slot BETWEEN ? AND ? ORDER BY slot",
        (series, first, last),
    ):
        level = LEVELS[number]
        rise = 0
        if counter and value is not None:
            rise = 0 if before is None else int(value - before) if value >= before else int(value)
            before = value
        told = spread.packed({spread.bucket(value): 1}) if value is not None and not counter else b""
        unknown = level is Level.UNKNOWN
        failed, slow = level is Level.FAIL, level is Level.WARN
        yield _Row(slot, int(not unknown), int(failed), int(slow), int(unknown), rise, told)


def _point(rows: Sequence[_Row]) -> Point:
    if not rows:
        return Point()
    known, failed = sum(row.known for row in rows), sum(row.failed for row in rows)
    slow, blind = sum(row.slow for row in rows), sum(row.blind for row in rows)
    level = (
        Level.FAIL
        if failed
        else Level.UNKNOWN
        if blind and not known
        else Level.WARN
        if slow
        else Level.OK
        if known
        else None
    )
    return Point(
        known=known,
        failed=failed,
        level=level,
        p95=spread.percentile(spread.added(row.spread for row in rows), 0.95),
        restarts=sum(row.restarts for row in rows),
    )
