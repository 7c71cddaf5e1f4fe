"""The act "release-merge" and the check "release-merged": merged at the head that was seen, or not at all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import candidate_of
from muva_console.ops.deploys.deed import (
    AlreadyError,
    Deed,
    done,
    github_of,
    here,
    step,
    verified,
    warning,
    workshop_of,
)
from muva_console.ops.deploys.review_acts import Standing, standing_of
from muva_console.ops.errors import LinkError, OpsError, Refused
from muva_console.ops.links.github_runs import Checks
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


@check("release-merged", title="Pull request merged", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def release_merged(ctx: CheckContext) -> Finding:
    """The release's pull request is merged, and its merge is in the target branch at the remote."""
    found = await candidate_of(ctx)
    target, pull = found.outgoing.target, found.pull
    if pull is None:
        return tell(Level.UNKNOWN, f"{found.branch} has no pull request to be merged yet", pending=True)
    command = f"gh pr view {pull.number} --json state,mergeCommit"
    evidence = [pull.title, f"{found.name}: {found.why}"]
    if not pull.merged:
        summary = f"#{pull.number} is not merged into {target} yet"
        return tell(Level.UNKNOWN, summary, evidence=evidence, command=command, pending=True)
    evidence.append(f"merge {pull.merge_commit}")
    workshop = workshop_of(ctx)
    if not await workshop.is_ancestor(pull.merge_commit, found.outgoing.base):
        return tell(
            Level.FAIL,
            f"#{pull.number} was merged, and {target} does not have its merge {pull.merge_commit[:7]}",
            evidence=[*evidence, f"{target} stands at {found.outgoing.base}"],
            command=command,
            next=f"Find out who pushed to {target} over it.",
        )
    when = f" at {pull.merged_at:%Y-%m-%d %H:%M} UTC" if pull.merged_at else ""
    return tell(
        Level.OK,
        f"#{pull.number} was merged{when}: {pull.merge_commit[:7]}",
        evidence=evidence,
        command=command,
    )


class ReleaseMerge(Deed):
    """Merge the release's pull request, if its head is the one that was looked at: that deploys it."""

    NAME = "release-merge"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._head = ""
        self._made: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """The merge, for the journal."""
        return self._made

    async def _plan(self, ctx: CheckContext) -> Plan:
        found, checks = await self._to_merge(ctx)
        pull = found.pull
        self._head = pull.head_sha
        passed = f"{len(checks.checks)} checks passed" if checks.checks else "it has no checks"
        risks = [
            f"the merge starts the workflow that deploys to {ctx.environment_name}; it waits for an approval "
            "where GitHub has the environment guarded"
        ]
        if pull.mergeable is None:
            risks.append("GitHub does not know yet whether it can be merged")
        if not checks.checks:
            risks.append(f"nothing has checked {pull.head_sha[:7]}")
        return self._planned(
            f"Merge #{pull.number} into {pull.base}",
            f"branch {pull.base}",
            [
                here(
                    f"gh pr merge {pull.number} --merge --match-head-commit {pull.head_sha}",
                    f"{pull.title}: approved by {', '.join(found.approval.by)}; {passed}",
                )
            ],
            risks=risks,
            undo=f"git revert -m 1 of the merge by a pull request: that deploys what was before; "
            f"or muva rollback --env {ctx.environment_name}",
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking at the pull request again")
        found, _ = await self._to_merge(ctx)
        number = found.pull.number
        if found.pull.head_sha != self._head:
            raise OpsError(
                f"the head of #{number} is {found.pull.head_sha[:7]} now, and not {self._head[:7]}",
                means="nothing was merged",
                next="Look at what came, have it approved, and plan it again.",
            )
        yield step(f"merging #{number} at {self._head[:7]}")
        link = github_of(ctx)
        try:
            await link.releasing.merge(number, sha=self._head)
        except LinkError as error:
            # refused, or the answer was lost: what the pull request says now is what counts
            try:
                after = await link.pull(number)
            except LinkError:
                error.means = error.means or "whether it was merged is not known: GitHub cannot be asked"
                raise error from None
            if not after.merged:
                raise
            yield warning(str(error))
        workshop_of(ctx).expire()
        pull = await link.pull(number)
        if not pull.merged:
            raise OpsError(f"GitHub says that #{number} is not merged", next="Look at it on GitHub.")
        self._made = {"pull": number, "commit": pull.merge_commit, "head": self._head, "branch": pull.base}
        yield verified(f"#{number} is merged: {pull.merge_commit}")
        yield done(f"#{number} is merged into {pull.base}: {pull.merge_commit[:7]}")

    async def _to_merge(self, ctx: CheckContext) -> tuple[Standing, Checks]:
        found = await standing_of(ctx)
        pull = found.pull
        if pull.merged:
            raise AlreadyError(f"#{pull.number} is merged already: {pull.merge_commit[:7]}")
        if pull.state != "open":
            raise Refused(f"#{pull.number} was closed without being merged", next="Open it again on GitHub.")
        if pull.draft:
            raise Refused(f"#{pull.number} is a draft", next="Mark it as ready for review on GitHub.")
        if not found.holds:
            raise Refused(f"#{pull.number} is not approved: {found.lacks}")
        releasing = github_of(ctx).releasing
        checks = await releasing.checks(pull.head_sha)
        if checks.state not in ("success", "none"):
            bad = [
                f"{one.name} ({one.conclusion or one.status})"
                for one in checks.checks
                if one.state != "success"
            ]
            word = "have not ended" if checks.state == "pending" else "are not well"
            raise Refused(
                f"checks of #{pull.number} {word}: {', '.join(bad[:6])}",
                next="Wait for them." if checks.state == "pending" else "See to them, and sense again.",
            )
        asked = await releasing.wait_mergeable(pull.number)
        if asked.mergeable is False:
            raise Refused(
                f"#{pull.number} cannot be merged into {pull.base}: it is in conflict with it",
                next=f"Bring {pull.base} into {pull.head}, and have it approved anew.",
            )
        return Standing(
            pull=asked, reviews=found.reviews, approval=found.approval, needed=found.needed
        ), checks


def factory(ctx: CheckContext) -> ReleaseMerge:
    """The act for an environment."""
    return ReleaseMerge(ctx)
