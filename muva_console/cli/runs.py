"""`muva runs`: the workflows' runs on GitHub: list them, watch one live, read its log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from muva_console.cli.base import Invocation, json_option, print_json, wait, wait_while_read
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.logs.model import LogLevel
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.deploys.timeline import Moment
    from muva_console.ops.deploys.watch import Watch
    from muva_console.ops.links.github_actions import GitHubActions
    from muva_console.ops.runbooks.standing import ItemView
    from muva_console.ops.walking.walk import Walk
    from muva_console.ops.workspace import Workspace

FOLLOWED = "workflow-run"
"""The check whose item is watched live while a deployment waits for it."""
_COLOUR = {LogLevel.ERROR: "red", LogLevel.WARN: "yellow"}
_TICK = 0.25
"""Seconds between two looks at what has arrived."""


@click.group(invoke_without_command=True)
@click.option("--branch", default="", help="Those of a branch alone.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
@json_option
@click.pass_context
def runs(ctx: click.Context, branch: str, limit: int, as_json: bool) -> None:
    """The workflows' runs, newest first. Exit status: 0, 3 when GitHub could not be asked."""
    if ctx.invoked_subcommand is not None:
        return
    invocation: Invocation = ctx.obj

    async def look() -> int:
        from muva_console.ops.deploys.words import spell, word_of

        async with invocation.workspace() as workspace:
            found = await _actions(workspace).runs(branch=branch, size=limit)
        if as_json:
            print_json([to_builtins(one) for one in found])
            return Exit.OK
        for one in found:
            state = word_of(one.status, one.conclusion)
            took = spell((one.updated_at - one.started_at).total_seconds()) if one.finished else ""
            again = f" attempt {one.attempt}" if one.attempt > 1 else ""
            name = f"{one.workflow} #{one.number}{again}  {one.actor.login}"
            line = f"{one.id}  {state:<16}  {one.branch:<10}  {one.sha[:7]}  {took:>8}  {name}"
            bad = one.finished and one.conclusion != "success"
            click.echo(click.style(line, fg="red" if bad else None))
        if not found:
            click.echo("there are no runs", err=True)
        return Exit.OK

    ctx.exit(wait(look))


@runs.command()
@click.argument("run", type=int)
@json_option
@click.pass_obj
def watch(invocation: Invocation, run: int, as_json: bool) -> int:
    """Follow a run to its end: its steps, what it writes on the host as it is written, its logs.

    Whoever started it; begun late, nothing is missed. With --json a line of JSON for each moment. Exit
    status: 0 it succeeded, 1 it did not, 3 GitHub could not be asked.
    """

    async def follow() -> int:
        from muva_console.ops.deploys.watching import watch_of

        async with invocation.workspace() as workspace:
            actions = _actions(workspace)
            made = watch_of(workspace, actions, await actions.run(run))
            task = asyncio.create_task(_told(made, as_json=as_json))
            try:
                ended = await made.follow()
                await asyncio.sleep(2 * _TICK)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            return Exit.OK if ended.conclusion == "success" else Exit.BAD

    return wait_while_read(follow)


@runs.command()
@click.argument("run", type=int)
@click.option(
    "--attempt", default=None, type=click.IntRange(1), help="An earlier one; the latest by default."
)
@click.option("--failed", is_flag=True, help="Of the jobs that did not end well alone.")
@json_option
@click.pass_obj
def log(invocation: Invocation, run: int, attempt: int | None, failed: bool, as_json: bool) -> int:
    """The logs of a run's jobs, in the order in which they began; what GitHub has not any more is read from
    what was kept beside the journal when the run was watched.

    Exit status: 0 read, 3 GitHub could not be asked, or has a log not yet.
    """

    async def read() -> int:
        async with invocation.workspace() as workspace:
            try:
                return await _github_log(_actions(workspace), run, attempt, failed=failed, as_json=as_json)
            except LinkError as error:
                status = _kept_log(workspace, run, attempt, error, as_json=as_json)
                if status is None:
                    raise
                return status

    return wait_while_read(read)


async def _github_log(
    actions: GitHubActions, run: int, attempt: int | None, *, failed: bool, as_json: bool
) -> int:
    """Print what GitHub has. Raises LinkError where it has none any more, or cannot be asked."""
    from muva_console.ops.deploys.moments import log_moments

    status = int(Exit.OK)
    for job in await actions.jobs(run, attempt=attempt):
        if job.conclusion == "skipped" or (failed and job.conclusion in ("success", "")):
            continue
        text = await actions.job_log(job)
        if text is None:
            click.echo(f"GitHub has no log of {job.name} yet", err=True)
            status = int(Exit.CANNOT_TELL)
            continue
        if not as_json:
            click.echo(click.style(f"── {job.name} ──", bold=True))
        for moment in log_moments(job, text):
            _tell(moment, as_json=as_json)
    return status


def _kept_log(
    workspace: Workspace, run: int, attempt: int | None, why: LinkError, *, as_json: bool
) -> int | None:
    """Print what was kept of a run beside the journal; None where nothing was."""
    from muva_console.ops.deploys.kept import KeptRun, kept_attempts
    from muva_console.ops.deploys.moments import kept_moments

    journal = workspace.journal.directory
    attempts = kept_attempts(journal, run)
    wanted = attempt if attempt is not None else (attempts[-1] if attempts else 0)
    kept = KeptRun(journal, run, wanted)
    texts = [(job, text) for job in kept.jobs() if (text := kept.log(job)) is not None]
    if not texts:
        return None
    click.echo(f"not from GitHub ({why}), but as it was kept in {kept.path}", err=True)
    for job, text in texts:
        if not as_json:
            click.echo(click.style(f"── job {job} ──", bold=True))
        for moment in kept_moments(job, text):
            _tell(moment, as_json=as_json)
    return int(Exit.OK)


async def follow_item(workspace: Workspace, item: ItemView, walk: Walk) -> None:
    """Stream on standard error what a workflow's run does, where that is what the item waits for."""
    if item.step.check != FOLLOWED:
        return
    branch = workspace.config.environments[walk.run.environment].branch
    try:
        await _follow_newest(workspace, branch)
    except OpsError as error:  # the check of the item goes on, and decides what it means
        for line in ("the run is not shown live: " + str(error), *error.lines()[1:]):
            click.echo(f"  {line}", err=True)


async def _follow_newest(workspace: Workspace, branch: str) -> None:
    """Stream the newest run of a branch, once there is one that goes on. Raises LinkError."""
    from muva_console.ops.deploys.watch import EVERY
    from muva_console.ops.deploys.watching import watch_of

    actions = _actions(workspace)
    while True:
        found = await actions.runs(branch=branch, size=1)
        if found and not found[0].finished:
            break
        await asyncio.sleep(EVERY)
    made = watch_of(workspace, actions, found[0])
    task = asyncio.create_task(_told(made, as_json=False, err=True))
    try:
        await made.follow()
        await asyncio.sleep(2 * _TICK)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _actions(workspace: Workspace) -> GitHubActions:
    link = workspace.github
    if link is None:
        raise LinkError(
            Fault.CONFIG,
            "no repository on GitHub is configured",
            next='Give [project] a repository = "OWNER/NAME".',
        )
    return link.actions


async def _told(watch: Watch, *, as_json: bool, err: bool = False) -> None:
    """Print what arrives, as it arrives; a line that the host has told live is not told again."""
    place = 0
    while True:
        place, new = watch.timeline.since(place)
        for moment in new:
            if as_json or not moment.echo:
                _tell(moment, as_json=as_json, err=err)
        await asyncio.sleep(_TICK)


def _tell(moment: Moment, *, as_json: bool, err: bool = False) -> None:
    if as_json:
        print_json(moment.as_json(), line=True)
        return
    clock = moment.at.strftime("%H:%M:%S")
    line = f"{clock} {moment.source.value:<8} {'  ' * moment.depth}{moment.text}"
    click.echo(click.style(line, fg=_COLOUR.get(moment.level)), err=err)
