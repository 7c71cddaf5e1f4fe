"""`muva jobs`: acts that go on in a process of their own; list, look, follow, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from muva_console.cli.acting import F, HandOver, event_line
from muva_console.cli.base import Invocation, json_option, print_json, wait, wait_while_read
from muva_console.ops.operations import EventKind, Plan
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.jobs.builders import Rebuilt
    from muva_console.ops.workspace import Workspace


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def jobs(ctx: click.Context, as_json: bool) -> None:
    """Acts that go on whatever becomes of the terminal. Without a command: all of them, newest first."""
    if ctx.invoked_subcommand is not None:
        return
    invocation: Invocation = ctx.obj

    async def look() -> int:
        from muva_console.ops.jobs.job import jobs_of

        async with invocation.workspace() as workspace:
            found = jobs_of(workspace)
        if as_json:
            print_json([to_builtins(one) for one in found])
        for one in found if not as_json else ():
            click.echo(f"{one.id}  {one.state.value:<11}  {one.environment:<10}  {one.engineer}  {one.title}")
        if not found:
            click.echo("there are no jobs", err=True)
        return Exit.OK

    ctx.exit(wait(look))


@jobs.command()
@click.argument("id")
@click.option("--follow", is_flag=True, help="Go on until its end; its exit status is the job's.")
@json_option
@click.pass_obj
def show(invocation: Invocation, id: str, follow: bool, as_json: bool) -> int:
    """One job's events, and what an interrupted one has left.

    Exit status: 0 done (or under way), 1 failed, 3 interrupted.
    """

    async def look() -> int:
        async with invocation.workspace() as workspace:
            return await _show(workspace, id, follow=follow, as_json=as_json)

    return wait_while_read(look)


@jobs.command()
@click.argument("id")
@click.pass_obj
def stop(invocation: Invocation, id: str) -> int:
    """Have a job give up: it cancels what is under way, and records that."""

    async def work() -> int:
        from muva_console.ops.jobs.job import job_of

        async with invocation.workspace() as workspace:
            job = job_of(workspace, id)
            job.stop()
            async for event in job.attach():
                last = event
        click.echo(event_line(last), err=True)
        return Exit.OK

    return wait(work)


def detached(workspace: Workspace, operation: Rebuilt, *, as_json: bool) -> HandOver:
    """Hands a confirmed plan of an operation over to a job, and tells how to follow it."""

    async def start(plan: Plan, confirmation: Confirmation) -> int:
        from muva_console.ops.jobs.job import Job

        told = operation.arguments()
        job = await Job.start(workspace, operation.name, plan.environment, told, plan, confirmation)
        click.echo(f"muva: it goes on by itself as job {job.id}, whatever becomes of this terminal", err=True)
        click.echo(f"  muva jobs show --follow {job.id}", err=True)
        if as_json:
            print_json({"job": job.id, "folder": str(job.path), "plan": to_builtins(plan)})
        return Exit.OK

    return start


def detach_option(function: F) -> F:
    """Adds ``--detach``."""
    told = "Go on in a process of its own, whatever becomes of the terminal."
    return click.option("--detach", is_flag=True, help=told)(function)


def wait_option(function: F) -> F:
    """Adds ``--wait SECONDS`` as `patience`."""
    return click.option(
        "--wait",
        "patience",
        default=0,
        metavar="SECONDS",
        type=click.IntRange(0, 3600),
        help="Wait for somebody else's apply, rollback or restore to end.",
    )(function)


async def _show(workspace: Workspace, id: str, *, follow: bool, as_json: bool) -> int:
    from muva_console.ops.jobs.builders import aftermath
    from muva_console.ops.jobs.job import job_of
    from muva_console.ops.jobs.model import JobState, Request
    from muva_console.ops.jobs.store import REQUEST, read, read_events

    job = job_of(workspace, id)
    events = []
    if follow or job.info.state not in (JobState.RUNNING, JobState.STARTING):
        async for event in job.attach():
            events.append(event)
            if not as_json:
                click.echo(event_line(event))
    else:
        events, _ = read_events(job.path)
        for event in events if not as_json else ():
            click.echo(event_line(event))
    info = job.info
    left: tuple[str, ...] = ()
    request = read(job.path, REQUEST, Request)
    if info.state is JobState.INTERRUPTED and request is not None:
        left = await aftermath(workspace, info.operation, info.environment, request.arguments)
        for line in left if not as_json else ():
            click.echo(f"  now: {line}")
    if as_json:
        shown = [to_builtins(event) for event in events]
        print_json({"job": to_builtins(info), "events": shown, "left": list(left)})
    else:
        click.echo(f"job {info.id} is {info.state.value}", err=True)
    if info.state is JobState.INTERRUPTED:
        return Exit.CANNOT_TELL
    failed = bool(events) and events[-1].kind is EventKind.FAILED
    return Exit.BAD if failed else Exit.OK
