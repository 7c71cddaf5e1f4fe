"""An incident as lines for a screen: how it stands, who has which role, and its time line."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from muva_console.ops.incidents.messages import recovery_of
from muva_console.ops.incidents.model import Incident, Phase, Role
from muva_console.ops.incidents.timeline import Moment
from muva_console.widgets.format import moment
from muva_console.widgets.level import muted, strong

_PHASES = {
    Phase.OPEN: ("✖ open", "$t-fail"),
    Phase.STABLE: ("● stable", "$t-ok"),
    Phase.CLOSED: ("closed", ""),
}
_BAD = ("failed", "open", "unknown", "abandoned")


def incident_lines(incident: Incident, moments: Sequence[Moment]) -> list[Content]:
    """The whole of it; what changed in the hour before it began stands apart."""
    text, style = _PHASES[incident.phase]
    phase = Content.styled(text, style) if style else muted(text)
    began = moment(incident.onset) if incident.onset is not None else "not known"
    lines = [
        Content.assemble(phase, f"  {incident.severity.value}  ", strong(incident.title)),
        _fact("began", f"{began}  {incident.onset_source}"),
        _fact("opened", f"{moment(incident.opened_at)}  {incident.opened_by}"),
    ]
    if incident.stable_at is not None:
        seen = "" if incident.verified else ", not seen healthy by the console"
        lines.append(_fact("stable", f"{moment(incident.stable_at)}  {incident.stable_by}{seen}"))
        lines.append(_fact("recovery", recovery_of(incident)))
    if incident.closed_at is not None:
        lines.append(_fact("closed", f"{moment(incident.closed_at)}  {incident.closed_by}"))
    lines += [_fact(role.value, incident.roles.get(role.value, "nobody")) for role in Role]
    before = [one for one in moments if one.before and one.lane != "verdict"]
    if before:
        lines += [Content(""), muted("In the hour before"), *map(_line, before)]
    lines += [Content(""), muted("Time line"), *(_line(one) for one in moments if not one.before)]
    written = f"muva incident postmortem --id {incident.id} --out FILE"
    return [*lines, Content(""), muted(f"The post-mortem as far as it is known: {written}")]


def _fact(name: str, text: str) -> Content:
    return Content.assemble(muted(f"{name:<15}"), text.rstrip())


def _line(one: Moment) -> Content:
    text = Content.styled(one.text, "$t-fail") if one.outcome in _BAD else Content(one.text)
    return Content.assemble(muted(f"{one.at:%H:%M:%S} {one.lane:<10} "), text, muted(f"  {one.by}"))
