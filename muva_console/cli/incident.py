"""`muva incident`: opened, led, handed over, stable, closed, and written up."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.incident_parts import desk_of, find, post, say, seen, telling, which
from muva_console.cli.incident_show import as_data, incident_lines, list_lines
from muva_console.cli.moments import MomentType
from muva_console.ops.errors import OpsError
from muva_console.ops.incidents.model import Incident, Role, Severity, Turn
from muva_console.ops.readings import Exit, utc_now

if TYPE_CHECKING:
    from muva_console.ops.incidents.desk import Desk
    from muva_console.ops.workspace import Workspace

_SEVERITY = click.Choice([one.value for one in Severity])
_ROLE = click.Choice([one.value for one in Role])


@click.group()
def incident() -> None:
    """Incidents: opened, led, handed over, stable, closed, and written up."""


@incident.command("open")
@click.argument("title")
@click.option("--severity", type=_SEVERITY, default=Severity.CRITICAL.value, show_default=True)
@click.option("--onset", type=MomentType(), metavar="WHEN", help="When it began: 14:05, or 12m (ago).")
@click.option("--commander", default="", metavar="NAME", help="Who leads; you, when not given.")
@environment_option
@json_option
@telling
@click.pass_obj
def open_(
    invocation: Invocation,
    title: str,
    severity: str,
    onset: datetime | None,
    commander: str,
    environment: str | None,
    as_json: bool,
    yes: bool,
    no_message: bool,
) -> int:
    """Open an incident. Without an onset it is sensed from the kept verdicts, or told to be unknown.

    Exit status: 0 opened, 1 refused (one is open there already), 2 usage.
    """

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        return await desk.open(
            environment_of(workspace, environment).name,
            title,
            Severity(severity),
            onset=onset,
            onset_source=f"given by {workspace.engineer.label}" if onset else "",
            commander=commander or workspace.engineer.label,
        )

    return say(invocation, work, Turn.OPENED, as_json=as_json, yes=yes, no_message=no_message)


@incident.command()
@click.argument("text")
@click.option("--at", "at", type=MomentType(), metavar="WHEN", help="The moment that it is about.")
@which
@click.pass_obj
def note(
    invocation: Invocation,
    text: str,
    at: datetime | None,
    environment: str | None,
    number: int | None,
    as_json: bool,
) -> int:
    """Slip a note into the time line."""

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        return await desk.note(await find(workspace, desk, environment, number), text, at=at)

    return say(invocation, work, None, as_json=as_json)


@incident.command()
@click.argument("role", type=_ROLE)
@click.argument("to", metavar="NAME")
@click.option("--why", default="", metavar="TEXT")
@which
@telling
@click.pass_obj
def role(
    invocation: Invocation,
    role: str,
    to: str,
    why: str,
    environment: str | None,
    number: int | None,
    as_json: bool,
    yes: bool,
    no_message: bool,
) -> int:
    """Give a role to somebody: the hand-off is explicit, and in the time line."""

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        return await desk.hand_over(await find(workspace, desk, environment, number), Role(role), to, why)

    return say(invocation, work, Turn.ROLE, as_json=as_json, yes=yes, no_message=no_message)


@incident.command()
@click.argument("severity", type=_SEVERITY)
@click.option("--why", default="", metavar="TEXT")
@which
@telling
@click.pass_obj
def severity(
    invocation: Invocation,
    severity: str,
    why: str,
    environment: str | None,
    number: int | None,
    as_json: bool,
    yes: bool,
    no_message: bool,
) -> int:
    """Say how grave it is."""

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        found = await find(workspace, desk, environment, number)
        return await desk.set_severity(found, Severity(severity), why)

    return say(invocation, work, Turn.SEVERITY, as_json=as_json, yes=yes, no_message=no_message)


@incident.command()
@click.argument("when", type=MomentType())
@click.option("--source", default="", metavar="TEXT", help="How that is known: a log line, a guest's call.")
@which
@click.pass_obj
def onset(
    invocation: Invocation,
    when: datetime,
    source: str,
    environment: str | None,
    number: int | None,
    as_json: bool,
) -> int:
    """Say when it began; of a closed incident too. Recovery is measured from there."""

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        found = await find(workspace, desk, environment, number)
        return await desk.set_onset(found, when, source or f"given by {workspace.engineer.label}")

    return say(invocation, work, None, as_json=as_json)


@incident.command()
@click.option("--reason", default="", metavar="TEXT", help="Call it stable though it is not seen healthy.")
@click.option("--at", "at", type=MomentType(), metavar="WHEN", help="Since when, where it was so before.")
@which
@telling
@click.pass_obj
def stable(
    invocation: Invocation,
    reason: str,
    at: datetime | None,
    environment: str | None,
    number: int | None,
    as_json: bool,
    yes: bool,
    no_message: bool,
) -> int:
    """Say that it no longer hurts. The health checks are asked: what is not seen healthy wants a reason.

    Exit status: 0 stable, 1 refused, 3 not seen healthy because it could not be told.
    """

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        found = await find(workspace, desk, environment, number)
        how, verified = await seen(workspace, found.environment, reason)
        return await desk.stable(found, how, verified=verified, at=at)

    return say(invocation, work, Turn.STABLE, as_json=as_json, yes=yes, no_message=no_message)


@incident.command()
@click.argument("why")
@which
@telling
@click.pass_obj
def unstable(
    invocation: Invocation,
    why: str,
    environment: str | None,
    number: int | None,
    as_json: bool,
    yes: bool,
    no_message: bool,
) -> int:
    """Say that it came back."""

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        return await desk.unstable(await find(workspace, desk, environment, number), why)

    return say(invocation, work, Turn.UNSTABLE, as_json=as_json, yes=yes, no_message=no_message)


@incident.command()
@click.option("--cause", default="", metavar="TEXT", help="Why it happened, where that is known.")
@click.option("--reason", default="", metavar="TEXT", help="Why it is closed without having been stable.")
@which
@telling
@click.pass_obj
def close(
    invocation: Invocation,
    cause: str,
    reason: str,
    environment: str | None,
    number: int | None,
    as_json: bool,
    yes: bool,
    no_message: bool,
) -> int:
    """Close it; one that is not stable for a reason only."""

    async def work(workspace: Workspace, desk: Desk) -> Incident:
        found = await find(workspace, desk, environment, number)
        return await desk.close(found, cause=cause, reason=reason)

    return say(invocation, work, Turn.CLOSED, as_json=as_json, yes=yes, no_message=no_message)


@incident.command()
@which
@click.option("--yes", is_flag=True, help="Post the message that is shown.")
@click.pass_obj
def tell(
    invocation: Invocation, environment: str | None, number: int | None, as_json: bool, yes: bool
) -> int:
    """Show the message of its newest turn, and post it: where it was opened by a verdict, nobody was told.

    Exit status: 0 posted, 1 not confirmed or not posted.
    """

    async def run() -> int:
        async with invocation.workspace() as workspace:
            found = await find(workspace, desk_of(workspace), environment, number, newest=True)
            turns = [one.turn for one in found.said if one.turn in tuple(Turn)]
            told = await post(workspace, found, Turn(turns[-1]) if turns else Turn.OPENED, yes=yes)
        if as_json:
            print_json({**as_data(found), "message": told})
        return Exit.OK if told["posted"] else Exit.BAD

    return wait(run)


@incident.command()
@which
@click.pass_obj
def show(invocation: Invocation, environment: str | None, number: int | None, as_json: bool) -> int:
    """How it stands, and its time line. Exit status: 0 closed or stable, 1 open."""

    async def run() -> int:
        from muva_console.ops.incidents.timeline import read_timeline

        async with invocation.workspace() as workspace:
            found = await find(workspace, desk_of(workspace), environment, number, newest=True)
            moments = await read_timeline(workspace.journal, found, now=utc_now())
        if as_json:
            print_json(as_data(found, moments))
        else:
            for line in incident_lines(found, moments):
                click.echo(line)
        return Exit.BAD if found.phase == "open" else Exit.OK

    return wait(run)


@incident.command("list")
@environment_option
@json_option
@click.pass_obj
def list_(invocation: Invocation, environment: str | None, as_json: bool) -> int:
    """Every incident of the journal, the newest first."""

    async def run() -> int:
        async with invocation.workspace() as workspace:
            if environment is not None:
                environment_of(workspace, environment)
            found = await desk_of(workspace).all(environment)
        if as_json:
            print_json([as_data(one) for one in reversed(found)])
        else:
            for line in list_lines(tuple(reversed(found))):
                click.echo(line)
        return Exit.OK

    return wait(run)


@incident.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it there; a file that is there is not written over.",
)
@which
@click.pass_obj
def postmortem(
    invocation: Invocation, out: Path | None, environment: str | None, number: int | None, as_json: bool
) -> int:
    """The post-mortem as Markdown: time line, evidence, acts, durations; blanks are named as blank."""

    async def run() -> int:
        from muva_console.ops.incidents.postmortem import write
        from muva_console.ops.incidents.timeline import read_timeline

        async with invocation.workspace() as workspace:
            found = await find(workspace, desk_of(workspace), environment, number, newest=True)
            moments = await read_timeline(workspace.journal, found, now=utc_now())
            made = write(found, moments, at=utc_now())
            text = workspace.redact(made.text)
        if out is not None:
            try:
                with out.open("x", encoding="utf-8") as file:
                    file.write(text)
            except OSError as error:
                raise OpsError(f"it cannot be written: {error.strerror}", where=str(out)) from error
            click.echo(f"written to {out}; {len(made.blanks)} blanks are left to be filled", err=True)
        if as_json:
            print_json({**as_data(found, moments), "blanks": made.blanks, "markdown": text})
        elif out is None:
            click.echo(text, nl=False)
        return Exit.OK

    return wait(run)
