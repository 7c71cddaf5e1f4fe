"""What the Deploy screen looks at beside the time line: runs, who is waited for, the lock, the open walk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.deploys.lock import Lock, read_lock
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_runs import PendingDeployment, WorkflowRun
from muva_console.ops.runbooks.run import Run

if TYPE_CHECKING:
    from muva_console.ops.deploys.watch import Watch
    from muva_console.ops.workspace import Workspace

RUNS = 30
"""Runs that are listed, the newest. Ours."""


class Deployments(Struct, frozen=True, kw_only=True):
    """How an environment's deployments stand."""

    environment: str
    runs: tuple[WorkflowRun, ...] = ()
    pending: tuple[PendingDeployment, ...] = ()
    """What the newest run that waits is waiting for."""
    waiting: int = 0
    """That run's id; 0 where none waits."""
    runs_error: OpsError | None = None
    """Why the runs are not known."""
    locks: tuple[Lock, ...] = ()
    lock_error: OpsError | None = None
    """Why the lock is not known."""
    walk: Run | None = None
    """The newest open run of the deployment's runbook."""


async def read_deployments(workspace: Workspace, environment: str) -> Deployments:
    """All of it, side by side; what cannot be read is told, and leaves the rest. Raises JournalError."""
    runs, locks, walk = await asyncio.gather(
        _runs(workspace, environment), _locks(workspace, environment), _walk(workspace, environment)
    )
    found, waiting, pending, runs_error = runs
    return Deployments(
        environment=environment,
        runs=found,
        waiting=waiting,
        pending=pending,
        runs_error=runs_error,
        locks=locks[0],
        lock_error=locks[1],
        walk=walk,
    )


async def _runs(
    workspace: Workspace, environment: str
) -> tuple[tuple[WorkflowRun, ...], int, tuple[PendingDeployment, ...], OpsError | None]:
    link = workspace.github
    if link is None:
        error = OpsError("no repository on GitHub is configured", next="Give [project] a repository.")
        return (), 0, (), error
    branch = workspace.config.environments[environment].branch
    try:
        found = await link.actions.runs(branch=branch, size=RUNS)
        waits = next((one for one in found if one.status == "waiting"), None)
        pending = await link.actions.pending(waits) if waits is not None else ()
    except OpsError as error:
        return (), 0, (), error
    return found, waits.id if waits is not None else 0, pending, None


async def _locks(workspace: Workspace, environment: str) -> tuple[tuple[Lock, ...], OpsError | None]:
    of = workspace.config.environments[environment]
    if not of.production:
        return (), None  # nothing but production's runbook takes it
    try:
        links = [workspace.host(name) for name in of.hosts]
        return tuple(await asyncio.gather(*(read_lock(link, environment) for link in links))), None
    except OpsError as error:
        return (), error


async def _walk(workspace: Workspace, environment: str) -> Run | None:
    from muva_console.ops.walking.leading import deployment_of
    from muva_console.ops.walking.runs import list_runs

    try:
        book = deployment_of(workspace, environment)
    except OpsError:
        return None
    opened = (one for one in await list_runs(workspace, environment=environment) if one.ended_at is None)
    return next((one for one in opened if one.runbook.id == book.id), None)


def watch_run(workspace: Workspace, run: WorkflowRun) -> Watch:
    """A watch of a run. Made in the ops loop."""
    from muva_console.ops.deploys.watching import watch_of

    assert workspace.github is not None  # the run was listed by it
    return watch_of(workspace, workspace.github.actions, run)
