"""The words of kept history: samples, what a window of them tells, marks on it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.readings import Level

API, DATABASE, RESTARTS = "api-health", "database", "restarts"
"""The series that are kept of an environment: two of answer times, and PM2's restart counters added up."""
KEPT = (API, DATABASE, RESTARTS)


class Measured(Struct, frozen=True, kw_only=True):
    """One sample of one series of an environment."""

    environment: str
    series: str
    at: datetime
    level: Level
    value: float | None = None
    """Milliseconds; of `RESTARTS` the counter. None where it was not answered."""


class Grain(StrEnum):
    """What a window was read from."""

    SAMPLE = "samples"
    HOUR = "hours"
    DAY = "days"


class Point(Struct, frozen=True, kw_only=True):
    """A stretch of a window."""

    known: int = 0
    """Samples that could tell."""
    failed: int = 0
    level: Level | None = None
    """The worst within; None where nothing was looked at."""
    p95: float | None = None
    """Milliseconds; None where nothing was answered."""
    restarts: int = 0


class Past(Struct, frozen=True, kw_only=True):
    """What a window of one series tells."""

    environment: str
    series: str
    since: datetime
    until: datetime
    grain: Grain
    points: tuple[Point, ...]
    """Evenly spaced, oldest first."""
    known: int = 0
    failed: int = 0
    slow: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    restarts: int = 0
    first: datetime | None = None
    """The first sample within; None where there is none."""

    @property
    def availability(self) -> float | None:
        """The share of known samples that were not failures, 0 to 1; None where nothing is known."""
        return (self.known - self.failed) / self.known if self.known else None


class Mark(Struct, frozen=True, kw_only=True):
    """Something that happened: a deployment, a rollback, an incident."""

    at: datetime
    kind: str
    """``deployment``, ``rollback`` or ``incident``."""
    text: str
    good: bool = True


class Budget(Struct, frozen=True, kw_only=True):
    """What is left of the failures that a promise allows."""

    target: float
    """The share of looks that are to be well, 0 to 1."""
    days: int
    known: int
    failed: int

    @property
    def availability(self) -> float | None:
        """As it was."""
        return (self.known - self.failed) / self.known if self.known else None

    @property
    def left(self) -> float | None:
        """The share of the allowed failures that is left, 1 to below 0; None where nothing is known."""
        if not self.known or self.target >= 1:
            return None
        return 1 - (self.failed / self.known) / (1 - self.target)
