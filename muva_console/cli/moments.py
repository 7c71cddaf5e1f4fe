"""Moments on the command line: how far back, and when in an outage something was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from muva_console.ops.readings import utc_now


class Moment(click.ParamType[datetime]):
    """A time in the past: ``2h`` ago, a date, or a date and time (UTC unless it says otherwise)."""

    name = "2h|DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time in UTC."""
        if isinstance(value, datetime):
            return value
        from muva_console.config.units import parse_duration

        try:
            return utc_now() - timedelta(seconds=parse_duration(value))
        except ValueError:
            pass
        try:
            told = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                'neither a duration such as "2h" nor a date such as "2025-11-05" or "2025-11-05T03:10Z"'
            )
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)


class MomentType(click.ParamType[datetime]):
    """A moment: ``14:05`` (today, or yesterday where that lies ahead), ``12m`` ago, or ISO 8601; UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As `click.ParamType`: what `moment_of` makes of it."""
        if isinstance(value, datetime):
            return value
        found = moment_of(str(value), utc_now())
        if found is None:
            self.fail(f"{value!r} is no moment: 14:05, 14:05:30, 12m (ago) or 2026-11-26T14:05Z", param, ctx)
        return found


def moment_of(text: str, now: datetime) -> datetime | None:
    """What a person means by a moment of an outage, in UTC; None where it is none."""
    text = text.strip()
    if text[:-1].isdigit() and text[-1:] in ("s", "m", "h"):
        return now - int(text[:-1]) * {"s": timedelta(seconds=1), "m": timedelta(minutes=1)}.get(
            text[-1], timedelta(hours=1)
        )
    for form in ("%H:%M", "%H:%M:%S"):
        try:
            told = datetime.strptime(text, form)  # noqa: DTZ007 - the day and the zone are added here
        except ValueError:
            continue
        at = now.replace(hour=told.hour, minute=told.minute, second=told.second, microsecond=0)
        return at if at <= now + timedelta(minutes=1) else at - timedelta(days=1)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
