"""What stands in [window] and [on_call]: zones, hours, dates and moments, read once for all who need them.

Every function raises ValueError with what is wrong in a line; the text of the file is not trusted to be
a time just because it looks like one ("2026-02-30").
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from muva_console.config.values import did_you_mean, quoted

WHOLE_DAY = "00:00-00:00"
"""The one span that may begin and end at the same hour: from midnight to midnight."""


def read_zone(name: str) -> ZoneInfo:
    """The zone of that name, by the system's data or the tzdata package."""
    from zoneinfo import available_timezones

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(name, sorted(available_timezones()))
        told = f"; {hint}" if hint else '; expected a name such as "Europe/Madrid"'
        raise ValueError(f"there is no time zone {quoted(name)}{told}") from None


def read_hours(text: str) -> tuple[time, time]:
    """Begin and end of ``"22:00-06:00"``: an end that is not after the begin lies on the next day."""
    begin, _, end = text.partition("-")
    try:
        span = time.fromisoformat(begin), time.fromisoformat(end)
    except ValueError:
        raise ValueError(f"{quoted(text)} are no hours of a day") from None
    if span[0] == span[1] and text != WHOLE_DAY:
        raise ValueError(f"{quoted(text)} ends when it begins; a whole day is {quoted(WHOLE_DAY)}")
    return span


def read_dates(text: str) -> tuple[date, date]:
    """First and last day of ``"2026-12-20/2027-01-02"``, or twice the one day of ``"2026-12-24"``."""
    first, _, last = text.partition("/")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise ValueError(f"{quoted(text)} is no date of the calendar") from None
    if days[1] < days[0]:
        raise ValueError(f"{quoted(text)} ends before it begins")
    return days


def read_moment(text: str) -> datetime:
    """The time in UTC of ``"2026-11-25T08:00+01:00"``."""
    try:
        at = datetime.fromisoformat(text)
        moment = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{quoted(text)} is no time of the calendar") from None
    if at.tzinfo is None:
        raise ValueError(f"{quoted(text)} names no zone")
    return moment
