"""The checks "workflow-run" and "run-crosscheck": what GitHub's run says, and what is so.

Both are about the commit that the environment's branch stands at, and its newest run there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import github_of
from muva_console.ops.deploys.record_act import rolled_back
from muva_console.ops.deploys.which_run import deployment
from muva_console.ops.deploys.words import failing, sentence, spell, word_of
from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.health.words import count
from muva_console.ops.links.github_runs import Job, PendingDeployment, WorkflowRun
from muva_console.ops.migrations.compare import compare
from muva_console.ops.migrations.model import State
from muva_console.ops.pm2.model import Process
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.schema_ground import Told, ground_of, history_of
from muva_console.ops.release.served import same, short

GOOD_FOR = 30.0
"""Seconds. Ours: a run changes by the second."""
SECONDS = 60.0
AFTER = timedelta(seconds=10)
"""How long after a run's end a process may begin and still be of the run: its own restart. Ours."""


class RunOf(Struct, frozen=True, kw_only=True):
    """The run of a commit, as it stands."""

    sha: str
    branch: str
    run: WorkflowRun | None = None
    """None where none has begun."""
    jobs: tuple[Job, ...] = ()
    pending: tuple[PendingDeployment, ...] = ()
    other: WorkflowRun | None = None
    """Where none has begun: the newest one of the branch, of another commit."""


async def run_of(ctx: CheckContext) -> RunOf:
    """The newest run of the commit that the environment's branch stands at. Raises OpsError."""
    outgoing = await ctx.outgoing()
    if not outgoing.fetched:
        raise OpsError(f"where {outgoing.target} stands is not known: {outgoing.fetch_error}")
    actions = github_of(ctx).actions
    sha, branch = outgoing.base, outgoing.target
    run = deployment(await actions.runs(branch=branch, sha=sha))
    if run is None:
        return RunOf(sha=sha, branch=branch, other=deployment(await actions.runs(branch=branch)))
    jobs = await actions.jobs(run)
    waits = not run.finished and run.status not in ("in_progress", "queued")
    pending = await actions.pending(run) if waits else ()
    return RunOf(sha=sha, branch=branch, run=run, jobs=jobs, pending=pending)


@check("workflow-run", title="Workflow run", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def workflow_run(ctx: CheckContext) -> Finding:
    """The newest run of the commit that the environment's branch stands at has succeeded. One that is not
    over is unknown, and says at which step it is and whom it waits for; one that did not end well is a
    failure, with the step at which that was.
    """
    found = await run_of(ctx)
    link, run = github_of(ctx), found.run
    if run is None:
        evidence = [f"{found.branch} stands at {found.sha}"]
        if found.other is not None:
            one = found.other
            evidence.append(f"the newest run of {found.branch}: {one.path} #{one.number} of {one.sha[:7]}")
        return tell(
            Level.UNKNOWN,
            f"no workflow runs for {found.sha[:7]} yet",
            evidence=evidence,
            command=link.line(f"/actions/runs?head_sha={found.sha}"),
            next=f"It begins some seconds after the push. If none comes, see whether a file below "
            f".github/workflows says `on: push` for {found.branch}.",
        )
    level = Level.UNKNOWN
    if run.finished:
        level = Level.OK if run.conclusion == "success" else Level.FAIL
    summary = sentence(run, found.jobs, found.pending)
    if level is Level.FAIL and rolled_back(found.jobs):
        summary += "; the run itself brought the release before back"
    return tell(
        level,
        summary,
        subject=f"{run.path} of {run.sha[:7]}",
        evidence=[*_steps(found.jobs), *([run.url] if run.url else [])],
        command=f"gh run view {run.id}",
        next=_next(found) if level is Level.FAIL else "",
    )


def _steps(jobs: Sequence[Job]) -> list[str]:
    """A line a job, and beneath one that did not end well, or is not over, a line a step."""
    lines = []
    for job in jobs:
        lines.append(f"{job.name}: {word_of(job.status, job.conclusion)}{_took(job)}")
        if job.conclusion not in ("success", "skipped"):
            lines += [
                f"  {step.name}: {word_of(step.status, step.conclusion)}"
                for step in job.steps
                if step.status != "queued"
            ]
    return lines


def _took(job: Job) -> str:
    if job.started_at is None or job.completed_at is None or job.conclusion == "skipped":
        return ""
    return f", {spell((job.completed_at - job.started_at).total_seconds())}"


def _next(found: RunOf) -> str:
    bad = failing(found.jobs)
    log = f"muva runs log {found.run.id}" if found.run is not None else ""
    return f"Read what {bad[1] or bad[0].name} says: {log}" if bad is not None else f"Read its log: {log}"


@check("run-crosscheck", title="Run held against the host", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def run_crosscheck(ctx: CheckContext) -> Finding:
    """What the run says is so: what is served is its commit, no process began again after its end, and the
    database has nothing recorded that no file of the commit has. What cannot be asked leaves it unknown.
    """
    found = await run_of(ctx)
    run = found.run
    if run is None or not run.finished:
        state = "has not begun" if run is None else "is not over"
        return tell(Level.UNKNOWN, f"the run of {found.sha[:7]} {state}: there is nothing to compare yet")
    told = Told()
    ended = max((job.completed_at for job in found.jobs if job.completed_at), default=run.updated_at)
    await asyncio.gather(
        _served(ctx, told, found), _restarted(ctx, told, ended), _recorded(ctx, told), return_exceptions=False
    )
    summary = told.headline(told.level) if told.level is not Level.OK else (
        f"{ctx.environment_name} serves what run {run.id} deployed, and nothing has begun again since"
    )  # fmt: skip
    return tell(
        told.level,
        summary,
        subject=f"run {run.id}",
        evidence=[f"{run.workflow} #{run.number}: {word_of(run.status, run.conclusion)}", *told.evidence],
        command=f"gh run view {run.id}",
    )


async def _served(ctx: CheckContext, told: Told, found: RunOf) -> None:
    assert found.run is not None
    well = found.run.conclusion == "success"
    try:
        document = read_document((await ctx.health()).json)
    except OpsError as error:
        told.add(Level.UNKNOWN, f"what is served cannot be asked: {error}")
        return
    served = document.commit if document is not None else ""
    if not served:
        told.add(Level.UNKNOWN, "the application does not say which commit it serves")
    elif same(served, found.sha):
        level = Level.OK if well else Level.WARN
        told.add(level, f"serves {short(served)}" + ("" if well else ", though its run did not succeed"))
    elif well:
        told.add(Level.FAIL, f"the run says success, but {ctx.environment_name} serves {short(served)}")
    else:
        told.add(Level.OK, f"serves {short(served)}: the failed run has left what was there")


async def _restarted(ctx: CheckContext, told: Told, ended: datetime) -> None:
    for host in ctx.environment.hosts:
        try:
            listed = await ctx.processes(host)
        except OpsError as error:
            told.add(Level.UNKNOWN, f"{host}: {error}")
            continue
        names = ctx.environment.processes
        mine = [process for process in listed.processes if not names or process.name in names]
        for process in mine:
            _began(told, process, ended)
        for name in names or ("a process",):
            if not any(process.name == name or not names for process in mine):
                told.add(Level.FAIL, f"PM2 on {host} does not have {name}")


def _began(told: Told, process: Process, ended: datetime) -> None:
    where = f"{process.name} on {process.host}"
    if process.started_at is None:
        told.add(Level.FAIL, f"{where} is {process.status}")
        return
    after = process.started_at - ended
    if after <= AFTER:
        told.add(Level.OK, f"{where} has run since {process.started_at:%H:%M:%S} UTC")
        return
    asked = process.asked_at is not None and process.asked_at >= process.started_at - AFTER
    why = "somebody asked for it" if asked else "nobody is known to have asked for it"
    told.add(Level.WARN, f"{where} began again {spell(after.total_seconds())} after the run's end; {why}")


async def _recorded(ctx: CheckContext, told: Told) -> None:
    if ctx.postgres is None:
        return
    try:
        ground = await ground_of(ctx)
        history = await history_of(ctx, ctx)
    except OpsError as error:
        told.add(Level.UNKNOWN, f"recorded migrations cannot be compared: {error}")
        return
    missing = [one for one in compare(ground.base, history) if one.state is State.MISSING]
    for one in missing:
        told.add(Level.FAIL, f"{one.title} is recorded, and no file of {ground.outgoing.target} has it")
    if not missing:
        told.add(Level.OK, f"{count(len(history.applied), 'recorded migration')}, each with its file")
