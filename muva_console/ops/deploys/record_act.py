"""The act "deploy-record" and the check "deploy-recorded": a deployment written down, once an attempt."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, here, output, step, verified, workshop_of
from muva_console.ops.deploys.version import branch_version, manifest_version
from muva_console.ops.deploys.which_run import deployment
from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.health.words import spell_span
from muva_console.ops.journal.model import Draft
from muva_console.ops.links.github_runs import Job, WorkflowRun
from muva_console.ops.operations import Event, Plan, Tier
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.records import (
    KIND,
    Deployment,
    DeploymentKind,
    Status,
    read_deployments,
)
from muva_console.ops.release.served import same
from muva_console.ops.text import sanitise_line

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


class Facts(Struct, frozen=True, kw_only=True):
    """What is to be written, or why it cannot be yet."""

    deployment: Deployment | None = None
    wait: str = ""
    """What is waited for."""
    evidence: tuple[str, ...] = ()


async def read_facts(ctx: CheckContext) -> Facts:
    """The deployment of the commit that the environment's branch stands at, from its newest workflow run; by
    what is served where no GitHub is configured. Raises OpsError.
    """
    outgoing = await ctx.outgoing()
    if not outgoing.fetched:
        raise OpsError(f"where {outgoing.target} stands is not known: {outgoing.fetch_error}")
    sha, link = outgoing.base, ctx.going_out().github
    served = await _served(ctx)
    live = None if not served else same(served, sha)
    evidence = [
        f"{outgoing.target} stands at {sha}",
        f"{ctx.environment_name} serves {served or '(not known)'}",
    ]
    if link is None:
        if not live:
            return Facts(wait=f"{ctx.environment_name} does not serve {sha[:7]}", evidence=tuple(evidence))
        return Facts(deployment=await made_of(ctx, sha, None, (), live=True), evidence=tuple(evidence))
    runs = await link.actions.runs(branch=outgoing.target, sha=sha)
    run = deployment(runs)
    if run is None:
        return Facts(wait=f"no workflow ran for {sha[:7]}", evidence=tuple(evidence))
    evidence.append(
        f"run {run.id}, attempt {run.attempt}: {run.workflow}, {run.status} {run.conclusion}".rstrip()
    )
    if not run.finished:
        return Facts(wait=f"run {run.id} is {run.status}", evidence=tuple(evidence))
    jobs = await link.actions.jobs(run)
    if (
        run.conclusion == "success" and ctx.environment.url is not None and not served
    ):  # a run that went well says nothing of who is served
        return Facts(wait=f"what {ctx.environment_name} serves is not known", evidence=tuple(evidence))
    return Facts(deployment=await made_of(ctx, sha, run, jobs, live=live), evidence=tuple(evidence))


async def _served(ctx: CheckContext) -> str:
    try:
        document = read_document((await ctx.health()).json)
    except OpsError:
        return ""
    return document.commit if document is not None else ""


async def made_of(
    ctx: CheckContext, sha: str, run: WorkflowRun | None, jobs: Sequence[Job], *, live: bool | None
) -> Deployment:
    """What a run deployed, or, without one, a commit that is served. Raises OpsError."""
    environment = ctx.environment_name
    pull, kind, version = await _came_by(ctx, sha)
    status = Status.FAILED
    if run is not None and run.conclusion != "success" and rolled_back(jobs):
        status, live = Status.ROLLBACK, True
    elif (run is None or run.conclusion == "success") and live is not False:
        status = Status.SUCCESS  # where another commit is served, it went wrong whatever the run says
    started = run.started_at if run is not None else None
    finished = _ended(run, jobs) if run is not None else None
    asked = str(ctx.parameters.get("kind", "") or "")
    return Deployment(
        id=f"{environment}/run/{run.id}/{run.attempt}" if run is not None else f"{environment}/commit/{sha}",
        environment=environment,
        started=started,
        finished=finished,
        duration=(finished - started).total_seconds() if started and finished else None,
        commit=sha,
        branch=ctx.environment.branch,
        version=version,
        status=status,
        kind=DeploymentKind(asked) if asked in tuple(DeploymentKind) else kind,
        live=live,
        run=run.id if run is not None else 0,
        attempt=run.attempt if run is not None else 0,
        pull=pull,
        incident=sanitise_line(str(ctx.parameters.get("incident", "") or ""), cap=120),
        url=run.url if run is not None else "",
    )


async def _came_by(ctx: CheckContext, sha: str) -> tuple[int, DeploymentKind, str]:
    """The pull request that made the commit, of which kind the deployment is, and its version."""
    pull, kind, version = 0, DeploymentKind.PLANNED, ""
    link = ctx.going_out().github
    if link is not None:
        for one in await link.pulls_of(sha):
            if one.merged and one.merge_commit == sha:
                pull = one.number
                if one.head.startswith("hotfix/"):
                    kind = DeploymentKind.HOTFIX
                elif one.head.startswith("rollback"):
                    kind = DeploymentKind.ROLLBACK
                told = branch_version(one.head)
                version = str(told) if told is not None else ""
    if not version:
        told = await manifest_version(workshop_of(ctx), sha)
        version = str(told) if told is not None else ""
    return pull, kind, version


def rolled_back(jobs: Sequence[Job]) -> bool:
    """Whether a run took back what it had deployed: a job or a step named so ran to a good end. Its names are
    the workflow's own; the playbook's sixth stage is "Rollback on failure".
    """
    parts = [(job.name, job.conclusion) for job in jobs]
    parts += [(one.name, one.conclusion) for job in jobs for one in job.steps]
    plain = ((re.sub(r"[^a-z]", "", name.lower()), end) for name, end in parts)
    return any(name.startswith("rollback") and end == "success" for name, end in plain)


def _ended(run: WorkflowRun, jobs: Sequence[Job]) -> datetime:
    """When its last job ended: the run itself is touched later (logs deleted, an artifact expired)."""
    return max((job.completed_at for job in jobs if job.completed_at is not None), default=run.updated_at)


async def _recorded(ctx: CheckContext, id: str) -> Deployment | None:
    journal = ctx.going_out().journal
    known = await read_deployments(journal, ctx.environment_name)
    return next((one for one in known if one.id == id), None)


@check("deploy-recorded", title="Recorded", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def deploy_recorded(ctx: CheckContext) -> Finding:
    """The journal has the deployment of the commit that the environment's branch stands at, of its newest run
    and attempt. While that goes on there is nothing to record.
    """
    facts = await read_facts(ctx)
    command = f"muva journal --env {ctx.environment_name}"
    if facts.deployment is None:
        return tell(Level.UNKNOWN, f"not yet: {facts.wait}", evidence=facts.evidence, command=command)
    found = await _recorded(ctx, facts.deployment.id)
    if found is None:
        told = told_line(facts.deployment)
        return tell(
            Level.UNKNOWN,
            f"not recorded yet: {told}",
            evidence=facts.evidence,
            command=command,
            pending=True,
        )
    return tell(
        Level.OK,
        f"recorded: {told_line(found)}",
        evidence=[*facts.evidence, f"entry {found.entry}, by {found.by}"],
        command=command,
    )


def told_line(one: Deployment) -> str:
    """A deployment in a line."""
    version = f" (v{one.version})" if one.version else ""
    took = f" in {spell_span(one.duration)}" if one.duration is not None else ""
    run = f", run {one.run} attempt {one.attempt}" if one.run else ""
    run += f": {one.error}" if one.error else ""
    return f"{one.status.value}, {one.kind.value}: {one.commit[:7]}{version} to {one.environment}{took}{run}"


class DeployRecord(Deed):
    """Write a deployment into the journal."""

    NAME = "deploy-record"

    def __init__(self, ctx: CheckContext) -> None:
        """`ctx.parameters`: ``kind`` (planned, hotfix, rollback) and ``incident``, where they are not as they
        seem.
        """
        super().__init__(ctx)
        self._kept: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """Which deployment."""
        return self._kept

    async def _plan(self, ctx: CheckContext) -> Plan:
        made = await self._to_record(ctx)
        return self._planned(
            f"Record the deployment of {made.commit[:7]} to {made.environment}",
            f"deployment {made.id}",
            [here(_line(made), told_line(made))],
            undo="it stays in the journal; another attempt is another entry",
            tier=Tier.NONE,
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking at the run and at what is served")
        made = await self._to_record(ctx)
        yield output(told_line(made))
        entry, first = await record(ctx, made)
        self._kept = {"deployment": made.id, "entry": entry}
        yield verified(f"entry {entry} of the journal" + ("" if first else ", which was there already"))
        yield done(f"recorded: {told_line(made)}")

    async def _to_record(self, ctx: CheckContext) -> Deployment:
        facts = await read_facts(ctx)
        if facts.deployment is None:
            raise OpsError(f"there is nothing to record yet: {facts.wait}", next="Wait for its end.")
        found = await _recorded(ctx, facts.deployment.id)
        if found is not None:
            raise AlreadyError(f"recorded already, by {found.by}: {told_line(found)}")
        return facts.deployment


def _line(made: Deployment) -> str:
    """As the playbook has it."""
    seconds = "" if made.duration is None else f" --duration={made.duration:.0f}"
    return (
        f"pnpm dlx tsx scripts/deployment-metrics.ts --record --env={made.environment} "
        f"--status={made.status.value}{seconds} --commit={made.commit} --branch={made.branch}"
    )


async def record(ctx: CheckContext, made: Deployment) -> tuple[int, bool]:
    """Write a deployment, once: the entry, and whether this call wrote it. Of two consoles that record the
    same one at once, the second finds the first's. Raises JournalError.
    """
    data = msgspec.to_builtins(made)
    for key in ("entry", "by"):
        data.pop(key)
    appended = await ctx.going_out().journal.append_next(
        Draft(
            kind=KIND,
            subject=f"deployment {made.id}",
            text=told_line(made),
            environment=made.environment,
            data=data,
            act=f"deployment {made.id}",
        ),
        seen=0,
    )
    if appended.entry is not None:
        return appended.entry.id, True
    return appended.newer[0].id, False


def factory(ctx: CheckContext) -> DeployRecord:
    """The act for an environment."""
    return DeployRecord(ctx)
