"""How bad a hazard is where it is going: the same statement on an empty table and on ten million rows is not
the same news.

The thresholds are ours. A sequential scan reads some 100 MB and a rewrite or an index build writes some
30 MB a second on a small cloud disk: a thousand rows are done before anybody notices, a hundred thousand in
about a second, and everybody who needs the table queues behind the lock from its first moment on. What is
not known counts as large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.migrations.catalog import Size
from muva_console.ops.readings import Level, worst

SMALL_ROWS, SMALL_BYTES = 1_000, 10 * 1024 * 1024
"""Below both, time under a lock is no news."""
LARGE_ROWS, LARGE_BYTES = 100_000, 1024 * 1024 * 1024
"""From either on, it is an outage."""
HUGE_ROWS, HUGE_BYTES = 10_000_000, 100 * 1024 * 1024 * 1024
"""From either on, even a lock of a moment is waited for: some query always runs, and all others queue."""


class Weight(StrEnum):
    """What a hazard's level hangs on."""

    TIME = "time under a lock"
    """By size: ok, warn, fail."""
    MOMENT = "a lock of a moment"
    """Warn unless the tables are known to be below `LARGE_ROWS`."""
    HUGE = "a lock of a moment on a huge table"
    """Warn where the table is known to be huge; else no news at all."""
    WORK = "long work, no lock that blocks others"
    """Warn where the table is known to be large, or not known; else no news."""
    LOSS = "data is lost"
    """Fail unless the table is known to be empty, then warn."""
    BREAKS = "running code breaks"
    """Fail unless the table is known to be empty, then warn."""
    CERTAIN = "it fails, or it does harm whatever the size"
    """Fail."""
    UNSEEN = "it cannot be told"
    """Unknown."""
    CARE = "worth a look"
    """Warn."""


class Weighed(Struct, frozen=True, kw_only=True):
    """A table and its size, as a hazard tells it."""

    table: str
    rows: float | None = None
    """None: unknown, and taken as large."""
    bytes: float | None = None
    told: str = ""
    """``public.bookings (12,400,000 rows, 3.1 GiB)``."""

    @property
    def is_empty(self) -> bool:
        """Known to hold nothing."""
        return self.rows == 0

    @property
    def is_small(self) -> bool:
        """Known to be small."""
        return self.rows is not None and self.rows < SMALL_ROWS and (self.bytes or 0) < SMALL_BYTES

    @property
    def is_large(self) -> bool:
        """Large, or not known."""
        return self.rows is None or self.rows >= LARGE_ROWS or (self.bytes or 0) >= LARGE_BYTES

    @property
    def is_huge(self) -> bool:
        """Known to be huge."""
        return is_huge(self.rows, self.bytes)


def is_huge(rows: float | None, size: float | None) -> bool:
    """Whether so many rows, and bytes, are known to be huge."""
    return rows is not None and (rows >= HUGE_ROWS or (size or 0) >= HUGE_BYTES)


class Scales:
    """Sizes of the tables where a file is going to, by ``schema.name``; None: nothing is known."""

    def __init__(self, sizes: Mapping[str, Size] | None, environment: str = "") -> None:
        self._sizes = sizes
        self._where = f" in {environment}" if environment else ""
        self._weighed: dict[tuple[str, bool], Weighed] = {}
        self.any_huge = any(is_huge(size.rows, size.bytes) for size in (sizes or {}).values())
        """Some table is known to be huge."""

    def size(self, table: str, *, is_new: bool = False) -> Weighed:
        """A table's size. `is_new`: an earlier file of those that are going makes it."""
        found = self._weighed.get((table, is_new))
        if found is None:
            found = self._weighed[table, is_new] = self._weigh(table, is_new)
        return found

    def _weigh(self, table: str, is_new: bool) -> Weighed:
        name = table or "a table"
        if self._sizes is None:
            return Weighed(table=table, told=f"{name} (size unknown, taken as large)")
        size = self._sizes.get(table)
        if size is None and is_new:
            return Weighed(table=table, rows=0, bytes=0, told=f"{name} (made by these migrations)")
        if size is None:
            why = f"no such table{self._where}" if table else "size unknown"
            return Weighed(table=table, told=f"{name} ({why}, taken as large)")
        if size.rows is None:
            return Weighed(
                table=table,
                bytes=size.bytes,
                told=f"{name} (size unknown: {size.why or 'no statistics'}; taken as large)",
            )
        least = "at least " if size.capped else ""
        about = "" if size.counted or not size.rows else "about "
        space = f", {spell_bytes(size.bytes)}" if size.bytes else ""
        rows = "no rows" if not size.rows else f"{least or about}{size.rows:,.0f} rows{space}"
        return Weighed(table=table, rows=size.rows, bytes=size.bytes, told=f"{name} ({rows}{self._where})")


def weigh(weight: Weight, tables: Iterable[Weighed]) -> Level | None:
    """The level; None where it is no news."""
    found = list(tables) or [Weighed(table="")]
    match weight:
        case Weight.CERTAIN:
            return Level.FAIL
        case Weight.UNSEEN:
            return Level.UNKNOWN
        case Weight.CARE:
            return Level.WARN
        case Weight.TIME:
            return worst(_of_time(one) for one in found)
        case Weight.MOMENT:
            return Level.WARN if any(one.is_large for one in found) else Level.OK
        case Weight.WORK:
            return Level.WARN if any(one.is_large for one in found) else None
        case Weight.HUGE:
            return Level.WARN if any(one.is_huge for one in found) else None
        case Weight.LOSS | Weight.BREAKS:
            return Level.WARN if all(one.is_empty for one in found) else Level.FAIL


def _of_time(one: Weighed) -> Level:
    if one.is_small:
        return Level.OK
    return Level.FAIL if one.is_large else Level.WARN


def spell_bytes(size: float) -> str:
    """``3.1 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
