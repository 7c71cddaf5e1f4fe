"""Samples written down and rolled up: each counts once in its hour and in its day, whoever brings it.

Of two samples of one slot (two consoles look at the same time) the worse one stays, and of equals the slower;
what it replaces is taken out of the hour and the day again. Blocks: for the history's own thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from muva_console.ops.monitoring import spread
from muva_console.ops.monitoring.model import RESTARTS, Measured
from muva_console.ops.readings import Level

SLOT, HOUR, DAY = 30, 3600, 86_400
"""Seconds."""
SAMPLES_KEPT, HOURS_KEPT = 8 * DAY, 400 * DAY
"""Seconds for which samples and hours are kept; days stay."""
LEVELS = (Level.OK, Level.WARN, Level.UNKNOWN, Level.FAIL)
"""In the order of how bad they are; the number in the file is the place here."""
ROLLS = (("hour", HOUR), ("day", DAY))


class Rolls:
    """Writes on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._series: dict[tuple[str, str], int] = {}

    def add(self, samples: Iterable[Measured]) -> None:
        """Write samples in one transaction: all or none. Raises sqlite3.Error."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for one in samples:
                self._add(one)
            connection.execute("COMMIT")
        except BaseException:
            self._series.clear()  # a series that was made in it is gone with it
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def prune(self, now: float) -> None:
        """Forget samples and hours that are older than they are kept (`now`: seconds since 1970)."""
        for table, width, kept in (("sample", SLOT, SAMPLES_KEPT), ("hour", HOUR, HOURS_KEPT)):
            border = int(now - kept) // width
            self._connection.execute(f"DELETE FROM {table} WHERE slot < ?", (border,))  # noqa: S608

    def _add(self, one: Measured) -> None:
        series = self._series_of(one.environment, one.series)
        second = one.at.timestamp()
        slot = int(second) // SLOT
        level = LEVELS.index(one.level)
        before = self._connection.execute(
            "SELECT level, value FROM sample WHERE series = ? AND slot = ?", (series, slot)
        ).fetchone()
        if before is not None and not _worse((level, one.value), before):
            return
        counter = one.series == RESTARTS
        rise = self._rise(series, slot, one.value) if counter else 0
        if before is not None and counter and before[1] is not None and one.value is not None:
            rise = max(0, int(one.value - before[1]))
        self._connection.execute(
            "INSERT OR REPLACE INTO sample (series, slot, level, value) VALUES (?, ?, ?, ?)",
            (series, slot, level, one.value),
        )
        for table, width in ROLLS:
            self._roll(table, series, int(second) // width, (level, one.value), before, rise, counter)

    def _rise(self, series: int, slot: int, value: float | None) -> int:
        """By how much a counter has grown since the sample before; one that was set back begins anew."""
        if value is None:
            return 0
        last = self._connection.execute(
            "SELECT value FROM sample WHERE series = ? AND slot < ? AND value IS NOT NULL"
            " ORDER BY slot DESC LIMIT 1",
            (series, slot),
        ).fetchone()
        if last is None:
            return 0
        return int(value - last[0]) if value >= last[0] else int(value)

    def _roll(
        self,
        table: str,
        series: int,
        slot: int,
        now: tuple[int, float | None],
        before: tuple[int, float | None] | None,
        rise: int,
        counter: bool,
    ) -> None:
        row = self._connection.execute(
            f"SELECT known, failed, slow, blind, restarts, spread FROM {table}"  # noqa: S608
            " WHERE series = ? AND slot = ?",
            (series, slot),
        ).fetchone() or (0, 0, 0, 0, 0, b"")
        known, failed, slow, blind, restarts, data = row
        counts = spread.unpacked(data)
        for (level, value), sign in ((now, 1), *(((before, -1),) if before is not None else ())):
            is_known = LEVELS[level] is not Level.UNKNOWN
            known += sign * is_known
            blind += sign * (not is_known)
            failed += sign * (LEVELS[level] is Level.FAIL)
            slow += sign * (LEVELS[level] is Level.WARN)
            if value is not None and not counter:
                place = spread.bucket(value)
                counts[place] = counts.get(place, 0) + sign
        self._connection.execute(
            f"INSERT OR REPLACE INTO {table}"  # noqa: S608
            " (series, slot, known, failed, slow, blind, restarts, spread) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (series, slot, known, failed, slow, blind, restarts + rise, spread.packed(counts)),
        )

    def _series_of(self, environment: str, name: str) -> int:
        key = (environment, name)
        if key not in self._series:
            self._connection.execute(
                "INSERT OR IGNORE INTO series (environment, name) VALUES (?, ?)", (environment, name)
            )
            found = self._connection.execute(
                "SELECT id FROM series WHERE environment = ? AND name = ?", (environment, name)
            ).fetchone()
            self._series[key] = found[0]
        return self._series[key]


def _worse(now: tuple[int, float | None], before: tuple[int, float | None]) -> bool:
    """Whether a sample takes the place of the one that its slot has."""
    if now[0] != before[0]:
        return now[0] > before[0]
    return (now[1] or 0.0) > (before[1] or 0.0)
