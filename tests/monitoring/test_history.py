"""What is kept counts once, whoever brings it, and an hour and a day are the sums of their samples."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.errors import OpsError
from muva_console.ops.monitoring import rolling, spread
from muva_console.ops.monitoring.history import HealthHistory
from muva_console.ops.monitoring.looking_back import grain_of, look_back
from muva_console.ops.monitoring.model import API, RESTARTS, Budget, Grain, Measured, Past
from muva_console.ops.monitoring.rolling import Rolls
from muva_console.ops.monitoring.schema import FILE, connect
from muva_console.ops.readings import Level

T = TypeVar("T")
AT = datetime(2026, 3, 1, tzinfo=UTC)
TIMES = st.floats(0.2, 60_000)
LEVELS = st.sampled_from([Level.OK, Level.WARN, Level.FAIL, Level.UNKNOWN])


def sample(
    second: float,
    level: Level = Level.OK,
    value: float | None = 80.0,
    series: str = API,
    *,
    of: datetime = AT,
) -> Measured:
    return Measured(
        environment="production",
        series=series,
        at=of + timedelta(seconds=second),
        level=level,
        value=value,
    )


def kept(path: Path, *samples: Measured) -> sqlite3.Connection:
    connection = connect(path / FILE)
    Rolls(connection).add(samples)
    return connection


def look(connection: sqlite3.Connection, days: float, series: str = API, places: int = 10) -> Past:
    return look_back(connection, "production", series, AT, AT + timedelta(days=days), places)


@given(st.lists(TIMES, min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_of_a_spread_is_at_most_five_per_cent_off(values: list[float], share: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        counts[spread.bucket(value)] = counts.get(spread.bucket(value), 0) + 1
    told = spread.percentile(counts, share)
    assert told is not None
    ranked = sorted(values)
    nearest = ranked[max(1, -(-int(share * 1000) * len(values) // 1000)) - 1]
    assert abs(told - nearest) <= 0.051 * nearest + 0.01


@given(st.dictionaries(st.integers(0, 200), st.integers(1, 2**32 - 1)))
def test_a_spread_is_packed_and_unpacked(counts: dict[int, int]) -> None:
    assert spread.unpacked(spread.packed(counts)) == counts
    assert spread.unpacked(spread.packed(counts) + b"\x01\x02") == counts  # torn at its end


@settings(max_examples=60, deadline=None)
@given(
    looks=st.lists(
        st.tuples(st.integers(0, 400), LEVELS, st.one_of(st.none(), TIMES)), min_size=1, max_size=60
    )
)
def test_hours_and_days_are_what_the_samples_add_up_to(
    looks: list[tuple[int, Level, float | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    # several consoles: many looks fall into one slot, in any order
    folder = tmp_path_factory.mktemp("history")
    connection = kept(folder, *(sample(slot * 300 / 10, level, value) for slot, level, value in looks))
    rows = connection.execute("SELECT level, value FROM sample").fetchall()
    levels = [rolling.LEVELS[level] for level, _ in rows]
    for table in ("hour", "day"):
        known, failed, slow, blind = connection.execute(
            f"SELECT sum(known), sum(failed), sum(slow), sum(blind) FROM {table}"
        ).fetchone()
        assert failed == levels.count(Level.FAIL)
        assert slow == levels.count(Level.WARN)
        assert blind == levels.count(Level.UNKNOWN)
        assert known == len(levels) - blind
        spreads = [row[0] for row in connection.execute(f"SELECT spread FROM {table}")]
        assert sum(spread.added(spreads).values()) == sum(value is not None for _, value in rows)
    by_slot: dict[int, int] = {}
    for slot, level, _ in looks:
        place = int((AT.timestamp() + slot * 30) // rolling.SLOT)
        by_slot[place] = max(by_slot.get(place, -1), rolling.LEVELS.index(level))
    assert dict(connection.execute("SELECT slot, level FROM sample").fetchall()) == by_slot
    connection.close()


def test_two_consoles_that_look_at_the_same_time_count_once_and_the_worse_news_stays(tmp_path: Path) -> None:
    connection = kept(tmp_path, sample(1), sample(9, Level.FAIL, None), sample(12))
    past = look(connection, 1)
    assert (past.known, past.failed, past.availability) == (1, 1, 0.0)


def test_a_gap_stays_a_gap_and_what_was_not_answered_is_not_known(tmp_path: Path) -> None:
    connection = kept(tmp_path, sample(0), sample(12 * 3600 + 60, Level.UNKNOWN, None))
    past = look(connection, 1, places=24)
    levels = [point.level for point in past.points]
    assert levels == [Level.OK, *[None] * 11, Level.UNKNOWN, *[None] * 11]
    assert past.known == 1
    assert past.availability == 1.0


def test_restarts_are_counted_from_counters_once_and_a_counter_set_back_begins_anew(tmp_path: Path) -> None:
    counters = [(0, 3), (30, 3), (60, 5), (65, 5), (90, 5), (120, 1), (150, 4)]
    samples = [sample(at, value=float(value), series=RESTARTS) for at, value in counters]
    connection = kept(tmp_path, *samples)
    assert look(connection, 1, RESTARTS).restarts == 2 + 1 + 3
    assert look(connection, 30, RESTARTS).restarts == 2 + 1 + 3
    assert look(connection, 1, RESTARTS).p95 is None  # a counter is no time


def test_windows_are_read_from_samples_then_hours_then_days() -> None:
    assert grain_of(AT, AT + timedelta(days=1)) is Grain.SAMPLE
    assert grain_of(AT, AT + timedelta(days=30)) is Grain.HOUR
    assert grain_of(AT, AT + timedelta(days=365)) is Grain.DAY


def test_old_samples_go_and_what_they_added_up_to_stays(tmp_path: Path) -> None:
    connection = kept(tmp_path, sample(0), sample(40 * 86_400))
    Rolls(connection).prune((AT + timedelta(days=41)).timestamp())
    assert connection.execute("SELECT count(*) FROM sample").fetchone()[0] == 1
    assert look(connection, 41).known == 2
    Rolls(connection).prune((AT + timedelta(days=500)).timestamp())
    assert look(connection, 365).known == 2


def test_the_budget_is_what_is_left_of_the_failures_that_are_allowed() -> None:
    budget = Budget(target=0.99, days=30, known=1000, failed=5)
    assert budget.left == pytest.approx(0.5)
    assert Budget(target=0.99, days=30, known=1000, failed=20).left == pytest.approx(-1.0)
    assert Budget(target=0.99, days=30, known=0, failed=0).left is None


async def using(directory: Path, work: Callable[[HealthHistory], Awaitable[T]]) -> T:
    history = HealthHistory(directory)
    try:
        return await work(history)
    finally:
        await history.close()


async def test_a_window_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends after"):
        await using(tmp_path, lambda history: history.past("production", API, AT, AT))


async def test_several_consoles_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    today = datetime.now(UTC) - timedelta(hours=2)  # what is older than it is kept is forgotten meanwhile

    async def one(number: int) -> None:
        async def work(history: HealthHistory) -> None:
            for step in range(20):
                await history.add([sample((step * 5 + number) * 30, of=today)])

        await using(tmp_path, work)

    await asyncio.gather(*(one(number) for number in range(5)))
    past = await using(tmp_path, lambda h: h.past("production", API, today, today + timedelta(days=1)))
    assert past.known == 100


async def test_a_file_of_another_program_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    with pytest.raises(OpsError, match="another program's") as told:
        await using(tmp_path, lambda history: history.add([sample(0)]))
    assert str(tmp_path / FILE) in str(told.value)


async def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(OpsError) as told:
        await using(tmp_path, lambda history: history.add([sample(0)]))
    assert "moved away" in told.value.next


async def test_a_newer_consoles_file_is_not_written(tmp_path: Path) -> None:
    connect(tmp_path / FILE).execute("PRAGMA user_version = 99")
    with pytest.raises(OpsError, match="schema 99"):
        await using(tmp_path, lambda history: history.add([sample(0)]))
