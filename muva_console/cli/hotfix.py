"""`muva hotfix NAME`: the hotfix runbook, led as `muva deploy` leads a deployment."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from muva_console.cli.acting import acting_options
from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    wait,
)
from muva_console.cli.deploy import Narrator, told_ending
from muva_console.ops.errors import ConfigError, Refused

if TYPE_CHECKING:
    from muva_console.ops.walking.walk import Walk
    from muva_console.ops.workspace import Workspace


@click.command()
@click.argument("name")
@environment_option
@click.option("--summary", default="", metavar="TEXT", help="What it mends: the pull request's title.")
@click.option("--skip-staging", default="", metavar="REASON", help="No time for staging: leave it out.")
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="ITEM=REASON",
    help="Pass over an item; may be repeated.",
)
@click.option("--approve", is_flag=True, help="Do also what is a reviewer's: approve as yourself.")
@click.option("--anew", is_flag=True, help="Begin another run where one is open.")
@click.option(
    "--patience",
    default=60,
    metavar="MINUTES",
    type=click.IntRange(0, 1440),
    help="How long what is waited for may stay as it is; 60 by default.",
)
@acting_options
@json_option
@click.pass_obj
def hotfix(
    invocation: Invocation,
    name: str,
    environment: str | None,
    summary: str,
    skip_staging: str,
    overrides: tuple[str, ...],
    approve: bool,
    anew: bool,
    patience: int,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Lead the hotfix runbook for the branch hotfix/NAME, from production's branch and back to all others.

    It stops for the fix itself: make it on the branch, push it, and begin again; it goes on where the world
    stands. What has happened already is not done again, whoever did it.

    Exit status: 0 done, 1 something is wrong, was refused or not confirmed, 2 usage or configuration,
    3 something could not be told, or a person is needed.
    """
    passed = {}
    for word in overrides:
        item, _, reason = word.partition("=")
        if not item.strip() or not reason.strip():
            raise click.UsageError("--override wants ITEM=REASON")
        passed[item.strip()] = reason.strip()

    async def run() -> int:
        from muva_console.ops.walking import hotfixing
        from muva_console.ops.walking.leading import Leader

        async with invocation.workspace() as workspace:
            of = _environment(workspace, environment)
            if workspace.read_only and not plan_only:
                raise Refused(
                    "read-only: nothing is mended", next="muva hotfix NAME --plan shows what is next"
                )
            walk, before = await hotfixing.open_hotfix(
                workspace, of, name, summary=summary, incident=await _incident(workspace, of), anew=anew
            )
            _opened(walk, before=before)
            if any(walk.run.item(one) is None for one in passed):
                items = ", ".join(one.step.id for one in walk.run.items)
                raise click.UsageError(f"--override: its items are {items}")
            if skip_staging:
                await hotfixing.skip_staging(walk, skip_staging)
            face = Narrator(workspace, yes=yes, confirm=confirm, plan_only=plan_only)
            leader = Leader(walk, face, overrides=passed, approve=approve, patience=patience * 60.0)
            ending = await leader.lead()
            command = f"muva hotfix {shlex.quote(walk.run.about['hotfix'].removeprefix('hotfix/'))}"
            return told_ending(ending, face, as_json=as_json, command=command)

    return wait(run)


def _environment(workspace: Workspace, name: str | None) -> str:
    """The one that is named, else the only production one. Raises ConfigError."""
    if name is not None:
        return environment_of(workspace, name).name
    found = [one for one, of in workspace.config.environments.items() if of.production]
    if len(found) != 1:
        raise ConfigError("no environment was named", mistakes=("--env takes a production environment",))
    return found[0]


async def _incident(workspace: Workspace, environment: str) -> str:
    """The open incident's number, so that the deployment's record names it; empty where none is."""
    from muva_console.ops.incidents.desk import Desk

    found = await Desk(workspace.journal).current(environment)
    return "" if found is None else str(found.id)


def _opened(walk: Walk, *, before: bool) -> None:
    run = walk.run
    begun = f"going on with run {run.id[:8]}, begun by {run.begun_by}" if before else f"run {run.id[:8]}"
    branch, target = run.about["hotfix"], run.about.get("target", "")
    click.echo(f"{run.runbook.title}: {branch} to {target} of {run.environment} ({begun})", err=True)
