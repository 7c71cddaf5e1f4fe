"""The words of alerts: what was noticed, and what people said of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.readings import Level

KIND = "alert"
"""The kind of the journal's entries."""


class Source(StrEnum):
    """What an alert is about."""

    SERVICE = "service"
    """A check of the environment's health failed so often in a row that it is down."""
    PATTERN = "pattern"
    """An error pattern of the logs: critical, new since the last deployment, or rising."""


class Why(StrEnum):
    """Why an error pattern is an alert."""

    CRITICAL = "critical"
    """[alerts] critical names it."""
    NEW = "new"
    """It did not occur before the last deployment, or before the window where that is out of reach."""
    RISING = "rising"
    """It comes so many times as often as before."""


class Noticed(Struct, frozen=True, kw_only=True):
    """What a look found to be alarming."""

    environment: str
    key: str
    """Tells it from the others of the environment, whoever looks: ``service/api-health``,
    ``pattern/2f1a9c04``."""
    source: Source
    level: Level
    """FAIL or WARN."""
    title: str
    """One line a colleague would say."""
    evidence: tuple[str, ...] = ()
    count: int = 0
    """Occurrences within the window; of a service the failures in a row."""
    since: datetime | None = None


class Silence(Struct, frozen=True, kw_only=True):
    """Nobody is told of an alert until then."""

    until: datetime
    reason: str
    by: str


class Alert(Struct, frozen=True, kw_only=True):
    """One alert as the journal has it."""

    environment: str
    key: str
    source: Source
    level: Level
    title: str
    raised_at: datetime | None = None
    """When it was last raised; None where it never was (a silence may come first)."""
    recovered_at: datetime | None = None
    """When that was over; None while it is open."""
    acked_by: str = ""
    """Who has said that it is seen to, since it was raised."""
    note: str = ""
    silence: Silence | None = None
    entry: int = 0
    """The entry of its last raising."""
    last: int = 0
    """The last entry that is about it."""

    @property
    def open(self) -> bool:
        """Whether it holds now."""
        return self.raised_at is not None and self.recovered_at is None

    def silenced(self, now: datetime) -> bool:
        """Whether nobody is to be told of it at `now`."""
        return self.silence is not None and now < self.silence.until

    def wants_somebody(self, now: datetime) -> bool:
        """Open, nobody has said that it is seen to, and it is not silenced."""
        return self.open and not self.acked_by and not self.silenced(now)


class Turn(StrEnum):
    """What an entry says of an alert."""

    RAISED = "raised"
    RECOVERED = "recovered"
    ACKED = "acked"
    SILENCED = "silenced"
    UNSILENCED = "unsilenced"
