"""A year of samples for three environments, looked at and plotted; error lines made patterns; and what a
round of the monitor costs the hosts.

The peers: reading the samples themselves of the same file (what a history without roll-ups would do), and a
plain loop over the same lines that counts them unmasked.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.report import Figure, median
from muva_console.ops.logs.patterns import template
from muva_console.ops.monitoring import spread
from muva_console.ops.monitoring.looking_back import look_back
from muva_console.ops.monitoring.model import API
from muva_console.ops.monitoring.schema import FILE, connect
from muva_console.widgets.plot import plot

DAYS, STEP, PLACES = 365, 30, 120
NAMES = ("dev", "staging", "production")
BAR_MS = 200.0
LINES, BAR_LINES = 100_000, 50_000


async def measure() -> list[Figure]:
    """Two figures."""
    return [_year(), _patterns()]


def _year() -> Figure:
    until = datetime.now(UTC)
    since = until - timedelta(days=DAYS)
    with tempfile.TemporaryDirectory(prefix="muva-b-") as folder:
        connection = connect(Path(folder) / FILE)
        _fill(connection, since, until)
        ours, peers = [], []
        for _ in range(5):
            began = time.perf_counter()
            for name in NAMES:
                past = look_back(connection, name, API, since, until, PLACES)
                assert past.known > DAYS * 2880 * 0.99
                assert past.p99 is not None
                plot(
                    [point.p95 for point in past.points],
                    120,
                    20,
                    levels=[point.level for point in past.points],
                )
            ours.append((time.perf_counter() - began) * 1000)
        for _ in range(2):
            began = time.perf_counter()
            for number in range(len(NAMES)):
                values = [
                    row[0]
                    for row in connection.execute(
                        "SELECT value FROM sample WHERE series = ? AND value IS NOT NULL", (number + 1,)
                    )
                ]
                values.sort()
            peers.append((time.perf_counter() - began) * 1000)
        connection.close()
    mine, peer = median(ours), median(peers)
    return Figure(
        "a year of 30 s samples, three environments, plotted",
        f"{mine:.0f} ms",
        f"{peer:.0f} ms the samples",
        mine / peer,
        "≤ 200 ms",
        mine <= BAR_MS,
    )


def _fill(connection: object, since: datetime, until: datetime) -> None:
    """The same rows as the console writes, made at once: a million at a time is not what it is for."""
    chance = random.Random(7)
    begin, end = int(since.timestamp()) // STEP, int(until.timestamp()) // STEP
    execute, many = connection.execute, connection.executemany  # type: ignore[attr-defined]
    execute("BEGIN")
    for number, name in enumerate(NAMES, 1):
        execute("INSERT INTO series (id, environment, name) VALUES (?, ?, ?)", (number, name, API))
        values = [80 + 40 * chance.random() ** 4 for _ in range(4096)]
        failed = {slot for slot in range(begin, end) if slot % 20_011 < 5}
        many(
            "INSERT INTO sample VALUES (?, ?, ?, ?)",
            (
                (number, slot, 3, None) if slot in failed else (number, slot, 0, values[slot % 4096])
                for slot in range(begin, end)
            ),
        )
        places = [spread.bucket(value) for value in values]
        for table, width in (("hour", 3600 // STEP), ("day", 86_400 // STEP)):
            rows = []
            for first in range(begin // width, end // width + 1):
                slots = range(max(begin, first * width), min(end, (first + 1) * width))
                bad = sum(slot in failed for slot in slots)
                counts = Counter(places[slot % 4096] for slot in slots if slot not in failed)
                rows.append((number, first, len(slots), bad, 0, 0, 0, spread.packed(counts)))
            many(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    execute("COMMIT")


def _patterns() -> Figure:
    chance = random.Random(11)
    shapes = (
        "Error: connect ECONNREFUSED 10.0.0.{}:5432",
        "TypeError: Cannot read properties of undefined (reading 'guest')",
        "[2025-11-05T03:10:{}] request 7f3a9c{} failed with status 500 after {} ms",
        "GET /api/bookings/{} 500 in 38 ms",
        'error: duplicate key value violates unique constraint "bookings_pkey" ({})',
        "slow query ({} ms): select * from bookings where id = '{}'",
    )
    lines = [chance.choice(shapes).replace("{}", str(chance.randrange(10, 99_999))) for _ in range(LINES)]
    began = time.perf_counter()
    found = Counter(template(line) for line in lines)
    mine = LINES / (time.perf_counter() - began)
    assert len(found) <= 2 * len(shapes)
    began = time.perf_counter()
    plain = Counter(line.split()[0] for line in lines)
    peer = LINES / (time.perf_counter() - began)
    assert plain
    return Figure(
        "error lines made patterns",
        f"{mine:,.0f} lines/s",
        f"{peer:,.0f} first words",
        mine / peer,
        "≥ 50,000 lines/s",
        mine >= BAR_LINES,
    )
