"""The act "release-request" and the check "release-requested": who is asked to review, and the labels."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import candidate_of
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, github_of, here, step, verified, warning
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_model import Declined, PullRequest, Unsure
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


class _Asked(Struct, frozen=True, kw_only=True):
    pull: PullRequest
    reviewed: tuple[str, ...]
    reviewers: tuple[str, ...] = ()
    """Configured, and neither asked nor heard yet; never the author."""
    labels: tuple[str, ...] = ()
    """Configured, and not on it yet."""
    author: bool = False
    """The author is among those configured, and cannot be asked."""
    configured: bool = True

    @property
    def complete(self) -> bool:
        return not self.reviewers and not self.labels


async def _look(ctx: CheckContext) -> _Asked:
    found = await candidate_of(ctx)
    if found.pull is None:
        raise OpsError(f"{found.branch} has no pull request yet", next="Open it first.")
    link, config = github_of(ctx), ctx.config.github
    # what a list has of a pull request is of a moment ago: reviewers and labels are asked of itself
    pull = await link.pull(found.pull.number)
    said = await link.reviews(pull.number)
    reviewed = {one.author.login.lower() for one in said if one.state != "PENDING"}
    names = tuple(dict.fromkeys(name.removeprefix("@") for name in config.reviewers))
    asked = {name.lower() for name in pull.requested} | reviewed
    author = pull.author.login.lower()
    return _Asked(
        pull=pull,
        reviewed=tuple(sorted(reviewed)),
        reviewers=tuple(one for one in names if one.lower() != author and _asked_as(one) not in asked),
        labels=tuple(one for one in _labels(ctx) if one.lower() not in {x.lower() for x in pull.labels}),
        author=author in {one.lower() for one in names},
        configured=bool(names),
    )


def _labels(ctx: CheckContext) -> tuple[str, ...]:
    """Those of the step (a hotfix's ``urgent``), else the configured ones."""
    told = ctx.parameters.get("labels")
    return tuple(map(str, told)) if isinstance(told, list | tuple) else ctx.config.github.labels


def _asked_as(name: str) -> str:
    """As GitHub's link tells it: a team without its organisation."""
    return f"team {name.partition('/')[2]}".lower() if "/" in name else name.lower()


@check("release-requested", title="Review requested", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def release_requested(ctx: CheckContext) -> Finding:
    """Everybody of [github] reviewers was asked to review the release's pull request or has reviewed it, and
    it has the [github] labels; or it is merged already.
    """
    asked = await _look(ctx)
    pull = asked.pull
    command = f"gh pr view {pull.number} --json reviewRequests,latestReviews,labels"
    evidence = [
        f"asked: {', '.join(pull.requested) or 'nobody'}",
        f"reviewed by: {', '.join(asked.reviewed) or 'nobody'}",
        f"labels: {', '.join(pull.labels) or 'none'}",
    ]
    if asked.author:
        evidence.append(f"{pull.author.login} opened it, and cannot be asked to review it")
    if pull.merged:
        return tell(Level.OK, f"#{pull.number} is merged", evidence=evidence, command=command)
    lacks = [f"{', '.join(asked.reviewers)} not asked"] if asked.reviewers else []
    lacks += [f"without the label {', '.join(asked.labels)}"] if asked.labels else []
    if lacks:
        summary = f"#{pull.number}: {'; '.join(lacks)}"
        return tell(Level.UNKNOWN, summary, evidence=evidence, command=command, pending=True)
    if not asked.configured and not pull.requested and not asked.reviewed:
        return tell(
            Level.UNKNOWN,
            f"nobody is asked to review #{pull.number}, and nobody is configured",
            evidence=evidence,
            command=command,
            next='Name them by their logins: [github] reviewers = ["…"], or ask somebody on GitHub.',
            unconfigured=True,
        )
    who = ", ".join(dict.fromkeys((*pull.requested, *asked.reviewed)))
    return tell(Level.OK, f"#{pull.number}: asked {who}", evidence=evidence, command=command)


class ReleaseRequest(Deed):
    """Ask for the reviews, and put the labels on."""

    NAME = "release-request"

    async def _plan(self, ctx: CheckContext) -> Plan:
        asked = await self._to_ask(ctx)
        pull = asked.pull
        commands = []
        if asked.reviewers:
            names = ",".join(asked.reviewers)
            commands.append(
                here(f"gh pr edit {pull.number} --add-reviewer {names}", "GitHub writes to each of them")
            )
        if asked.labels:
            commands.append(here(f"gh pr edit {pull.number} --add-label '{','.join(asked.labels)}'"))
        return self._planned(
            f"Ask for the review of #{pull.number}",
            f"pull request #{pull.number}",
            commands,
            undo=f"gh pr edit {pull.number} --remove-reviewer …, --remove-label …",
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking who was asked")
        asked = await self._to_ask(ctx)
        releasing, number = github_of(ctx).releasing, asked.pull.number
        unknown: list[str] = []
        for name in asked.reviewers:
            yield step(f"asking {name} to review #{number}")
            try:  # one at a time: of several GitHub does not tell which one it does not know
                await releasing.request_reviewers(number, [name])
            except Declined as error:
                if error.status != 422:
                    raise
                unknown.append(name)
                yield warning(f"{name}: {error.said or error.what}")
            except Unsure as error:
                yield warning(str(error))
        if asked.labels:
            yield step(f"labels {', '.join(asked.labels)}")
            try:
                await releasing.add_labels(number, asked.labels)
            except Unsure as error:
                yield warning(str(error))
        left = await _look(ctx)
        yield verified(f"asked: {', '.join(left.pull.requested) or 'nobody'}")
        yield verified(f"labels: {', '.join(left.pull.labels) or 'none'}")
        if unknown:
            raise OpsError(
                f"GitHub does not ask {' and '.join(unknown)} for a review",
                means="there is no such login, or it is no collaborator of the repository",
                next="Correct [github] reviewers: logins on GitHub, not names in Slack.",
            )
        if not left.complete:
            raise OpsError(f"#{number} still lacks {', '.join((*left.reviewers, *left.labels))}")
        yield done(f"#{number} waits for its review")

    async def _to_ask(self, ctx: CheckContext) -> _Asked:
        asked = await _look(ctx)
        if asked.pull.merged:
            raise AlreadyError(f"#{asked.pull.number} is merged already")
        if asked.complete:
            if not asked.configured:
                raise OpsError(
                    "nobody is configured to be asked", next='Name them: [github] reviewers = ["…"].'
                )
            raise AlreadyError(f"everybody was asked to review #{asked.pull.number} already")
        return asked


def factory(ctx: CheckContext) -> ReleaseRequest:
    """The act for an environment."""
    return ReleaseRequest(ctx)
