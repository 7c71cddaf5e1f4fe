"""Verdicts of diagnoses, kept in the journal; the first red one of production opens an incident.

What was seen well last and red first is also how the onset is sensed, where nobody gives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from muva_console.ops.errors import Refused
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.incidents.fold import as_text
from muva_console.ops.incidents.model import Incident, Severity
from muva_console.ops.journal.model import Draft, Entry, Filter, Kind, parse_timestamp
from muva_console.ops.readings import Level, utc_now

if TYPE_CHECKING:
    from muva_console.ops.diagnosis.model import Diagnosis
    from muva_console.ops.journal.store import Journal

SUBJECT = "diagnosis"
"""`Entry.subject` of kept verdicts."""
HEALTHY = "healthy"
AGAIN = timedelta(minutes=5)
"""After which the same verdict is kept again. Ours: an hour's outage is a dozen lines, not a thousand."""
BACK = timedelta(hours=24)
"""How far back a streak of red verdicts is looked for."""
EVIDENCE = 12
"""Findings that are kept of a verdict: the failures first, then what is not known."""


class Sensed(Struct, frozen=True, kw_only=True):
    """An onset as the verdicts tell it: it lies between the two moments."""

    onset: datetime
    """The first red verdict of the streak: at the latest it began then."""
    well: datetime | None = None
    """The last healthy one before; None where the journal has none."""

    @property
    def source(self) -> str:
        """How it is known."""
        if self.well is None:
            return "sensed: the first red verdict; whether it was well before is not in the journal"
        return f"sensed: the first red verdict; seen healthy last at {self.well:%H:%M:%S} UTC"


def state_of(told: Diagnosis) -> str:
    """``healthy``, ``red`` or ``unknown``."""
    if not told.scenarios:
        return "unknown"
    return HEALTHY if told.scenarios[0].id == HEALTHY else "red"


async def keep_verdict(journal: Journal, told: Diagnosis, *, opens: bool) -> Incident | None:
    """Keep what a diagnosis found, where it is another than before or some time has passed; with `opens` a
    red one opens an incident where none is open. Returns the one that it opened. Raises JournalError.
    """
    state = state_of(told)
    before = await _kept(journal, told.environment)
    if not before or _differs(before[-1], told, state):
        await journal.append(_draft(told, state))
    if not opens or state != "red":
        return None
    desk = Desk(journal)
    if await desk.current(told.environment) is not None:
        return None
    sensed = await sense_onset(journal, told.environment)
    first = told.scenarios[0]
    try:
        return await desk.open(
            told.environment,
            first.title,
            severity_of(told),
            onset=sensed.onset if sensed else told.at,
            onset_source=sensed.source if sensed else "sensed: this verdict",
            verdict=first.id,
            automatic=True,
            text=f"opened with the first red verdict: {first.title} ({first.id}, {first.confidence})",
        )
    except Refused:  # a colleague's console was faster: there is one, which is all that was wanted
        return None


async def sense_onset(journal: Journal, environment: str) -> Sensed | None:
    """When the present streak of red verdicts began; None where the newest verdict that tells is not red."""
    return onset_in(await _kept(journal, environment))


def onset_in(entries: Iterable[Entry]) -> Sensed | None:
    """As `sense_onset`, of verdicts in their order. An unknown one ends no streak and begins none."""
    red: datetime | None = None
    well: datetime | None = None
    for entry in entries:
        match entry.data.get("state"):
            case "red":
                red = red or _at(entry)
            case "healthy":
                red, well = None, _at(entry)
            case _:
                continue
    return None if red is None else Sensed(onset=red, well=well)


def severity_of(told: Diagnosis) -> Severity:
    """Critical where the application does not answer well from outside, else high."""
    down = any(finding.check == "api-health" and finding.level is Level.FAIL for finding in told.findings)
    return Severity.CRITICAL if down else Severity.HIGH


async def _kept(journal: Journal, environment: str) -> list[Entry]:
    since = utc_now() - BACK
    found = await journal.read(
        Filter(environment=environment, kinds=(Kind.FINDING,), since=since, limit=None)
    )
    return [entry for entry in found if entry.subject == f"{SUBJECT} {environment}"]


def _differs(entry: Entry, told: Diagnosis, state: str) -> bool:
    if entry.data.get("state") != state or told.at - entry.at >= AGAIN:
        return True
    return entry.data.get("scenarios") != [one.id for one in told.scenarios]


def _draft(told: Diagnosis, state: str) -> Draft:
    if told.scenarios:
        text = "; ".join(f"{one.title} ({one.id}, {one.confidence})" for one in told.scenarios[:3])
    else:
        text = told.cannot_tell
    bad = sorted(
        (one for one in told.findings if one.level in (Level.FAIL, Level.UNKNOWN)),
        key=lambda one: one.level is not Level.FAIL,
    )
    data: dict[str, Any] = {
        "state": state,
        "scenarios": [one.id for one in told.scenarios],
        "for": list(told.scenarios[0].supports) if told.scenarios else [],
        "seen": [
            {
                "check": one.check,
                "title": one.title,
                "subject": one.subject,
                "level": one.level.value,
                "summary": one.summary,
                "command": one.command,
            }
            for one in bad[:EVIDENCE]
        ],
        "at": as_text(told.at),
    }
    return Draft(
        kind=Kind.FINDING,
        subject=f"{SUBJECT} {told.environment}",
        text=text,
        environment=told.environment,
        data=data,
    )


def _at(entry: Entry) -> datetime:
    told = entry.data.get("at")
    try:
        return parse_timestamp(told) if isinstance(told, str) else entry.at
    except ValueError:
        return entry.at
