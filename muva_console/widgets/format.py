"""Numbers and times as a colleague reads them: units named once, times relative, hashes of 7 characters."""

from __future__ import annotations

from datetime import UTC, datetime

STEP = 10
"""Seconds in which ages move on. Ours."""


def duration(seconds: float | None) -> str:
    """``8 s``, ``4m 12s``, ``2h 05m``, ``12d 3h``; ``–`` for None."""
    if seconds is None:
        return "–"
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def lasting(seconds: float | None) -> str:
    """How long something has been so, as `duration` but in steps: of ten seconds, from ten minutes on of one
    minute. For what is looked at all the time: see `age`.
    """
    if seconds is None:
        return "–"
    if seconds < 600:
        return duration(seconds - seconds % STEP) if seconds >= STEP else "now"
    return duration(seconds).split("m ")[0] + "m" if seconds < 3600 else duration(seconds)


def short(seconds: float | None) -> str:
    """The same in one unit: ``8 s``, ``4 m``, ``2 h``, ``12 d``."""
    if seconds is None:
        return "–"
    whole = int(max(0.0, seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def age(seconds: float | None) -> str:
    """How old a reading is, in steps of ten seconds below a minute.

    The steps are on purpose: a counter that changed every second in every panel would draw the eye
    and send bytes for no news.
    """
    if seconds is None:
        return "–"
    if seconds < STEP:
        return "now"
    if seconds < 60:
        return f"{int(seconds // STEP) * STEP} s"
    return short(seconds)


def milliseconds(value: float | None) -> str:
    """``82 ms``, ``1.2 s``, ``0.4 ms``; ``–`` for None."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value:.1f} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 100_000 else f"{value / 1000:.0f} s"


def size(value: float | None) -> str:
    """Bytes in powers of 1024: ``0``, ``640 K``, ``182 M``, ``1.2 G``; ``–`` for None."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in ("B", "K", "M", "G", "T", "P"):
        if amount < 1000 or unit == "P":
            return f"{amount:.1f} {unit}" if amount < 10 and unit in "GTP" else f"{amount:.0f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")


def percent(fraction: float | None) -> str:
    """``41 %``; ``–`` for None."""
    return "–" if fraction is None else f"{fraction * 100:.0f} %"


def clock(at: datetime | None, *, seconds: bool = True) -> str:
    """The time of day in UTC: ``03:12:44Z``; ``–`` for None."""
    if at is None:
        return "–"
    return at.astimezone(UTC).strftime("%H:%M:%SZ" if seconds else "%H:%M")


def moment(at: datetime | None) -> str:
    """Date and time in UTC: ``2025-11-05 03:12:44Z``; ``–`` for None."""
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def commit(revision: str) -> str:
    """A hash's first 7 characters."""
    return revision[:7]


def plural(count: int, one: str, many: str = "") -> str:
    """``1 finding``, ``3 findings``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
