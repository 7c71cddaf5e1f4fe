"""An operation on the command line: its plan, the question, what happens, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import to_builtins

from muva_console.cli.base import print_json
from muva_console.ops.operations import Event, EventKind, Operation, Plan, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])
HandOver = Callable[[Plan, Confirmation], Awaitable[int]]
"""Takes a confirmed plan to be performed elsewhere; returns the exit status."""

_MARK = {
    EventKind.STEP: "▸",
    EventKind.OUTPUT: " ",
    EventKind.WARNING: "▲",
    EventKind.VERIFIED: "●",
    EventKind.FAILED: "✖",
    EventKind.DONE: "●",
}


def acting_options(function: F) -> F:
    """Adds ``--yes``, ``--confirm NAME`` and ``--plan``."""
    for option in (
        click.option("--yes", is_flag=True, help="Answer the question with yes (for scripts)."),
        click.option("--confirm", default="", metavar="NAME", help="Production: the environment's name."),
        click.option("--plan", "plan_only", is_flag=True, help="Show the plan and do nothing."),
    ):
        function = option(function)
    return function


async def act(
    workspace: Workspace,
    operation: Operation,
    *,
    yes: bool,
    confirm: str,
    plan_only: bool = False,
    as_json: bool = False,
    hand_over: HandOver | None = None,
) -> int:
    """Plan, show, ask, perform; returns the exit status: 0 done (or planned), 1 failed or not confirmed.

    Narration goes to standard error; with `as_json` the plan and the events go to standard output as one
    document. With `hand_over` a confirmed plan is not performed here: its status is the
    answer. Raises OpsError when it cannot be planned, Refused when it may not be done.
    """
    plan = await workspace.performer.prepare(operation)
    tell_plan(plan)
    if plan_only:
        if as_json:
            print_json({"plan": to_builtins(plan), "events": []})
        return Exit.OK
    confirmation = ask(plan, yes=yes, confirm=confirm)
    if confirmation is None:
        return Exit.BAD
    if hand_over is not None:
        return await hand_over(plan, confirmation)
    events = await perform(workspace, operation, plan, confirmation)
    if as_json:
        print_json({"plan": to_builtins(plan), "events": [to_builtins(event) for event in events]})
    return Exit.OK if events and events[-1].kind is EventKind.DONE else Exit.BAD


def tell_plan(plan: Plan) -> None:
    """Show a plan on standard error."""
    for line in plan_lines(plan):
        click.echo(line, err=True)


async def perform(
    workspace: Workspace, operation: Operation, plan: Plan, confirmation: Confirmation
) -> list[Event]:
    """Perform what was confirmed, told on standard error as it happens; returns the events, the last one DONE
    or FAILED. Raises Refused.
    """
    events: list[Event] = []
    performed = workspace.performer.perform(operation, plan, confirmation)
    async with aclosing(performed):
        async for event in performed:
            events.append(event)
            click.echo(event_line(event), err=True)
    return events


def event_line(event: Event) -> str:
    """An event as a line: when, a mark for its kind, and what."""
    style = {EventKind.FAILED: "red", EventKind.WARNING: "yellow"}.get(event.kind)
    return click.style(f"{event.at:%H:%M:%S} {_MARK[event.kind]} {event.text}", fg=style)


def plan_lines(plan: Plan) -> list[str]:
    """A plan as text: what will be run where and why, what may go wrong, how it is undone."""
    lines = [f"{plan.title} ({plan.environment})", f"  on    {plan.target}"]
    lines += [
        f"  runs  {command.where}: {command.line}{f'   # {command.why}' if command.why else ''}"
        for command in plan.commands
    ]
    lines += [click.style(f"  risk  {risk}", fg="yellow") for risk in plan.risks]
    lines.append(f"  undo  {plan.undo or 'cannot be undone'}")
    return lines


def ask(plan: Plan, *, yes: bool, confirm: str) -> Confirmation | None:
    """Ask for what the plan's tier wants; None, and told, where it was not given."""
    confirmation = _ask(plan, yes=yes, confirm=confirm)
    if confirmation is None:
        click.echo("muva: not confirmed, so nothing was done", err=True)
        if plan.tier is Tier.TYPE_NAME and not confirm and yes:
            click.echo(f"  on production it takes --confirm {plan.environment} too", err=True)
    return confirmation


def _ask(plan: Plan, *, yes: bool, confirm: str) -> Confirmation | None:
    if plan.tier is Tier.NONE:
        return Confirmation(confirmed=True)
    if plan.tier is Tier.TYPE_NAME:
        typed = confirm
        if not typed and not yes and sys.stdin.isatty():
            typed = click.prompt(
                f"Type {plan.environment} to do it", default="", show_default=False, err=True
            )
        return Confirmation(confirmed=True, typed=typed) if typed else None
    if yes:
        return Confirmation(confirmed=True)
    if not sys.stdin.isatty():
        return None
    return Confirmation(confirmed=True) if click.confirm("Do it?", default=False, err=True) else None
