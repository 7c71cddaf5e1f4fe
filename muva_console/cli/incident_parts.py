"""What the commands of `muva incident` share: moments, which one is meant, its message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.incident_show import as_data
from muva_console.ops.errors import ConfigError, Fault, LinkError, OpsError, Refused
from muva_console.ops.incidents.model import Incident, Turn
from muva_console.ops.readings import Exit, Level, Verdict

if TYPE_CHECKING:
    from muva_console.ops.incidents.desk import Desk
    from muva_console.ops.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def which(function: F) -> F:
    """Adds ``--env E``, ``--id N`` and ``--json``."""
    function = click.option(
        "--id", "number", type=int, metavar="N", help="Which; the open one if not given."
    )(function)
    return json_option(environment_option(function))


def telling(function: F) -> F:
    """Adds how the message to the team is dealt with."""
    function = click.option("--yes", is_flag=True, help="Post the message that is shown.")(function)
    return click.option("--no-message", is_flag=True, help="Tell nobody.")(function)


def say(
    invocation: Invocation,
    work: Callable[[Workspace, Desk], Awaitable[Incident]],
    turn: Turn | None,
    *,
    as_json: bool,
    yes: bool = False,
    no_message: bool = True,
) -> int:
    """Say it, tell how it stands, and show the message that goes with it."""

    async def run() -> int:
        async with invocation.workspace() as workspace:
            if workspace.read_only:
                raise Refused(
                    "read-only: nothing is said of an incident", next="start muva without --read-only"
                )
            found = await work(workspace, desk_of(workspace))
            click.echo(f"{found.name} on {found.environment}: {found.said[-1].text}", err=True)
            message = await post(workspace, found, turn, yes=yes) if turn and not no_message else None
            if as_json:
                print_json({**as_data(found), "message": message})
        return Exit.OK

    return wait(run)


async def post(workspace: Workspace, found: Incident, turn: Turn, *, yes: bool) -> dict[str, Any]:
    """Show the message, ask, post it. What was said of the incident stands, whatever becomes of that."""
    from muva_console.cli.acting import ask, perform
    from muva_console.ops.incidents.messages import message_of, notice_of

    text = message_of(found, turn)
    click.echo("The message:", err=True)
    for line in text.splitlines():
        click.echo(f"  {line}", err=True)
    posted, why = False, ""
    try:
        operation = notice_of(workspace, found, turn)
        plan = await workspace.performer.prepare(operation)
        click.echo(f"Post it to {workspace.config.notices.channel}? Everybody there reads it.", err=True)
        confirmation = ask(plan, yes=yes, confirm="")
        if confirmation is None:
            why = "not confirmed: copy it, or --yes posts it"
        else:
            events = await perform(workspace, operation, plan, confirmation)
            posted = bool(events) and events[-1].kind.value == "done"
            why = "" if posted else (events[-1].text if events else "")
    except OpsError as error:
        why = " ".join(error.lines())
        click.echo(f"muva: the message was not posted: {why}", err=True)
    return {"text": text, "posted": posted, "why": why}


async def seen(workspace: Workspace, environment: str, reason: str) -> tuple[str, bool]:
    """What the health checks see now. Raises Refused where that is not well and no reason is given."""
    await workspace.prepare()
    report = await workspace.environments[environment].read_health()
    bad = [f for f in report.findings if f.level in (Level.FAIL, Level.UNKNOWN)]
    told = "; ".join(f"{f.title or f.check}: {f.summary}" for f in bad[:3])
    if report.verdict is Verdict.GO:
        checks = len({finding.check for finding in report.findings})
        seen = f"{checks} health checks passed"
        return (f"{seen}; {reason}" if reason else seen), True
    if reason:
        return f"{reason} (seen: {told})", False
    if report.verdict is Verdict.NO_GO:
        raise Refused(
            f"{environment} is not healthy, so it is not called stable: {told}",
            next='Mend that first, or say why it is stable all the same: --reason "…".',
        )
    raise LinkError(
        Fault.OTHER,
        f"whether {environment} is healthy cannot be told: {told}",
        next='Say how it was seen: --reason "…".',
    )


def desk_of(workspace: Workspace) -> Desk:
    """The desk of a workspace's journal."""
    from muva_console.ops.incidents.desk import Desk

    return Desk(workspace.journal)


async def find(
    workspace: Workspace, desk: Desk, environment: str | None, number: int | None, *, newest: bool = False
) -> Incident:
    """The incident that is meant: by its number, else the open one; `newest`: else the last one.

    Raises ConfigError where none is, and where several are.
    """
    if number is not None:
        return await desk.get(number)
    if environment is not None:
        environment_of(workspace, environment)
    known = await desk.all(environment)
    found = [one for one in known if one.open]
    if not found and newest and known:
        return max(known, key=lambda one: one.id)
    if len(found) != 1:
        what = "no incident is open" if not found else "several incidents are open"
        hints = [f"--env {one.environment}: {one.name}, {one.title}" for one in found]
        raise ConfigError(
            what, mistakes=tuple(hints) or ("muva incident list tells those there were; --id N",)
        )
    return found[0]
