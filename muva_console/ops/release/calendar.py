"""When a deployment may begin: [window] as a calendar that is asked for any moment.

What the clock on the wall of the zone shows decides. Where a change to summer time skips the hour at
which a window would open, it opens with the change; where an hour comes twice, a window is open both
times. What changes when is found among the few moments at which it can: the ends of spans, midnights, and
the zone's own changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from muva_console.config.calendar import read_dates, read_hours, read_zone
from muva_console.ops.errors import OpsError

if TYPE_CHECKING:
    from muva_console.config.release import Window

T = TypeVar("T")

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON = 400
"""Days for which the next change is looked for: a year, and a freeze that ends it. Ours."""
_MIDNIGHT = time()
_DAY = timedelta(days=1)


class State(StrEnum):
    """What may be done at a moment."""

    OPEN = "open"
    CLOSED = "closed"
    FROZEN = "frozen"


class Calendar(Struct, frozen=True, kw_only=True):
    """A [window] that was read."""

    zone: ZoneInfo
    hours: tuple[tuple[time, time], ...] = ()
    """Spans of a day; of a pair of midnights, and where there is none, the whole day."""
    days: frozenset[int] = frozenset()
    """Days on which a window may begin, Monday is 0; none is every day."""
    freeze: tuple[tuple[date, date], ...] = ()
    """First and last days on which nothing is deployed."""

    def state(self, at: datetime) -> State:
        """What `at` is (any zone)."""
        wall = at.astimezone(self.zone)
        if any(first <= wall.date() <= last for first, last in self.freeze):
            return State.FROZEN
        return State.OPEN if self._open(wall.date(), wall.time()) else State.CLOSED

    def until(self, at: datetime, within: int = HORIZON) -> datetime | None:
        """When the state of `at` ends (UTC); None when it does not for so many days."""
        now = self.state(at)
        return self._next(at, lambda state: state is not now, within)

    def opens(self, at: datetime, within: int = HORIZON) -> datetime | None:
        """When it is open again after `at` (UTC); None when it is not for so many days."""
        return self._next(at, lambda state: state is State.OPEN, within)

    def turn(self, at: datetime) -> tuple[State, datetime | None]:
        """The state of `at`, and when deploying may no longer begin, or may again (UTC)."""
        state = self.state(at)
        return state, self.until(at) if state is State.OPEN else self.opens(at)

    def _next(self, at: datetime, wanted: Callable[[State], bool], within: int) -> datetime | None:
        for moment in self._changes(at.astimezone(UTC), within):
            if wanted(self.state(moment)):
                return moment
        return None

    def _open(self, day: date, clock: time) -> bool:
        if not self.hours:
            return self._begins(day)
        for begin, end in self.hours:
            if begin < end or end == _MIDNIGHT:
                if begin <= clock and (clock < end or end == _MIDNIGHT) and self._begins(day):
                    return True
            elif (clock >= begin and self._begins(day)) or (clock < end and self._begins(day - _DAY)):
                return True
        return False

    def _begins(self, day: date) -> bool:
        return not self.days or day.weekday() in self.days

    def _changes(self, at: datetime, within: int) -> Iterator[datetime]:
        """Moments after `at` at which the state may change (UTC), in order."""
        first = at.astimezone(self.zone).date() - _DAY
        waiting = self._moments(first)
        for number in range(1, within + 2):
            day = first + number * _DAY
            # a midnight may come twice, or an hour of one day after the next one's first
            waiting |= self._moments(day)
            ended = self._instant(day, _MIDNIGHT, 0)
            due = {moment for moment in waiting if moment < ended}
            waiting -= due
            yield from sorted(moment for moment in due if moment > at)

    def _moments(self, day: date) -> set[datetime]:
        """Moments of one day (UTC); where a clock time comes twice both, where never those around."""
        clocks = {_MIDNIGHT, *(clock for span in self.hours for clock in span)}
        moments = {self._instant(day, clock, fold) for clock in clocks for fold in (0, 1)}
        begins, ends = self._instant(day, _MIDNIGHT, 0), self._instant(day + _DAY, _MIDNIGHT, 1)
        if begins.astimezone(self.zone).utcoffset() != ends.astimezone(self.zone).utcoffset():
            moments.add(self._change(begins, ends))
        return moments

    def _instant(self, day: date, clock: time, fold: int) -> datetime:
        return datetime.combine(day, clock, self.zone).replace(fold=fold).astimezone(UTC)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The second at which the zone's clock is put forward or back."""
        offset = before.astimezone(self.zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
            if middle.astimezone(self.zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after


def read_window(window: Window) -> Calendar | None:
    """The calendar of a [window]; None where nothing is configured. Raises OpsError that names the key."""
    if not (window.hours or window.days or window.freeze):
        return None
    zone = _read("[window] timezone", lambda: read_zone(window.timezone))
    hours = tuple(
        _read(f"[window] hours, item {n}", lambda text=text: read_hours(text))  # type: ignore[misc]
        for n, text in enumerate(window.hours, 1)
    )
    freeze = tuple(
        _read(f"[window] freeze, item {n}", lambda text=text: read_dates(text))  # type: ignore[misc]
        for n, text in enumerate(window.freeze, 1)
    )
    days = frozenset(DAYS.index(day) for day in window.days)
    return Calendar(zone=zone, hours=hours, days=days, freeze=freeze)


def _read(key: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise OpsError(str(error), where=key, next="Correct muva.toml.") from None
