"""The acts "deploy-approve" and "deploy-reject", and the check "deploy-approved".

A run that deploys to a guarded environment waits until a reviewer of that environment says yes. Source:
docs.github.com, "Reviewing deployments" (`pending_deployments`, `approvals`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import ClassVar

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, github_of, here, step, verified, warning
from muva_console.ops.deploys.which_run import deploying
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.links.github_model import Unsure
from muva_console.ops.links.github_runs import Approval, PendingDeployment, WorkflowRun
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

GOOD_FOR = 30.0
"""Seconds. Ours: it changes when a person presses a button."""
SECONDS = 120.0
RUNS = 10
"""Runs of one commit that are looked at."""


class Guard(Struct, frozen=True, kw_only=True):
    """Where the run of the deployed commit stands before its environment."""

    sha: str
    run: WorkflowRun | None = None
    waiting: tuple[PendingDeployment, ...] = ()
    """The environments it waits for, this one's alone."""
    others: tuple[str, ...] = ()
    """Other environments that it waits for."""
    said: tuple[Approval, ...] = ()
    """What reviewers said of this environment, as GitHub lists it."""

    @property
    def rejected(self) -> Approval | None:
        """Who said no; None where nobody did, or where another attempt waits again or went on."""
        run = self.run
        on = run is not None and (not run.finished or run.conclusion == "success")
        if self.waiting or (self.approved is not None and on) or self._anew:
            return None
        return next((one for one in self.said if one.state == "rejected"), None)

    @property
    def approved(self) -> Approval | None:
        """Who said yes."""
        run = self.run
        if self._anew and run is not None and run.status != "in_progress":
            return None
        return next((one for one in self.said if one.state == "approved"), None)

    @property
    def _anew(self) -> bool:
        """Whether another attempt goes on: what was said of those before is in GitHub's list all the same."""
        return self.run is not None and self.run.attempt > 1 and not self.run.finished


async def guard_of(ctx: CheckContext) -> Guard:
    """As GitHub has it now, of the commit that the environment's branch stands at. Raises OpsError."""
    outgoing = await ctx.outgoing()
    if not outgoing.fetched:
        raise OpsError(f"where {outgoing.target} stands is not known: {outgoing.fetch_error}")
    actions, sha = github_of(ctx).actions, outgoing.base
    runs = await actions.runs(branch=outgoing.target, sha=sha)
    deploys = deploying(runs[:RUNS])
    found = Guard(sha=sha)
    seen: set[str] = set()
    for run in deploys:
        if run.file in seen:  # a newer one of this workflow goes on: what was said of the older is over
            continue
        seen.add(run.file)
        waiting = () if run.finished else await actions.pending(run)
        said = await actions.approvals(run)
        ours = tuple(one for one in waiting if _is_ours(ctx, one.environment))
        told = tuple(one for one in said if any(_is_ours(ctx, name) for name in one.environments))
        if ours or told:
            others = tuple(one.environment for one in waiting if one not in ours)
            return Guard(sha=sha, run=run, waiting=ours, others=others, said=told)
        if found.run is None:
            others = tuple(one.environment for one in waiting)
            found = Guard(sha=sha, run=run, others=others)
    return found


def _is_ours(ctx: CheckContext, name: str) -> bool:
    return name.lower() == ctx.environment_name.lower()


@check("deploy-approved", title="Deployment approved", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def deploy_approved(ctx: CheckContext) -> Finding:
    """The run of the commit that the environment's branch stands at was approved for the environment of the
    same name on GitHub, or did not have to be; a rejection is a failure.
    """
    found = await guard_of(ctx)
    run, link = found.run, github_of(ctx)
    if run is None:
        return tell(
            Level.UNKNOWN,
            f"no workflow runs for {found.sha[:7]} yet",
            command=link.line(f"/actions/runs?head_sha={found.sha}"),
            next="It begins some seconds after the push; sense it again.",
        )
    command = link.line(f"/actions/runs/{run.id}/pending_deployments")
    evidence = [
        f"run {run.id}, attempt {run.attempt}: {run.workflow}, {run.status} {run.conclusion}".rstrip()
    ]
    evidence += [_told(one) for one in found.said]
    if found.waiting:
        one = found.waiting[0]
        may = "you may" if one.can_approve else "you may not"
        who = ", ".join(one.reviewers) or "nobody that is told"
        return tell(
            Level.UNKNOWN,
            f"run {run.id} waits for the approval of {one.environment}: {who}; {may}",
            evidence=evidence,
            command=command,
            next="" if one.can_approve else f"Have {who} approve it, here or on GitHub.",
            pending=True,
        )
    if found.rejected is not None:
        return tell(
            Level.FAIL,
            f"run {run.id} was {_told(found.rejected)}",
            evidence=evidence,
            command=command,
            next="See to the reason; then start the run again on GitHub, or bring another commit.",
        )
    if found.approved is not None:
        summary = f"run {run.id} was {_told(found.approved)}"
        return tell(Level.OK, summary, evidence=evidence, command=command)
    if run.status in ("queued", "requested", "pending", "waiting") and not run.finished:
        what = f"run {run.id} is {run.status}: whether it will wait for an approval is not known yet"
        if found.others:
            what = f"run {run.id} waits for {', '.join(found.others)}, not for {ctx.environment_name}"
        return tell(Level.UNKNOWN, what, evidence=evidence, command=command, next="Sense it again.")
    if not run.finished:
        what = f"run {run.id} goes on, and has not asked for an approval of {ctx.environment_name} yet"
        return tell(Level.UNKNOWN, what, evidence=evidence, command=command, next="Sense it again.")
    return tell(
        Level.OK,
        f"run {run.id} did not have to be approved",
        evidence=[*evidence, f"GitHub tells of no guard of {ctx.environment_name} that it waited for"],
        command=command,
    )


def _told(one: Approval) -> str:
    comment = f": {sanitise_line(one.comment, cap=200)}" if one.comment else ""
    return f"{one.state} by {one.by.login or 'a deleted account'}{comment}"


class Decide(Deed):
    """Say yes or no to a deployment that waits, as the owner of the token. It is said once, for good."""

    APPROVE: ClassVar[bool]

    def __init__(self, ctx: CheckContext) -> None:
        """`ctx.parameters`: ``comment``; a rejection needs one."""
        super().__init__(ctx)
        self._seen: tuple[int, int, str] | None = None
        self._said: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was decided, for the journal."""
        return self._said

    async def _plan(self, ctx: CheckContext) -> Plan:
        found, run = await self._to_decide(ctx)
        comment = await self._comment(ctx)
        me = (await github_of(ctx).releasing.me()).login
        self._seen = (run.id, run.attempt, found.sha)
        one = found.waiting[0]
        verb = "Approve" if self.APPROVE else "Reject"
        body = f"environment_ids[]={one.environment_id} state={'approved' if self.APPROVE else 'rejected'}"
        then = (
            f"the run goes on: backup, migrations, deployment to {ctx.environment_name}"
            if self.APPROVE
            else f"the run ends, and {found.sha[:7]} is not deployed"
        )
        risks = [then, "what is said is said: GitHub takes it back from nobody"]
        if run.actor.login.lower() == me.lower():
            risks.append(f"{me} started the run as well: GitHub may refuse that, if it is set up so")
        return self._planned(
            f"{verb} the deployment of {found.sha[:7]} to {one.environment}",
            f"run {run.id}",
            [
                here(
                    f"gh api -X POST repos/{github_of(ctx).repository}/actions/runs/{run.id}"
                    f'/pending_deployments -F {body.replace(" ", " -f ")} -f comment="{comment}"',
                    f"as {me}; run {run.id} ({run.title}) was started by {run.actor.login}",
                )
            ],
            risks=risks,
            undo="" if self.APPROVE else "start the run again",
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking what the run waits for")
        found, run = await self._to_decide(ctx)
        if (run.id, run.attempt, found.sha) != self._seen:
            raise OpsError(
                f"another run waits now: {run.id}, attempt {run.attempt}",
                means="nothing was decided",
                next="Plan it again.",
            )
        ids = [one.environment_id for one in found.waiting]
        word = "approving" if self.APPROVE else "rejecting"
        yield step(f"{word} {', '.join(one.environment for one in found.waiting)} of run {run.id}")
        comment = await self._comment(ctx)
        lost = ""
        try:
            await github_of(ctx).actions.decide(run, ids, approve=self.APPROVE, comment=comment)
        except Unsure as error:
            lost = str(error)
            yield warning(lost)
        after = await guard_of(ctx)
        if after.waiting:
            raise OpsError(f"run {run.id} waits still", next="Plan it again.")
        if lost and not await self._is_mine(ctx, after, run):
            raise OpsError(
                f"run {run.id} waits no more, and it is not known that you were the one who decided",
                means="it may have been cancelled, or another reviewer was faster",
                next=f"See run {run.id} on GitHub.",
            )
        self._said = {"run": run.id, "attempt": run.attempt, "commit": found.sha, "comment": comment}
        for one in after.said[:1]:
            yield verified(_told(one))
        yield done(f"run {run.id} is {'approved' if self.APPROVE else 'rejected'}")

    async def _is_mine(self, ctx: CheckContext, after: Guard, run: WorkflowRun) -> bool:
        """Whether GitHub has this decision, by whom the token is of."""
        me = (await github_of(ctx).releasing.me()).login
        word = "approved" if self.APPROVE else "rejected"
        same_run = after.run is not None and (after.run.id, after.run.attempt) == (run.id, run.attempt)
        return same_run and any(one.state == word and one.by.login == me for one in after.said)

    async def _to_decide(self, ctx: CheckContext) -> tuple[Guard, WorkflowRun]:
        found = await guard_of(ctx)
        run = found.run
        if run is None:
            raise OpsError(f"no workflow runs for {found.sha[:7]} yet", next="Wait for it to begin.")
        if not found.waiting:
            if found.rejected is not None:
                raise AlreadyError(f"run {run.id} was {_told(found.rejected)} already")
            if found.approved is not None:
                raise AlreadyError(f"run {run.id} was {_told(found.approved)} already")
            raise OpsError(f"run {run.id} does not wait for an approval of {ctx.environment_name}")
        one = found.waiting[0]
        if not one.can_approve:
            me = (await github_of(ctx).releasing.me()).login
            raise Refused(
                f"{me} may not decide on {one.environment}",
                means=f"its reviewers are {', '.join(one.reviewers) or 'not told'}; whoever started the run "
                "may be kept from it too",
                next="One of them decides, in their own console or on GitHub.",
            )
        return found, run

    async def _comment(self, ctx: CheckContext) -> str:
        told = sanitise_line(str(ctx.parameters.get("comment", "") or ""), cap=1000).strip()
        if not told and not self.APPROVE:
            raise Refused("a rejection needs its reason", next="Say why it is not to be deployed.")
        return (told or "Approved from muva").replace('"', "'")


class DeployApprove(Decide):
    """Say yes."""

    NAME = "deploy-approve"
    APPROVE = True


class DeployReject(Decide):
    """Say no, with the reason."""

    NAME = "deploy-reject"
    APPROVE = False


def approve_factory(ctx: CheckContext) -> DeployApprove:
    """The act for an environment."""
    return DeployApprove(ctx)


def reject_factory(ctx: CheckContext) -> DeployReject:
    """The act for an environment."""
    return DeployReject(ctx)
