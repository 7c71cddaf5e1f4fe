"""Levels, findings and verdicts: the words in which everything observed is told.

A *reading* is what a link told at a time: a frozen struct with an `at` in UTC (the classes stand
with their subjects: `pm2.model.Process`, `resources.HostResources` …). A *finding* is one check's
answer over readings.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How good the news is. UNKNOWN is never better than OK and never turns into it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


_SEVERITY = {Level.OK: 0, Level.WARN: 1, Level.UNKNOWN: 2, Level.FAIL: 3}


def worst(levels: Iterable[Level]) -> Level:
    """The level of a whole made of parts; of nothing it is UNKNOWN.

    A failure outweighs an unknown (it is certain), an unknown outweighs a warning.
    """
    return max(levels, key=_SEVERITY.__getitem__, default=Level.UNKNOWN)


class Verdict(StrEnum):
    """GO, NO-GO or CANNOT TELL."""

    GO = "GO"
    NO_GO = "NO-GO"
    CANNOT_TELL = "CANNOT TELL"


class Exit:
    """The exit statuses of the command line: an interface that scripts rely on."""

    OK = 0
    BAD = 1
    USAGE = 2
    CANNOT_TELL = 3


class Finding(Struct, frozen=True, kw_only=True):
    """One check's answer."""

    check: str
    """The check's name, e.g. ``api-health``; stable, used by runbooks and scripts."""
    level: Level
    summary: str
    """One line a colleague would say."""
    title: str = ""
    subject: str = ""
    """What was looked at, when a check looks at several things: a host, a URL, a process."""
    evidence: tuple[str, ...] = ()
    """What was seen, a fact a line."""
    command: str = ""
    """What a person would have typed to see the same."""
    next: str = ""
    """What to do about it, when there is something to do."""
    took_ms: float = 0.0
    at: datetime
    """UTC."""
    expires: datetime | None = None
    unconfigured: bool = False
    """Unknown for want of configuration alone: no fault of anything, and a person may say it instead."""
    pending: bool = False
    """Unknown because it has not happened yet, and an act of the console would make it so."""


def verdict(findings: Iterable[Finding]) -> Verdict:
    """NO-GO on any failure; CANNOT TELL on any unknown or when nothing was asked; else GO."""
    match worst(f.level for f in findings):
        case Level.FAIL:
            return Verdict.NO_GO
        case Level.UNKNOWN:
            return Verdict.CANNOT_TELL
        case _:
            return Verdict.GO


def exit_status(what: Verdict) -> int:
    """The exit status a verdict ends a command with: 0, 1 or 3."""
    return {Verdict.GO: Exit.OK, Verdict.NO_GO: Exit.BAD, Verdict.CANNOT_TELL: Exit.CANNOT_TELL}[what]


def utc_now() -> datetime:
    """The wall clock in UTC. For display and records only: ages are measured on the monotonic clock."""
    return datetime.now(UTC)
