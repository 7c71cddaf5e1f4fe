"""The act "release-approve" and the check "release-approved": somebody else than the author says yes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import candidate_of
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, github_of, here, step, verified, warning
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.links.github_model import PullRequest, Review, Unsure
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.review import Approval, approval
from muva_console.ops.text import sanitise_line

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


class Standing(Struct, frozen=True, kw_only=True):
    """The release's pull request and what its reviews come to."""

    pull: PullRequest
    reviews: tuple[Review, ...]
    approval: Approval
    needed: int

    @property
    def holds(self) -> bool:
        """Whether it is approved, as it stands now."""
        return self.approval.holds(self.needed) and not self.approval.stale

    @property
    def lacks(self) -> str:
        """Why it is not."""
        if self.approval.holds(self.needed) and self.approval.stale:
            by = " and ".join(self.approval.by)
            return f"{by} approved it before it came to {self.pull.head_sha[:7]}"
        return self.approval.lacks(self.needed)


async def standing_of(ctx: CheckContext) -> Standing:
    """As GitHub has it now. Raises OpsError where there is no pull request."""
    found = await candidate_of(ctx)
    if found.pull is None:
        raise OpsError(f"{found.branch} has no pull request yet", next="Open it first.")
    link = github_of(ctx)
    pull, reviews = await link.pull(found.pull.number), await link.reviews(found.pull.number)
    return Standing(
        pull=pull,
        reviews=reviews,
        approval=approval(pull, reviews),
        needed=ctx.config.github.approvals,
    )


@check("release-approved", title="Approved", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def release_approved(ctx: CheckContext) -> Finding:
    """The release's pull request has [github] approvals approving reviews, as it stands now, of others than
    its author, and nobody asks for changes; or it is merged already.
    """
    found = await standing_of(ctx)
    pull = found.pull
    command = f"gh pr view {pull.number} --json reviews,reviewDecision"
    evidence = [f"#{pull.number} by {pull.author.login or 'a deleted account'}, at {pull.head_sha[:7]}"]
    evidence += [f"approved by {name}" for name in found.approval.by]
    evidence += [f"{name} asks for changes" for name in found.approval.against]
    evidence += found.approval.not_counted
    if pull.requested:
        evidence.append(f"asked: {', '.join(pull.requested)}")
    if found.holds:
        by = " and ".join(found.approval.by)
        return tell(Level.OK, f"#{pull.number} is approved by {by}", evidence=evidence, command=command)
    if pull.merged:
        summary = f"#{pull.number} was merged, and {found.lacks}"
        return tell(Level.WARN, summary, evidence=evidence, command=command)
    if found.approval.against:
        return tell(
            Level.FAIL,
            f"#{pull.number}: {found.lacks}",
            evidence=evidence,
            command=command,
            next="See to what they ask for, and have them look again.",
        )
    return tell(
        Level.UNKNOWN,
        f"#{pull.number} waits for its approval: {found.lacks}",
        evidence=evidence,
        command=command,
        next=f"Somebody else than {pull.author.login or 'its author'} approves it, here or on GitHub.",
        pending=True,
    )


class ReleaseApprove(Deed):
    """Approve the release's pull request, as the owner of the token."""

    NAME = "release-approve"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._head = ""

    async def _plan(self, ctx: CheckContext) -> Plan:
        found, me = await self._to_approve(ctx)
        self._head = found.pull.head_sha
        body = self._comment(ctx)
        risks = ["approve only what you have looked at: the release notes, the risks, the way back"]
        if found.approval.against:
            risks.append(f"{' and '.join(found.approval.against)} asked for changes")
        return self._planned(
            f"Approve #{found.pull.number} as {me}",
            f"pull request #{found.pull.number}",
            [
                here(
                    f'gh pr review {found.pull.number} --approve --body "{body}"',
                    f"as {me}, of {self._head[:7]}; #{found.pull.number} is {found.pull.author.login}'s",
                )
            ],
            risks=risks,
            undo="dismiss the review on GitHub",
            production=False,  # merging it is an act of its own
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking at the pull request again")
        found, me = await self._to_approve(ctx)
        number = found.pull.number
        if found.pull.head_sha != self._head:
            raise OpsError(
                f"the head of #{number} is {found.pull.head_sha[:7]} now, and not {self._head[:7]}",
                means="nothing was approved",
                next="Look at what came, and plan it again.",
            )
        yield step(f"approving #{number} as {me}")
        try:
            await github_of(ctx).releasing.approve(number, self._head, self._comment(ctx))
        except Unsure as error:
            yield warning(str(error))
        after = await standing_of(ctx)
        if me.lower() not in {name.lower() for name in after.approval.by}:
            raise OpsError(f"#{number} does not have the approval of {me}", next="Look at it on GitHub.")
        yield verified(f"approved by {', '.join(after.approval.by)}")
        yield done(f"#{number} is approved by {me}")

    async def _to_approve(self, ctx: CheckContext) -> tuple[Standing, str]:
        found = await standing_of(ctx)
        me = (await github_of(ctx).releasing.me()).login
        pull = found.pull
        if pull.merged:
            raise AlreadyError(f"#{pull.number} is merged already")
        if me.lower() == pull.author.login.lower():
            others = [name for name in pull.requested if name.lower() != me.lower()]
            who = f"{', '.join(others)} {'was' if len(others) == 1 else 'were'} asked" if others else ""
            raise Refused(
                f"#{pull.number} is {me}'s own, and nobody approves their own pull request",
                means=who,
                next="Somebody else approves it, in their own console or on GitHub.",
            )
        if not found.approval.stale and me.lower() in {name.lower() for name in found.approval.by}:
            raise AlreadyError(f"{me} has approved #{pull.number} already")
        return found, me

    def _comment(self, ctx: CheckContext) -> str:
        told = ctx.parameters.get("comment") or "LGTM - Approved for production"
        return sanitise_line(str(told), cap=2000).replace('"', "'")


def factory(ctx: CheckContext) -> ReleaseApprove:
    """The act for an environment."""
    return ReleaseApprove(ctx)
