"""Entries of the journal to alerts: pure. An alert is what was last said of its key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import structs

from muva_console.ops.alerts.model import KIND, Alert, Silence, Source, Turn
from muva_console.ops.journal.model import Entry, parse_timestamp
from muva_console.ops.readings import Level
from muva_console.ops.text import sanitise_line


def act_of(environment: str) -> str:
    """`Entry.act` of an environment's alerts."""
    return f"alerts {environment}"


def fold(entries: Iterable[Entry], before: Iterable[Alert] = ()) -> dict[tuple[str, str], Alert]:
    """By environment and key: how the alerts stand after these entries; those that cannot be read (a newer
    console's) are passed over.
    """
    known = {(one.environment, one.key): one for one in before}
    for entry in entries:
        if entry.kind != KIND or entry.act != act_of(entry.environment):
            continue
        try:
            _take(known, entry)
        except (KeyError, ValueError, TypeError):
            continue
    return known


def _take(known: dict[tuple[str, str], Alert], entry: Entry) -> None:
    data, place = entry.data, (entry.environment, entry.subject)
    turn = Turn(data["turn"])
    one = known.get(place)
    if turn in (Turn.RAISED, Turn.SILENCED) and one is None:
        one = Alert(
            environment=entry.environment,
            key=entry.subject,
            source=Source(data["source"]),
            level=Level(data["level"]),
            title=sanitise_line(str(data["title"]), cap=300),
        )
    if one is None or entry.id <= one.last:
        return
    match turn:
        case Turn.RAISED:
            one = structs.replace(
                one,
                level=Level(data["level"]),
                title=sanitise_line(str(data["title"]), cap=300),
                raised_at=entry.at,
                recovered_at=None,
                acked_by="",
                note="",
                entry=entry.id,
            )
        case Turn.RECOVERED:
            one = structs.replace(one, recovered_at=entry.at)
        case Turn.ACKED:
            one = structs.replace(one, acked_by=entry.engineer, note=str(data.get("note", "")))
        case Turn.SILENCED:
            silence = Silence(
                until=_time(data["until"]), reason=str(data.get("reason", "")), by=entry.engineer
            )
            one = structs.replace(one, silence=silence)
        case Turn.UNSILENCED:
            one = structs.replace(one, silence=None)
    known[place] = structs.replace(one, last=entry.id)


def _time(told: object) -> datetime:
    return parse_timestamp(str(told))
