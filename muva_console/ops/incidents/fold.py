"""Entries of the journal to incidents: pure. An incident is its entries, folded in their order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import structs

from muva_console.ops.incidents.model import ALLOWED, Incident, Phase, Role, Said, Severity, Turn
from muva_console.ops.journal.model import Entry, Kind, parse_timestamp, timestamp
from muva_console.ops.text import sanitise_line

NOTE = "note"
KINDS = (Kind.INCIDENT, Kind.NOTE)


def act_of(environment: str) -> str:
    """`Entry.act` of all incidents of an environment: one of them can be open at a time."""
    return f"incident {environment}"


def fold(entries: Iterable[Entry], before: Iterable[Incident] = ()) -> tuple[Incident, ...]:
    """The incidents after these entries, in the order in which they were opened; `before`: those that were
    there already. Entries that are none of theirs, that say what may not be said there, and those of a newer
    console that cannot be read are passed over.
    """
    known = {one.id: one for one in before}
    for entry in entries:
        if not entry.act.startswith("incident "):
            continue
        try:
            _take(known, entry)
        except (KeyError, ValueError, TypeError):
            continue
    return tuple(known.values())


def _take(known: dict[int, Incident], entry: Entry) -> None:
    if entry.kind == Kind.NOTE:
        one = known.get(entry.ref or 0)
        if one is not None:
            at = _time(entry.data, "at") or entry.at
            known[one.id] = _with(one, entry, NOTE, at=at)
        return
    if entry.kind != Kind.INCIDENT:
        return
    turn = Turn(entry.data["turn"])
    if turn is Turn.OPENED:
        there = [one for one in known.values() if one.environment == entry.environment]
        if not any(one.open or entry.id <= one.last for one in there):
            known[entry.id] = _opened(entry)
        return
    one = known.get(entry.ref or 0)
    if one is None or entry.id <= one.last or turn not in ALLOWED[one.phase]:
        return
    known[one.id] = structs.replace(_with(_turned(one, turn, entry), entry, turn.value), last=entry.id)


def _opened(entry: Entry) -> Incident:
    data = entry.data
    one = Incident(
        id=entry.id,
        environment=entry.environment,
        title=str(data["title"]),
        severity=Severity(data["severity"]),
        roles={Role(role).value: str(name) for role, name in dict(data.get("roles") or {}).items()},
        opened_at=entry.at,
        opened_by=entry.engineer,
        automatic=bool(data.get("automatic")),
        verdict=str(data.get("verdict", "")),
        onset=_time(data, "onset"),
        onset_source=str(data.get("onset_source", "")),
        last=entry.id,
    )
    return _with(one, entry, Turn.OPENED.value)


def _turned(one: Incident, turn: Turn, entry: Entry) -> Incident:
    data = entry.data
    match turn:
        case Turn.SEVERITY:
            return structs.replace(one, severity=Severity(data["severity"]))
        case Turn.ROLE:
            return structs.replace(one, roles={**one.roles, Role(data["role"]).value: str(data["to"])})
        case Turn.ONSET:
            onset = _time(data, "onset")
            if onset is None:
                raise KeyError("onset")
            return structs.replace(one, onset=onset, onset_source=str(data.get("onset_source", "")))
        case Turn.STABLE:
            return structs.replace(
                one,
                phase=Phase.STABLE,
                stable_at=_time(data, "at") or entry.at,
                stable_by=entry.engineer,
                stable_how=str(data.get("how", "")),
                verified=bool(data.get("verified")),
            )
        case Turn.UNSTABLE:
            return structs.replace(
                one, phase=Phase.OPEN, stable_at=None, stable_by="", stable_how="", verified=False
            )
        case Turn.CLOSED:
            return structs.replace(
                one,
                phase=Phase.CLOSED,
                closed_at=entry.at,
                closed_by=entry.engineer,
                cause=str(data.get("cause", "")),
            )
        case _:
            return one


def _with(one: Incident, entry: Entry, turn: str, *, at: datetime | None = None) -> Incident:
    text = sanitise_line(entry.text, cap=2000)
    said = Said(
        turn=turn,
        text=text,
        by=entry.engineer,
        at=at or entry.at,
        entry=entry.id,
        role=str(entry.data.get("role", "")),
    )
    if any(known.entry == entry.id for known in one.said):
        return one
    return structs.replace(one, said=(*one.said, said))


def as_text(at: datetime) -> str:
    """A moment as an entry's data keeps it."""
    return timestamp(at)


def _time(data: dict[str, Any], key: str) -> datetime | None:
    told = data.get(key)
    return parse_timestamp(told) if isinstance(told, str) and told else None
