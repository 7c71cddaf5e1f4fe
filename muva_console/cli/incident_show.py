"""An incident as lines for people and as data for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from msgspec import to_builtins

from muva_console.ops.incidents.messages import recovery_of
from muva_console.ops.incidents.model import Incident, Phase, Role
from muva_console.ops.incidents.timeline import Moment
from muva_console.ops.process_findings import spell

_COLOUR = {Phase.OPEN: "red", Phase.STABLE: "yellow", Phase.CLOSED: None}
_MARK = {
    "incident": "◆",
    "note": "✎",
    "verdict": "?",
    "act": "▸",
    "lock": "▪",
    "notice": "✉",
    "run": "☐",
    "deployment": "▲",
}


def as_data(incident: Incident, moments: Sequence[Moment] | None = None) -> dict[str, Any]:
    """What ``--json`` prints: durations in seconds, times in UTC; null is "not known" or "not yet"."""
    data: dict[str, Any] = to_builtins(incident)
    data["recovery_s"] = incident.recovery
    data["detection_s"] = incident.detection
    if moments is not None:
        data["timeline"] = to_builtins(tuple(moments))
    return data


def incident_lines(incident: Incident, moments: Sequence[Moment]) -> list[str]:
    """How it stands, then its time line; what changed before it began stands apart."""
    head = f"Incident {incident.id} on {incident.environment}: {incident.title}"
    began = "not known" if incident.onset is None else f"{incident.onset:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        click.style(head, bold=True),
        click.style(f"  {incident.phase.value}, {incident.severity.value}", fg=_COLOUR[incident.phase]),
        f"  began      {began}" + (f" ({incident.onset_source})" if incident.onset_source else ""),
        f"  opened     {incident.opened_at:%Y-%m-%d %H:%M:%S} UTC by {incident.opened_by}",
    ]
    if incident.stable_at is not None:
        seen = "seen healthy" if incident.verified else "not seen healthy by the console"
        lines.append(
            f"  stable     {incident.stable_at:%Y-%m-%d %H:%M:%S} UTC by {incident.stable_by}, {seen}"
        )
        lines.append(f"  recovery   {recovery_of(incident)}")
    if incident.closed_at is not None:
        lines.append(f"  closed     {incident.closed_at:%Y-%m-%d %H:%M:%S} UTC by {incident.closed_by}")
    lines += [f"  {role.value:<10} {incident.roles.get(role.value, 'nobody')}" for role in Role]
    before = [one for one in moments if one.before and one.lane != "verdict"]
    if before:
        lines += ["", "  in the hour before", *(_line(one) for one in before)]
    lines += ["", "  time line", *(_line(one) for one in moments if not one.before)]
    return lines


def list_lines(incidents: Sequence[Incident]) -> list[str]:
    """A line an incident."""
    if not incidents:
        return ["no incident is in this journal"]
    lines = []
    for one in incidents:
        seconds = one.recovery
        took = "recovery not known" if seconds is None else f"recovered in {spell(seconds)}"
        when = "" if one.phase is Phase.OPEN else f"  {took}"
        line = (
            f"{one.id:>6}  {one.opened_at:%Y-%m-%d %H:%M}  {one.phase.value:<6}  {one.severity.value:<8}  "
            f"{one.environment:<10}  {one.title}{when}"
        )
        lines.append(click.style(line, fg=_COLOUR[one.phase]))
    return lines


def _line(one: Moment) -> str:
    colour = "red" if one.outcome in ("failed", "open", "unknown", "abandoned") else None
    who = one.by.split(" ")[0]
    return click.style(f"  {one.at:%H:%M:%S} {_MARK.get(one.lane, '·')} {one.text}  [{who}]", fg=colour)
