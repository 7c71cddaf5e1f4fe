"""The time line of an incident: everything that the journal has of its environment and its time, in order.

Nobody writes it: verdicts, acts, runs, deployments and locks stand in the journal already. What people add
are turns and notes; a note stands where the moment is that it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from muva_console.ops.incidents.fold import act_of, fold
from muva_console.ops.incidents.model import Incident
from muva_console.ops.incidents.verdicts import SUBJECT
from muva_console.ops.journal.model import Entry, Filter, Kind
from muva_console.ops.readings import Level
from muva_console.ops.release.records import KIND as DEPLOYMENT
from muva_console.ops.runbooks.run import RunKind
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.journal.store import Journal

BEFORE = timedelta(minutes=60)
"""What changed within this before the onset is shown. Ours: what broke it was mostly done shortly before."""
AFTER = timedelta(hours=1)
"""How long after the closing the end of an act is looked for."""
LAST_WORD = timedelta(minutes=5)
"""How long after the closing the message about it may be sent. Ours."""
_LOCKS = ("deploy-lock", "deploy-unlock", "deploy-lock-break")
_WORDS = 300
_QUIET = frozenset({Kind.OPENED, Kind.CLOSED, Kind.JOURNAL})


class Moment(Struct, frozen=True, kw_only=True):
    """One line of the time line."""

    at: datetime
    lane: str
    """incident, note, verdict, act, notice, lock, run, deployment or other."""
    by: str
    """Who said or did it."""
    text: str
    """One harmless line."""
    detail: tuple[str, ...] = ()
    """What was seen with it: evidence, what was verified."""
    outcome: str = ""
    """Of an act: how it ended; ``open`` where the journal has no end of it."""
    took: float | None = None
    """Seconds that an act took."""
    before: bool = False
    """It lies before the onset: what changed lately."""
    entry: int


async def read_timeline(journal: Journal, incident: Incident, *, now: datetime) -> tuple[Moment, ...]:
    """The time line as it is now. Raises JournalError."""
    since, until = window(incident, now=now)
    entries: dict[int, Entry] = {}
    for environment in (incident.environment, ""):
        found = await journal.read(
            Filter(environment=environment, since=since, until=until + AFTER, limit=None)
        )
        entries.update({entry.id: entry for entry in found})
    # notes of afterwards, and those of an incident that was led for longer than its window
    for entry in await journal.read(Filter(act=act_of(incident.environment), limit=None)):
        if incident.id in (entry.ref, entry.id):
            entries[entry.id] = entry
    return build(incident, sorted(entries.values(), key=lambda one: one.id), now=now)


def window(incident: Incident, *, now: datetime) -> tuple[datetime, datetime]:
    """From an hour before it began to its closing, or to now."""
    began = min(incident.onset or incident.opened_at, incident.opened_at)
    return began - BEFORE, incident.closed_at or now


def build(incident: Incident, entries: Sequence[Entry], *, now: datetime) -> tuple[Moment, ...]:
    """The time line out of entries in their order: pure."""
    _, until = window(incident, now=now)
    ends = {entry.act: entry for entry in entries if entry.kind == Kind.ACT_ENDED and entry.act}
    mine = {one.entry: one for one in next(iter(fold(_own(incident, entries))), incident).said}
    found: list[Moment] = []
    for entry in entries:
        said = mine.get(entry.id)
        if said is not None:
            lane = "note" if said.turn == "note" else "incident"
            found.append(Moment(at=said.at, lane=lane, by=said.by, text=said.text, entry=entry.id))
        elif entry.environment in (incident.environment, ""):
            moment = _moment(entry, ends)
            last = until + (LAST_WORD if moment is not None and moment.lane == "notice" else timedelta())
            if moment is not None and entry.at <= last:
                found.append(moment)
    began = incident.onset or incident.opened_at
    found = [structs.replace(one, before=one.at < began and one.lane != "incident") for one in found]
    return tuple(sorted(found, key=lambda one: (one.at, one.entry)))


def _own(incident: Incident, entries: Iterable[Entry]) -> list[Entry]:
    return [one for one in entries if incident.id in (one.id, one.ref)]


def _moment(entry: Entry, ends: dict[str, Entry]) -> Moment | None:
    if entry.kind in _QUIET or entry.kind == Kind.INCIDENT:  # another incident's turns are its own
        return None
    match entry.kind:
        case Kind.ACT_BEGUN:
            return _act(entry, ends.get(entry.act))
        case Kind.ACT_ENDED | RunKind.SENSED:
            return _red(entry) if entry.kind == RunKind.SENSED else None
        case Kind.FINDING if entry.subject.startswith(f"{SUBJECT} "):
            return _line(entry, "verdict", entry.text, _seen(entry.data))
        case Kind.NOTE:
            return None if entry.ref else _line(entry, "note", entry.text)
        case RunKind.BEGUN:
            return _line(entry, "run", f"{entry.subject}: run {entry.act[:8]} begun")
        case RunKind.ANSWERED:
            word, note = str(entry.data.get("word", "")), str(entry.data.get("note", ""))
            return _line(entry, "run", f"{entry.subject}: {word}" + (f", {note}" if note else ""))
        case RunKind.ENDED:
            return _line(entry, "run", f"{entry.subject}: ended, {entry.data.get('verdict', 'unknown')}")
        case _ if entry.kind == DEPLOYMENT:
            return _line(entry, "deployment", _deployed(entry.data) or entry.text)
        case _:
            return _line(entry, "other", f"{entry.subject}: {entry.text}".strip(": "))


def _act(begun: Entry, end: Entry | None) -> Moment:
    plan = begun.data.get("plan")
    operation = str(plan.get("operation", "")) if isinstance(plan, dict) else ""
    target = str(plan.get("target", "")) if isinstance(plan, dict) else ""
    lane = "notice" if operation == "notify" else "lock" if operation in _LOCKS else "act"
    what = begun.text or begun.subject
    what = f"{what} on {target}" if target and target not in what else what
    if end is None:
        return structs.replace(_line(begun, lane, f"{what}: no end of it is in the journal"), outcome="open")
    took = end.data.get("took_s")
    detail = [f"verified: {one}" for one in _texts(end.data.get("verified"))]
    detail += [f"warning: {one}" for one in _texts(end.data.get("warnings"))]
    moment = _line(begun, lane, f"{what}: {end.outcome or 'unknown'}: {end.text}", detail)
    return structs.replace(
        moment,
        outcome=end.outcome or "unknown",
        took=float(took) if isinstance(took, int | float) else None,
    )


def _red(entry: Entry) -> Moment | None:
    """What a runbook's walk found red; what it found well is in the run."""
    told = entry.data.get("findings")
    red = [
        one for one in (told if isinstance(told, list) else []) if _field(one, "level") == Level.FAIL.value
    ]
    if not red:
        return None
    return _line(
        entry, "run", f"{entry.subject}: {_field(red[0], 'summary')}", _texts(red[0].get("evidence"))
    )


def _deployed(data: dict[str, Any]) -> str:
    commit, status = str(data.get("commit", ""))[:7], str(data.get("status", ""))
    kind = str(data.get("kind", ""))
    return " ".join(filter(None, (kind, "deployment of", commit, f"ended: {status}"))) if commit else ""


def _seen(data: dict[str, Any]) -> list[str]:
    told = data.get("seen")
    lines = [f"for: {one}" for one in _texts(data.get("for"))]
    for one in told if isinstance(told, list) else []:
        about = f"{_field(one, 'subject')}: " if _field(one, "subject") else ""
        line = f"{_field(one, 'level')}: {_field(one, 'title') or _field(one, 'check')}: {about}"
        line += _field(one, "summary")
        command = _field(one, "command")
        lines.append(line + (f"  $ {command}" if command else ""))
    return lines


def _field(one: Any, key: str) -> str:
    return str(one.get(key, "")) if isinstance(one, dict) else ""


def _texts(told: Any) -> list[str]:
    return [str(one) for one in told] if isinstance(told, list) else []


def _line(entry: Entry, lane: str, text: str, detail: Iterable[str] = ()) -> Moment:
    return Moment(
        at=entry.at,
        lane=lane,
        by=entry.engineer,
        text=sanitise_line(text, cap=_WORDS),
        detail=tuple(sanitise_line(one, cap=_WORDS) for one in detail),
        entry=entry.id,
    )
