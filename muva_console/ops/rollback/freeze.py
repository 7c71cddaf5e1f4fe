"""Nothing may be deployed over a rollback: what is under way on GitHub is waited for, called off or refused.

A run that has begun is waited for and never cancelled: it may be in the middle of a migration. One that waits
for an approval is rejected, or cancelled where this account may not refuse it; one that is queued is
cancelled. A deployment that ended later would promote the bad build again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import output, step, verified, warning
from muva_console.ops.deploys.which_run import deploying
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.github_model import Declined, Unsure
from muva_console.ops.links.github_runs import WorkflowRun
from muva_console.ops.operations import Event

WAIT = 20 * 60.0
"""Seconds for a deployment that is under way. Ours: the playbook's own jobs have fifteen minutes each."""
EVERY = 5.0
"""Seconds between looks; answers that have not changed cost nothing of GitHub's limit."""
_QUEUED = frozenset({"queued", "requested", "pending"})


class UnderWay(Struct, frozen=True, kw_only=True):
    """The runs that would deploy."""

    going: tuple[WorkflowRun, ...] = ()
    waiting: tuple[WorkflowRun, ...] = ()
    """For an approval."""
    queued: tuple[WorkflowRun, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return bool(self.going or self.waiting or self.queued)


async def under_way(ctx: CheckContext) -> UnderWay:
    """Those of the environment's branch; none where no GitHub is configured. Raises OpsError."""
    link = ctx.going_out().github
    if link is None:
        return UnderWay()
    runs = await link.actions.runs(branch=ctx.environment.branch)
    unfinished = [one for one in deploying(runs) if not one.finished]
    return UnderWay(
        going=tuple(one for one in unfinished if one.status not in _QUEUED | {"waiting"}),
        waiting=tuple(one for one in unfinished if one.status == "waiting"),
        queued=tuple(one for one in unfinished if one.status in _QUEUED),
    )


async def freeze(ctx: CheckContext, why: str) -> AsyncGenerator[Event, None]:
    """Until nothing is under way; an event for each thing done. Raises OpsError where a run goes on for
    longer than `WAIT`.
    """
    until, told = time.monotonic() + WAIT, ""
    while True:
        found = await under_way(ctx)
        link = ctx.going_out().github
        if link is None or not found.any:
            yield verified("no deployment is under way" if link is not None else "no GitHub is configured")
            return
        for run in (*found.queued, *found.waiting):
            async for event in _called_off(ctx, link, run, why):
                yield event
        line = ", ".join(f"{run.id} ({run.status})" for run in (*found.going, *found.waiting, *found.queued))
        if line != told:
            yield output(f"waiting for run {line}: it is not cancelled, for it may be in a migration")
            told = line
        if time.monotonic() > until:
            raise OpsError(
                f"run {line} goes on for more than {WAIT / 60:.0f} minutes",
                means="nothing was rolled back",
                next="See what holds it on GitHub.",
            )
        await asyncio.sleep(EVERY if found.going else 1.0)


async def _called_off(
    ctx: CheckContext, link: GitHubLink, run: WorkflowRun, why: str
) -> AsyncGenerator[Event, None]:
    """Reject a run that waits for this environment, where this account may; else cancel it: it has not begun.
    What was not taken is told by the next look.
    """
    pending = await link.actions.pending(run) if run.status == "waiting" else ()
    ours = [one for one in pending if one.environment.lower() == ctx.environment_name.lower()]
    try:
        if ours and ours[0].can_approve:
            yield step(f"rejecting run {run.id}, which waits for an approval")
            ids = [one.environment_id for one in ours]
            await link.actions.decide(run, ids, approve=False, comment=f"Rolling back: {why}"[:1000])
        else:
            waits = "waits for an approval that is not yours to refuse" if pending else "is queued"
            yield step(f"cancelling run {run.id}, which {waits}")
            await link.actions.cancel(run)
    except (Declined, Unsure) as error:  # it has begun, or ended
        yield warning(error.what)
