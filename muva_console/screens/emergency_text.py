"""The Emergency screen's words: probes, scenarios, what to do next; and the same as a text for the team."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from textual.content import Content

from muva_console.ops.diagnosis.model import Diagnosis, ProbeState, Scenario
from muva_console.ops.readings import Finding, Level
from muva_console.ops.runbooks.model import Runbook
from muva_console.screens.emergency_read import Around
from muva_console.widgets.format import age, milliseconds
from muva_console.widgets.level import GLYPH, STYLE, muted, strong
from muva_console.widgets.table import Column, Row

SEEN_COLUMNS = (
    Column("", 1, keep=100),
    Column("what", 22, keep=90),
    Column("of", 14, keep=20),
    Column("what was found", 24, flex=True, keep=80),
    Column("took", 7, align="right", keep=30),
)
THOUGHT_COLUMNS = (
    Column("", 2, keep=100),
    Column("what it may be", 30, flex=True, keep=90),
    Column("how sure", 11, keep=80),
)
HEALTHY = "healthy"


def key_of(finding: Finding) -> str:
    """What a finding's row is known by."""
    return f"{finding.check}\0{finding.subject}"


def seen_rows(states: Mapping[str, ProbeState]) -> list[Row]:
    """A row a finding; one for a probe that is still asked."""
    rows = []
    for state in states.values():
        if not state.done:
            asking = f"waits on {state.waits_on}" if state.waits_on else "asking …"
            cells = (muted("◐"), Content(state.title), Content(""), muted(asking), Content(""))
            rows.append(Row(state.name, cells))
        rows += [Row(key_of(finding), _cells(finding)) for finding in state.findings]
    return rows


def _cells(finding: Finding) -> tuple[Content, ...]:
    level = finding.level
    said = Content(finding.summary) if level is Level.OK else Content.styled(finding.summary, STYLE[level])
    return (
        Content.styled(GLYPH[level], STYLE[level]),
        Content(finding.title or finding.check),
        muted(finding.subject.removeprefix("https://").removeprefix("http://")),
        said,
        muted(milliseconds(finding.took_ms) if finding.took_ms else "–"),
    )


def thought_rows(diagnosis: Diagnosis, around: Around) -> list[Row]:
    """A row a scenario, likeliest first; behind it whether its runbook was tried."""
    rows = []
    for number, one in enumerate(diagnosis.scenarios, 1):
        well = one.id == HEALTHY
        tried = around.run_of(one.runbook) if one.runbook else None
        style = STYLE[Level.OK if well else Level.FAIL if number == 1 else Level.WARN]
        title = Content.styled(one.title, style) if number == 1 else Content(one.title)
        if tried is not None:
            title = Content.assemble(title, muted("  tried"))
        mark = Content.styled(GLYPH[Level.OK], style) if well else muted(str(number))
        rows.append(Row(one.id, (mark, title, muted("" if well else one.confidence))))
    return rows


def first_untried(diagnosis: Diagnosis, around: Around) -> str:
    """The scenario to put the cursor on: the likeliest whose runbook was not begun lately; else the first."""
    scenarios = diagnosis.scenarios
    untried = (one.id for one in scenarios if not (one.runbook and around.run_of(one.runbook)))
    return next(untried, scenarios[0].id if scenarios else "")


def why_lines(
    scenario: Scenario | None,
    diagnosis: Diagnosis | None,
    around: Around,
    book: Runbook | None,
    now: datetime,
) -> list[Content]:
    """What speaks for the scenario under the cursor and against it, what would tell, what to do."""
    if diagnosis is None:
        return [muted("Every probe was begun at once; what they tell is weighed when the last has answered.")]
    if scenario is None:
        lines = [Content.styled(f"? {diagnosis.cannot_tell or 'cannot tell'}", STYLE[Level.UNKNOWN])]
        return [*lines, muted("Nothing is asserted on missing evidence. r looks again.")]
    lines = [Content.assemble(Content.styled("+ ", STYLE[Level.OK]), fact) for fact in scenario.supports]
    lines += [Content.assemble(Content.styled("− ", STYLE[Level.WARN]), fact) for fact in scenario.against]
    if scenario.tell_apart:
        lines.append(Content.assemble(muted("would tell: "), scenario.tell_apart))
    tried = around.run_of(scenario.runbook) if scenario.runbook else None
    if tried is not None:
        since = age((now - tried.begun_at).total_seconds())
        state = f"ended: {tried.outcome}" if tried.ended_at is not None else "still open"
        lines.append(
            Content.styled(
                f"▲ its runbook was begun {since} ago by {tried.begun_by}, {state}; it is so all the same",
                STYLE[Level.WARN],
            )
        )
    lines.append(Content(""))
    if book is not None:
        verb = "go on with" if tried is not None and tried.ended_at is None else "open"
        lines.append(Content.assemble(strong("enter"), f"  {verb} the runbook “{book.title}”"))
    elif scenario.id == HEALTHY:
        lines.append(muted("Nothing is to be done. r looks again."))
    return lines


def head_line(
    environment: str, diagnosis: Diagnosis | None, since: str, probes: int, took: str
) -> tuple[Content, Level | None]:
    """What stands above all: the verdict in a line, and its level."""
    name = environment.capitalize()
    if diagnosis is None:
        return Content(f"{name}: looking at {probes} things, {took}"), None
    looked = muted(f"   {probes} probes, {diagnosis.took_ms / 1000:.1f} s")
    if not diagnosis.scenarios:
        return Content.assemble(
            Content.styled(f"? {name}: cannot tell what is wrong", STYLE[Level.UNKNOWN]), looked
        ), Level.UNKNOWN
    first = diagnosis.scenarios[0]
    if first.id == HEALTHY:
        return Content.assemble(Content.styled(f"● {name} is healthy", STYLE[Level.OK]), looked), Level.OK
    lasting = f" {since}" if since else ""
    return Content.assemble(
        Content.styled(f"✖ {name}: {first.title}{lasting}", STYLE[Level.FAIL]), looked
    ), Level.FAIL


def incident_line(around: Around, now: datetime, *, healthy: bool = False) -> Content | None:
    """The incident that is open, or why the journal does not have the verdict."""
    one = around.incident
    if one is not None:
        began = one.onset or one.opened_at
        lead = one.roles.get("commander", "") or "nobody"
        then = "when it holds: muva incident stable" if healthy else "n adds a note"
        return Content.assemble(
            strong(one.name),
            f"  {one.severity.value}, {one.phase.value}, {age((now - began).total_seconds())}: {one.title}",
            muted(f"   commander: {lead}   {then}"),
        )
    if around.kept:
        return Content.styled(f"▲ {around.kept}", STYLE[Level.WARN])
    return None


def as_text(environment: str, diagnosis: Diagnosis, findings: Sequence[Finding]) -> str:
    """The diagnosis for the team's channel: what was seen that is not well, and what it is taken for."""
    lines = [f"{environment}: diagnosed at {diagnosis.at:%Y-%m-%d %H:%M} UTC"]
    for number, one in enumerate(diagnosis.scenarios, 1):
        lines.append(f"{number}. {one.title}" + (f" ({one.confidence})" if one.id != HEALTHY else ""))
        lines += [f"   + {fact}" for fact in one.supports]
        lines += [f"   - {fact}" for fact in one.against]
    if diagnosis.cannot_tell:
        lines.append(diagnosis.cannot_tell)
    bad = [one for one in findings if one.level is not Level.OK]
    lines += [f"{one.level.value}: {one.title or one.check} {one.subject}: {one.summary}" for one in bad]
    return "\n".join(lines)
