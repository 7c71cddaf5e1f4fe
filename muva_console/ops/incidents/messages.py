"""The message to the team at each turn of an incident: what is known; what is not known says so.

The lines are for a telephone at night: what, how grave, since when, who leads, what was done about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.config.redact import redact
from muva_console.ops.incidents.model import Incident, Phase, Role, Turn
from muva_console.ops.notices import Notice
from muva_console.ops.process_findings import spell
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

_MARK = {"critical": "🔴", "high": "🟡", "low": "🔵"}
_NOBODY = "nobody yet"


def message_of(incident: Incident, turn: Turn) -> str:
    """The text for the newest turn of that sort."""
    mark = _MARK[incident.severity.value]
    head = {
        Turn.OPENED: f"{mark} Incident {incident.id} opened on {incident.environment}",
        Turn.STABLE: f"🟢 Incident {incident.id} on {incident.environment}: stable",
        Turn.UNSTABLE: f"{mark} Incident {incident.id} on {incident.environment}: it is back",
        Turn.CLOSED: f"☑️ Incident {incident.id} on {incident.environment}: closed",
    }.get(turn, f"{mark} Incident {incident.id} on {incident.environment}")
    lines = [f"{head}: {incident.title}", f"Severity: {incident.severity.value}"]
    said = next((one for one in reversed(incident.said) if one.turn == turn.value), None)
    if said is not None and turn is not Turn.OPENED:
        lines.append(f"Now: {said.text} (by {said.by})")
    began = f"{incident.onset:%H:%M} UTC ({incident.onset_source})" if incident.onset else "not known"
    lines.append(f"Began: {began}")
    if incident.phase is not Phase.OPEN:
        lines.append(f"Recovery: {recovery_of(incident)}")
    if turn is Turn.CLOSED:
        lines.append(f"Cause: {incident.cause or 'not written yet'}")
    lines.append(f"Lead: {incident.roles.get(Role.COMMANDER.value, _NOBODY)}")
    if turn is Turn.ROLE:
        lines += [
            f"{role.value.capitalize()}: {incident.roles.get(role.value, _NOBODY)}"
            for role in (Role.OPERATIONS, Role.COMMUNICATIONS)
        ]
    return "\n".join(redact(sanitise_line(line, cap=700)) for line in lines)


def recovery_of(incident: Incident) -> str:
    """How long it lasted, in words; from onset, never from the opening."""
    seconds = incident.recovery
    if incident.stable_at is None:
        return "it was never called stable"
    if seconds is None:
        return "not known, for its onset is not"
    return f"{spell(seconds)} from onset"


def notice_of(workspace: Workspace, incident: Incident, turn: Turn) -> Notice:
    """The operation that posts it. Raises OpsError where no webhook is configured."""
    notices = workspace.config.notices
    slack = notices.slack
    return Notice(
        message_of(incident, turn),
        environment=incident.environment,
        channel=notices.channel,
        webhook=None if slack is None else lambda: workspace.secret(slack),
    )
