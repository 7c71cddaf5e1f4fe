"""What one engineer on call hands to the next: a shift in Markdown, from the journal and from a look now.

Every section is there, empty or not: what is not mentioned was looked at and is nothing. What could not be
asked says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.alerts.desk import Alerts
from muva_console.ops.alerts.model import Alert
from muva_console.ops.alerts.words import said_of
from muva_console.ops.backups import find_backups, spell_size
from muva_console.ops.deploys.record_act import told_line
from muva_console.ops.errors import OpsError
from muva_console.ops.health.report import HealthReport
from muva_console.ops.health.words import floored
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.incidents.model import Incident
from muva_console.ops.markdown import as_text
from muva_console.ops.monitoring.history import BUDGET_DAYS
from muva_console.ops.monitoring.model import Budget
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Level, Verdict, utc_now
from muva_console.ops.release.calendar import State, read_window
from muva_console.ops.release.records import Deployment, read_deployments
from muva_console.ops.release.rota import on_call_at
from muva_console.ops.runbooks.run import Run, Word
from muva_console.ops.walking.runs import list_runs, read_run

if TYPE_CHECKING:
    from muva_console.config.release import OnCall, Window
    from muva_console.ops.workspace import Workspace

_NONE = "none"


class Shift(Struct, frozen=True, kw_only=True):
    """What is known of a shift, before it is written."""

    since: datetime
    until: datetime
    by: str
    health: tuple[HealthReport, ...]
    incidents: tuple[Incident, ...]
    """Open ones, and those that were opened or closed in it."""
    deployments: tuple[Deployment, ...]
    runs: tuple[Run, ...]
    """Runs that are open, or were begun in it and have something overridden."""
    backups: tuple[tuple[str, str], ...]
    """By environment: the newest backup in words."""
    alerts: tuple[Alert, ...] = ()
    """Open ones, and those that are silenced."""
    budgets: tuple[tuple[str, Budget], ...] = ()
    """By environment: what is left of the failures that are allowed."""
    on_call: str = ""
    """Who is on call after it, and until when; empty where no rota is configured."""
    window: str = ""
    """When the next deployment to production may begin; empty where no window is configured."""


async def read_shift(workspace: Workspace, environments: Sequence[str], since: datetime) -> Shift:
    """Look, and read the journal. Raises JournalError where that cannot be read."""
    journal = workspace.journal
    await workspace.prepare()
    asked = [
        name
        for name in environments
        if workspace.environments[name].config.url or workspace.environments[name].hosts
    ]
    health, incidents, backups = await asyncio.gather(
        asyncio.gather(*(workspace.environments[name].read_health() for name in asked)),
        Desk(journal).all(),
        asyncio.gather(*(_backup(workspace, name) for name in environments)),
    )
    now = utc_now()
    mine = [
        one
        for one in incidents
        if one.environment in environments
        and (one.open or one.opened_at >= since or (one.closed_at is not None and one.closed_at >= since))
    ]
    deployed = [
        one
        for name in environments
        for one in await read_deployments(journal, name, limit=None)
        if one.finished is not None and one.finished >= since
    ]
    runs = []
    for listed in await list_runs(workspace):
        if listed.environment not in environments or (
            listed.ended_at is not None and listed.begun_at < since
        ):
            continue
        run = await read_run(workspace, listed.id)
        if run.ended_at is None or overrides(run):
            runs.append(run)
    known = await Alerts(journal).all()
    return Shift(
        alerts=tuple(
            one
            for one in known.values()
            if one.environment in environments and (one.open or one.silenced(now))
        ),
        budgets=await _budgets(workspace, asked, now),
        on_call=_on_call(workspace.config.on_call, now),
        window=_window(workspace.config.window, now),
        since=since,
        until=now,
        by=workspace.engineer.label,
        health=tuple(health),
        incidents=tuple(mine),
        deployments=tuple(sorted(deployed, key=lambda one: one.finished or since)),
        runs=tuple(runs),
        backups=tuple(one for one in backups if one[1]),
    )


async def _backup(workspace: Workspace, environment: str) -> tuple[str, str]:
    directory = workspace.config.backups.directory
    if directory is None or workspace.environments[environment].config.database is None:
        return environment, ""
    try:
        found = (await find_backups(workspace.base / directory, environment)).found
    except OpsError as error:
        return environment, f"not known: {error}"
    if not found:
        return environment, "there is none"
    newest = found[0]
    old = newest.age.total_seconds()
    stale = (
        ", older than it may be before a deployment" if old > float(workspace.config.backups.fresh) else ""
    )
    return environment, f"{spell(old)} old, {spell_size(newest.size)}{stale}"


async def _budgets(
    workspace: Workspace, names: Sequence[str], now: datetime
) -> tuple[tuple[str, Budget], ...]:
    found = []
    for name in names:
        target = workspace.environments[name].config.thresholds.availability
        try:
            found.append((name, await workspace.history.budget(name, target, now)))
        except OpsError:  # what was not kept is told as that
            found.append((name, Budget(target=target, days=BUDGET_DAYS, known=0, failed=0)))
    return tuple(found)


def overrides(run: Run) -> list[str]:
    """What was passed over in a run, each with who and why."""
    return [
        f"{item.step.title}: {item.answer.note or 'no reason'} ({item.answer.by})"
        for item in run.items
        if item.answer is not None and item.answer.word is Word.OVERRIDDEN
    ]


def written(shift: Shift) -> str:
    """The shift as Markdown."""
    lines = [
        f"# Hand-over, {shift.until:%Y-%m-%d %H:%M} UTC",
        "",
        f"{spell((shift.until - shift.since).total_seconds())} since {shift.since:%Y-%m-%d %H:%M} UTC; "
        f"written by {as_text(shift.by)}.",
        "",
    ]
    for title, told in (
        ("How it stands now", _standing(shift)),
        ("Alerts", [_alert(one, shift.until) for one in shift.alerts]),
        ("Availability", [_budget(name, one) for name, one in shift.budgets]),
        ("Incidents", [_incident(one) for one in shift.incidents]),
        ("Deployments", [_deployment(one) for one in shift.deployments]),
        ("Runs that are open, and what was overridden", [line for run in shift.runs for line in _run(run)]),
        ("Certificates", _certificates(shift)),
        ("Who and when", [as_text(text) for text in (shift.on_call, shift.window) if text]),
        ("Backups", [f"{as_text(name)}: {as_text(text)}" for name, text in shift.backups]),
    ):
        lines += [f"## {title}", "", *(_bullet(line) for line in told or [_NONE]), ""]
    return "\n".join(lines)


def _bullet(line: str) -> str:
    """A line of a list; one that is indented belongs to the one before."""
    return f"  - {line.strip()}" if line.startswith("  ") else f"- {line}"


def _standing(shift: Shift) -> list[str]:
    words = {Verdict.GO: "healthy", Verdict.NO_GO: "**NOT healthy**", Verdict.CANNOT_TELL: "**cannot tell**"}
    lines = []
    for report in shift.health:
        lines.append(f"{as_text(report.environment)}: {words[report.verdict]}")
        lines += [
            f"  {one.level.value}: {as_text(one.title or one.check)} {as_text(one.subject)}: "
            f"{as_text(one.summary)}"
            for one in report.findings
            if one.level is not Level.OK
        ]
    return lines


def _alert(one: Alert, now: datetime) -> str:
    since = f" since {one.raised_at:%m-%d %H:%M}" if one.raised_at is not None else ""
    state = f"open{since}" if one.open else "not open"
    said = "".join(f"; {as_text(text)}" for text in said_of(one, now))
    return f"{as_text(one.environment)}, {one.level.value}, {state}: {as_text(one.title)}{said}"


def _budget(name: str, budget: Budget) -> str:
    share, left = budget.availability, budget.left
    if share is None or left is None:
        return f"{as_text(name)}: nothing is kept"
    return (
        f"{as_text(name)}: {floored(share)} of {budget.known} looks in {budget.days} days were well; "
        f"{left * 100:.0f} % of the error budget is left ({budget.target * 100:g} % promised)"
    )


def _on_call(rota: OnCall, now: datetime) -> str:
    """Who is on call now, and until when; empty without a rota."""
    if not rota.shifts:
        return ""
    try:
        shift = on_call_at(rota, now)
    except OpsError as error:
        return f"who is on call is not known: {error}"
    if shift is None:
        return "nobody is on call now"
    return f"{shift.who} is on call until {shift.end:%Y-%m-%d %H:%M} UTC"


def _window(window: Window, now: datetime) -> str:
    """When production may be deployed to; empty without a [window]."""
    try:
        calendar = read_window(window)
    except OpsError as error:
        return f"when deployments may begin is not known: {error}"
    if calendar is None:
        return ""
    state, until = calendar.turn(now)
    told = f" until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
    return (
        f"deployments may begin now{told}" if state is State.OPEN else f"deployments are {state.value}{told}"
    )


def _incident(one: Incident) -> str:
    took = one.recovery
    recovery = f", recovered in {spell(took)}" if took is not None else ""
    lead = one.roles.get("commander", "") or "nobody"
    cause = f"; cause: {as_text(one.cause)}" if one.cause else ""
    return (
        f"{as_text(one.name)} on {as_text(one.environment)}, {one.severity.value}, **{one.phase.value}**: "
        f"{as_text(one.title)}{recovery}; commander: {as_text(lead)}{cause}"
    )


def _deployment(one: Deployment) -> str:
    at = f"{one.finished:%m-%d %H:%M} " if one.finished is not None else ""
    return f"{at}{as_text(told_line(one))}"


def _run(run: Run) -> list[str]:
    state = "open" if run.ended_at is None else f"ended {run.outcome}"
    title = f"{as_text(run.runbook.title)} for {as_text(run.environment)}"
    lines = [f"{title}, {state}, begun by {as_text(run.begun_by)}"]
    return [*lines, *(f"  overridden: {as_text(text)}" for text in overrides(run))]


def _certificates(shift: Shift) -> list[str]:
    return [
        f"{as_text(report.environment)}: {one.level.value}, {as_text(one.summary)}"
        for report in shift.health
        for one in report.of("certificate")
    ]
