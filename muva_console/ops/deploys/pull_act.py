"""The act and the check "release-pull": the release's pull request, opened once with its body filled in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.body import read_facts, render, title
from muva_console.ops.deploys.candidate import Candidate, candidate_of
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
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_model import Declined, PullRequest, Unsure
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


@check("release-pull", title="Pull request", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def release_pull(ctx: CheckContext) -> Finding:
    """The release has a pull request from prod/vX.Y.Z, open or merged, whoever opened it."""
    found = await candidate_of(ctx)
    command = f"gh pr list --head {found.branch} --state all"
    evidence = [f"{found.name}: {found.why}", found.note]
    pull = found.pull
    if pull is None:
        word = "no pull request yet" if found.head else "no branch yet, and no pull request"
        return tell(
            Level.UNKNOWN, f"{found.branch} has {word}", evidence=evidence, command=command, pending=True
        )
    state = "merged" if pull.merged else "a draft" if pull.draft else "open"
    by = pull.author.login or "a deleted account"
    return tell(
        Level.WARN if pull.draft and not pull.merged else Level.OK,
        f"#{pull.number} is {state}, opened by {by}",
        evidence=[*evidence, pull.title, pull.url],
        command=f"gh pr view {pull.number}",
        next="Mark it as ready for review on GitHub." if pull.draft and not pull.merged else "",
    )


class ReleasePull(Deed):
    """Open the release's pull request."""

    NAME = "release-pull"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen: tuple[str, str] | None = None
        self._body = ""
        self._made: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """The pull request, for the journal."""
        return self._made

    @property
    def body(self) -> str:
        """The body as planned; empty before."""
        return self._body

    async def _plan(self, ctx: CheckContext) -> Plan:
        found = await self._to_open(ctx)
        github_of(ctx)
        facts = await read_facts(ctx, found)
        self._seen, self._body = (found.branch, found.head), render(facts)
        untold = [one for one in (*facts.testing, *facts.shown) if not one.ok]
        risks = [f"not ticked: {one.what} ({one.told})" for one in untold]
        if found.note:
            risks.append(found.note)
        line = (
            f'gh pr create --base {found.outgoing.target} --head {found.branch} --title "{title(found.name)}"'
        )
        return self._planned(
            f"Open the pull request of {found.name}",
            f"pull request of {found.branch}",
            [here(line, f"with the body:\n{self._body}")],
            risks=risks,
            undo=f"gh pr close {found.branch}",
            production=False,  # nothing of it is served before it is merged
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking whether it is open already")
        found = await self._to_open(ctx)
        if (found.branch, found.head) != self._seen:
            raise OpsError(
                f"{found.branch} has moved since it was planned",
                means="no pull request was opened",
                next="Plan it again: its body tells of other commits.",
            )
        yield step(f"opening the pull request of {found.branch}")
        releasing = github_of(ctx).releasing
        target = found.outgoing.target
        try:
            pull = await releasing.open_pull(found.branch, target, title(found.name), self._body)
        except (Declined, Unsure) as error:
            # somebody was faster, or the answer was lost: what is there is what counts
            there = await releasing.find_pull(found.branch, target)
            if there is None:
                raise
            yield warning(str(error))
            pull = there
        self._made = {"pull": pull.number, "url": pull.url, "branch": found.branch, "head": found.head}
        yield verified(_told(pull))
        yield done(f"#{pull.number} is open: {pull.url}")

    async def _to_open(self, ctx: CheckContext) -> Candidate:
        found = await candidate_of(ctx)
        if found.pull is not None:
            state = "merged" if found.pull.merged else "open"
            raise AlreadyError(f"#{found.pull.number} of {found.branch} is {state} already")
        if not found.head:
            raise OpsError(f"there is no branch {found.branch} yet", next="Make the release branch first.")
        if await workshop_of(ctx).is_ancestor(found.head, found.outgoing.base):
            raise OpsError(f"{found.branch} has nothing that {found.outgoing.target} has not")
        return found


def _told(pull: PullRequest) -> str:
    return f"#{pull.number} {pull.title}, {pull.head} at {pull.head_sha[:7]} into {pull.base}"


def factory(ctx: CheckContext) -> ReleasePull:
    """The act for an environment."""
    return ReleasePull(ctx)
