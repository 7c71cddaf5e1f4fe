"""The words of an incident: how grave it is, who leads it, where it stands, and what was said of it when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field


class Severity(StrEnum):
    """How grave it is; the first two are the playbook's own words for its emergencies and its hotfixes."""

    CRITICAL = "critical"
    """Guests cannot use it, or data is at risk."""
    HIGH = "high"
    """It hurts, and cannot wait for the next release."""
    LOW = "low"
    """Seen by us and by hardly anybody else."""


class Role(StrEnum):
    """Who does what (Google SRE, "Managing Incidents"): one who leads, one who acts, one who tells."""

    COMMANDER = "commander"
    OPERATIONS = "operations"
    COMMUNICATIONS = "communications"


class Phase(StrEnum):
    """Where it stands. Stable and closed are apart: the first ends the outage, the second the work."""

    OPEN = "open"
    STABLE = "stable"
    CLOSED = "closed"


class Turn(StrEnum):
    """What can be said of an incident."""

    OPENED = "opened"
    SEVERITY = "severity"
    ROLE = "role"
    ONSET = "onset"
    STABLE = "stable"
    UNSTABLE = "unstable"
    """It came back: what was called stable was not."""
    CLOSED = "closed"


class Said(Struct, frozen=True, kw_only=True):
    """One turn or note, as it stands in the journal."""

    turn: str
    """A `Turn`, or ``note``."""
    text: str
    by: str
    """`Entry.engineer`: who said it."""
    at: datetime
    """When it was said; of a note the moment that it is about."""
    entry: int
    role: str = ""


class Incident(Struct, frozen=True, kw_only=True):
    """One incident, as the journal tells it."""

    id: int
    """The entry that opened it."""
    environment: str
    title: str
    severity: Severity
    phase: Phase = Phase.OPEN
    roles: Mapping[str, str] = field(default_factory=dict)
    """Who has each `Role`; a role that nobody took is not there."""
    opened_at: datetime
    opened_by: str
    automatic: bool = False
    """It was opened with the first red verdict, not by hand."""
    verdict: str = ""
    """The scenario that it was opened with; empty where there was none."""
    onset: datetime | None = None
    """When it began; None where that is not known."""
    onset_source: str = ""
    """How that is known."""
    stable_at: datetime | None = None
    stable_by: str = ""
    stable_how: str = ""
    """What was seen then, or why it was called stable without."""
    verified: bool = False
    """The console itself saw it healthy when it was called stable."""
    closed_at: datetime | None = None
    closed_by: str = ""
    cause: str = ""
    """What was said to have been the cause; empty where nothing was said."""
    said: tuple[Said, ...] = ()
    """Every turn and note, in the journal's order."""
    last: int = 0
    """The last turn's entry: what a further turn must have seen."""

    @property
    def open(self) -> bool:
        """Whether it is not closed."""
        return self.phase is not Phase.CLOSED

    @property
    def recovery(self) -> float | None:
        """Seconds from onset to stable; None while it is not stable, or where the onset is not known."""
        if self.stable_at is None or self.onset is None:
            return None
        return (self.stable_at - self.onset).total_seconds()

    @property
    def detection(self) -> float | None:
        """Seconds from onset to the opening; None where the onset is not known. An onset that lies after the
        opening (it was opened in time) makes none.
        """
        return None if self.onset is None else max(0.0, (self.opened_at - self.onset).total_seconds())

    @property
    def name(self) -> str:
        """``incident 142``."""
        return f"incident {self.id}"


ALLOWED: Mapping[Phase, frozenset[Turn]] = {
    Phase.OPEN: frozenset({Turn.SEVERITY, Turn.ROLE, Turn.ONSET, Turn.STABLE, Turn.CLOSED}),
    Phase.STABLE: frozenset({Turn.SEVERITY, Turn.ROLE, Turn.ONSET, Turn.UNSTABLE, Turn.CLOSED}),
    Phase.CLOSED: frozenset({Turn.ONSET}),
}
"""What may be said where it stands. The onset is often found only afterwards, from the logs."""
