"""The calendar of [window]: what the clock on the wall says, over midnight and over changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.config.release import Window
from muva_console.ops.errors import OpsError
from muva_console.ops.release.calendar import Calendar, State, read_window

MINUTE = timedelta(minutes=1)
# clocks put forward and back, by an hour and by half of one, at midnight, and to the day before; none at all
ZONES = (
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "America/Havana",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Santiago",
    "Pacific/Chatham",
)
_CHANGES = {
    "Europe/Madrid": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/New_York": [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)],
    "America/Havana": [datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC)],
    "Atlantic/Azores": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/Santiago": [datetime(2026, 4, 5, 3, tzinfo=UTC), datetime(2026, 9, 6, 4, tzinfo=UTC)],
}

clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
spans = st.tuples(clocks, clocks).filter(lambda span: span[0] != span[1])
calendars = st.builds(
    lambda zone, hours, days, freeze: Calendar(
        zone=ZoneInfo(zone), hours=hours, days=frozenset(days), freeze=freeze
    ),
    st.sampled_from(ZONES),
    st.lists(spans, max_size=3).map(tuple),
    st.sets(st.integers(0, 6), max_size=6),
    st.lists(st.integers(0, 400).map(lambda n: (date(2026, 1, 1) + timedelta(days=n),) * 2), max_size=2).map(
        tuple
    ),
)


def naive(calendar: Calendar, at: datetime) -> State:
    """What a person would say who looks at the clock: every window of today and of yesterday, in full."""
    wall = at.astimezone(calendar.zone).replace(tzinfo=None)
    if any(first <= wall.date() <= last for first, last in calendar.freeze):
        return State.FROZEN
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        if calendar.days and day.weekday() not in calendar.days:
            continue
        for begin, end in calendar.hours or ((time(), time()),):
            opens = datetime.combine(day, begin)
            closes = datetime.combine(day if begin < end else day + timedelta(days=1), end)
            if opens <= wall < closes:
                return State.OPEN
    return State.CLOSED


@given(calendars, st.data())
@settings(max_examples=25, deadline=None)
def test_the_state_and_its_end_are_what_a_clock_minute_by_minute_tells(
    calendar: Calendar, data: st.DataObject
) -> None:
    around = data.draw(st.sampled_from(_CHANGES.get(str(calendar.zone), [datetime(2026, 6, 7, tzinfo=UTC)])))
    at = around + data.draw(st.integers(-600, 600)) * MINUTE
    state = calendar.state(at)
    assert state is naive(calendar, at)
    ends = calendar.until(at)
    step = at + MINUTE
    for _ in range(400):
        if naive(calendar, step) is not state:
            assert ends == step
            return
        step += MINUTE
    assert ends is None or ends >= step


@given(calendars, st.integers(0, 500_000))
@settings(max_examples=15, deadline=None)
def test_the_next_opening_is_open_and_the_minute_before_is_not(calendar: Calendar, minutes: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE
    opens = calendar.opens(at)
    if opens is None or calendar.state(at) is State.OPEN:
        return
    assert opens > at
    assert naive(calendar, opens) is State.OPEN
    assert naive(calendar, opens - MINUTE) is not State.OPEN


def test_a_window_in_the_hour_that_is_skipped_opens_with_the_change() -> None:
    calendar = read_window(Window(timezone="Europe/Madrid", hours=("02:30-04:00",)))
    assert calendar is not None
    assert calendar.opens(datetime(2026, 3, 29, 0, 0, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_window_that_lies_in_the_hour_that_comes_twice_is_open_both_times() -> None:
    calendar = read_window(Window(timezone="Europe/Madrid", hours=("22:00-02:30",)))
    assert calendar is not None
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert calendar.until(first - MINUTE) == first
    assert calendar.opens(first) == second
    assert calendar.until(second) == second + 30 * MINUTE


def test_a_calendar_that_never_opens_says_so_within_moments() -> None:
    calendar = read_window(Window(freeze=("2026-01-01/2029-01-01",)))
    assert calendar is not None
    at = datetime(2026, 2, 1, tzinfo=UTC)
    assert (calendar.until(at), calendar.opens(at)) == (None, None)


@pytest.mark.parametrize(
    ("window", "where", "what"),
    [
        (Window(timezone="Europe/Madird", hours=("09:00-10:00",)), "[window] timezone", "Europe/Madrid?"),
        (Window(timezone="../etc/passwd", hours=("09:00-10:00",)), "[window] timezone", "no time zone"),
        (Window(timezone="Europe", hours=("09:00-10:00",)), "[window] timezone", "no time zone"),
        (Window(hours=("22:00-06:00", "09:00-09:00")), "[window] hours, item 2", "ends when it begins"),
        (Window(freeze=("2026-02-30",)), "[window] freeze, item 1", "no date"),
        (Window(freeze=("2026-12-24/2026-12-20",)), "[window] freeze, item 1", "ends before it begins"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_key(window: Window, where: str, what: str) -> None:
    with pytest.raises(OpsError) as caught:
        read_window(window)
    assert caught.value.where == where
    assert what in caught.value.what
