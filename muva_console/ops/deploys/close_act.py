"""The act "release-close-issues" and the check "issues-closed": what a release closes, as listed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import Candidate, candidate_of
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, github_of, here, step, verified, warning
from muva_console.ops.deploys.notes import merged_release
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.github_model import Declined, Unsure
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level

GOOD_FOR = 120.0
"""Seconds. Ours."""
SECONDS = 120.0
MOST = 50
"""Issues of one release that are looked at."""


class Linked(Struct, frozen=True, kw_only=True):
    """An issue that the release names as closed."""

    number: int
    title: str
    open: bool
    source: str
    """The commit or pull request that names it."""

    @property
    def line(self) -> str:
        """For a list."""
        return f"#{self.number} {self.title} (named by {self.source})"


class _All(Struct, frozen=True, kw_only=True):
    found: Candidate
    issues: tuple[Linked, ...]
    untold: tuple[str, ...]


async def _look(ctx: CheckContext) -> _All:
    found, changes = await merged_release(ctx)
    releasing, untold = github_of(ctx).releasing, list(changes.untold)
    issues = []
    for number in changes.issues[:MOST]:
        try:
            one = await releasing.issue(number)
        except Declined as error:
            if error.status not in (404, 410):
                raise
            untold.append(f"there is no issue #{number}, which {changes.sources.get(number, '')} closes")
            continue
        source = changes.sources.get(number, "")
        issues.append(Linked(number=number, title=one.title, open=one.open, source=source))
    if len(changes.issues) > MOST:
        untold.append(f"{len(changes.issues) - MOST} more issues are not looked at")
    return _All(found=found, issues=tuple(issues), untold=tuple(untold))


@check("issues-closed", title="Issues closed", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def issues_closed(ctx: CheckContext) -> Finding:
    """Every issue that commits or pull requests of the merged release close ("closes #12") is closed."""
    candidate = await candidate_of(ctx)
    if not candidate.merged:
        summary = f"{candidate.name} is not merged yet, so no issue is closed by it"
        return tell(Level.UNKNOWN, summary)
    told = await _look(ctx)
    still = [one for one in told.issues if one.open]
    command = "gh issue view " + (str(told.issues[0].number) if told.issues else "NUMBER")
    evidence = [f"{'open' if one.open else 'closed'}: {one.line}" for one in told.issues] + [*told.untold]
    if still:
        names = ", ".join(f"#{one.number}" for one in still)
        summary = f"{count(len(still), 'issue')} still open: {names}"
        return tell(Level.UNKNOWN, summary, evidence=evidence, command=command, pending=True)
    if not told.issues:
        level = Level.WARN if told.untold else Level.OK
        return tell(level, f"{told.found.name} names no issue that it closes", evidence=evidence)
    return tell(
        Level.WARN if told.untold else Level.OK,
        f"{count(len(told.issues), 'issue')} of {told.found.name} closed",
        evidence=evidence,
        command=command,
    )


class CloseIssues(Deed):
    """Close the issues that the release closes and that are still open."""

    NAME = "release-close-issues"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen: tuple[int, ...] = ()
        self._closed: list[int] = []

    def kept(self) -> Mapping[str, object]:
        """The issues that were closed, for the journal."""
        return {"closed": self._closed}

    async def _plan(self, ctx: CheckContext) -> Plan:
        told, still = await self._to_close(ctx)
        self._seen = tuple(one.number for one in still)
        comment = _comment(told.found, ctx)
        return self._planned(
            f"Close {count(len(still), 'issue')} of {told.found.name}",
            f"issues of {told.found.name}",
            [here(f'gh issue close {one.number} --comment "{comment}"', one.line) for one in still],
            risks=[*told.untold],
            undo="gh issue reopen NUMBER",
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        told, still = await self._to_close(ctx)
        releasing = github_of(ctx).releasing
        comment, errors = _comment(told.found, ctx), []
        for one in still:
            if one.number not in self._seen:
                continue  # only what was listed
            yield step(f"closing #{one.number} {one.title}")
            try:
                if await releasing.close_issue(one.number, comment):
                    self._closed.append(one.number)
                    yield verified(f"#{one.number} is closed")
                else:
                    yield verified(f"#{one.number} was closed meanwhile")
            except (Declined, Unsure) as error:
                if not (await releasing.issue(one.number)).open:
                    self._closed.append(one.number)
                    yield warning(f"#{one.number}: {error}")
                    yield verified(f"#{one.number} is closed")
                    continue
                errors.append(error)  # the others are closed all the same
                yield warning(f"#{one.number} is still open: {error}")
        if errors:
            raise errors[0]
        yield done(f"{count(len(self._closed), 'issue')} closed")

    async def _to_close(self, ctx: CheckContext) -> tuple[_All, list[Linked]]:
        told = await _look(ctx)
        still = [one for one in told.issues if one.open]
        if not still:
            raise AlreadyError(f"every issue that {told.found.name} closes is closed already")
        return told, still


def _comment(found: Candidate, ctx: CheckContext) -> str:
    if not found.commit:
        raise OpsError(f"{found.name} is not merged yet")
    return f"Deployed to {ctx.environment_name} with {found.name} ({found.commit[:12]})."


def factory(ctx: CheckContext) -> CloseIssues:
    """The act for an environment."""
    return CloseIssues(ctx)
