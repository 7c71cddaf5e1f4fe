"""A deployment written down by hand, or taken over from GitHub's runs: never twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from muva_console.ops.deploys.record_act import made_of, record, told_line
from muva_console.ops.deploys.which_run import deploying
from muva_console.ops.errors import Refused
from muva_console.ops.readings import utc_now
from muva_console.ops.release.records import Deployment, DeploymentKind, Status, read_deployments
from muva_console.ops.text import sanitise_line
from muva_console.ops.walking.looking import look

if TYPE_CHECKING:
    from muva_console.ops.links.github_runs import WorkflowRun
    from muva_console.ops.workspace import Workspace

LONGEST = 24 * 3600.0
"""Seconds. A deployment that took longer is a mistake in typing. Ours."""
AHEAD = timedelta(minutes=1)
"""How far a time may lie ahead: clocks differ a little. Ours."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


async def record_by_hand(
    workspace: Workspace,
    environment: str,
    *,
    status: Status,
    duration: float | None,
    commit: str,
    branch: str,
    kind: DeploymentKind,
    error: str,
    at: datetime,
    rolls_back: str = "",
) -> tuple[Deployment, bool]:
    """Write a deployment down that the console did not lead; what was recorded, and whether it was now.
    Raises Refused for what cannot be: a negative duration, a commit that the repository does not have, a time
    before the newest record (a clock that was set back).
    """
    if duration is not None and not 0 <= duration <= LONGEST:
        raise Refused(
            f"a duration of {duration:g} s cannot be", next=f"Give seconds from 0 to {LONGEST:.0f}."
        )
    whole = await _whole(workspace, environment, commit)
    taken_back = await _whole(workspace, environment, rolls_back) if rolls_back else ""
    if at > utc_now() + AHEAD:
        raise Refused(f"{at:%Y-%m-%d %H:%M} UTC has not come yet", next="Give --at with the time it ended.")
    known = await read_deployments(workspace.journal, environment)
    newest = max((one.finished for one in known if one.finished is not None), default=None)
    if newest is not None and at < newest:
        raise Refused(
            f"it would be recorded for {at:%Y-%m-%d %H:%M:%S} UTC, before the newest record of {environment} "
            f"({newest:%Y-%m-%d %H:%M:%S})",
            means="the clock was set back, or the time that was given lies before",
            next="Set the clock, or give --at with the time it ended, after that.",
        )
    made = Deployment(
        id=f"{environment}/hand/{whole}/{at:%Y%m%dT%H%M%S}",
        environment=environment,
        started=None if duration is None else at - timedelta(seconds=duration),
        finished=at,
        duration=duration,
        commit=whole,
        branch=sanitise_line(branch, cap=200) or workspace.config.environments[environment].branch,
        status=status,
        kind=kind,
        live=status is not Status.FAILED,
        rolls_back=taken_back,
        error=sanitise_line(error, cap=300),
    )
    context = look(workspace, environment).target
    try:
        _, first = await record(context, made)
    finally:
        context.end()
    return made, first


async def _whole(workspace: Workspace, environment: str, commit: str) -> str:
    """The whole hash of a commit of the repository. Raises Refused, LinkError."""
    word = commit.strip().lower()
    if not word:
        heads = await workspace.workshop.heads()
        branch = workspace.config.environments[environment].branch
        if branch not in heads:
            raise Refused(f"no commit was given, and {branch} is not in the repository")
        return heads[branch]
    if not _COMMIT.fullmatch(word):
        raise Refused(f"{sanitise_line(commit, cap=60)} is no commit", next="Give its hash.")
    await workspace.workshop.heads()
    git = await workspace.workshop.git()
    found = await git.text("rev-parse", "--verify", "-q", f"{word}^{{commit}}", fine=(0, 1, 128))
    if not found:
        raise Refused(
            f"the repository has no commit {word}",
            next="Give the hash of a commit that was pushed, or fetch first.",
        )
    return found


async def import_runs(workspace: Workspace, environment: str, since: datetime) -> AsyncIterator[str]:
    """Take over from GitHub what was deployed elsewhere since then, oldest first; a line for each new one.
    What is recorded already, by whomever, is passed over. Raises LinkError, JournalError.
    """
    link = workspace.github
    if link is None:
        raise Refused("no repository on GitHub is configured", next="Give [project] a repository.")
    branch = workspace.config.environments[environment].branch
    recorded = await read_deployments(workspace.journal, environment, limit=None)
    known = {one.id for one in recorded}
    by_hand = {one.commit for one in recorded if "/hand/" in one.id}
    runs = await link.actions.runs(branch=branch, created=f">={since:%Y-%m-%d}", most=10, size=100)
    # of each commit those that deploy: tests on the same branch are no deployment
    of_commit: dict[str, list[WorkflowRun]] = {}
    for run in runs:
        of_commit.setdefault(run.sha, []).append(run)
    ended = [run for one in of_commit.values() for run in deploying(one) if run.finished]
    context = look(workspace, environment).target
    try:
        for run in sorted(ended, key=lambda one: one.started_at):
            if f"{environment}/run/{run.id}/{run.attempt}" in known or run.started_at < since:
                continue
            if run.sha in by_hand:
                continue
            jobs = await link.actions.jobs(run)
            made = await made_of(context, run.sha, run, jobs, live=None)
            _, first = await record(context, made)
            if first:
                yield told_line(made)
    finally:
        context.end()
