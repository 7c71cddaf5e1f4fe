"""Code review: every commit that goes out belongs to a merged, approved pull request.

What counts as reviewed:

- A merged pull request with at least [github] approvals approving reviews of people other than its author.
  The last word of each reviewer counts; a comment takes none back; a dismissed approval is none; whoever
  asked for changes last stands against it. Bots and deleted accounts approve nothing.
- A pull request between branches of the flow (dev to staging, staging or prod/… to main) reviews the merge
  that it made, not the commits that it carried: a commit pushed straight to dev stays unreviewed, however
  often it is carried on. A step may say otherwise with ``release_pulls = true``.
- A merge made by hand (`git merge dev`) is explained when it adds nothing: its tree is that of one of its
  parents, which goes out too and is looked at itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.github_model import ListedCommit, PullRequest, RateLimited, Review
from muva_console.ops.links.outgoing import Outgoing, OutgoingCommit
from muva_console.ops.readings import Finding, Level

MOST = 500
"""Commits that are looked at. Ours: more than half a year of a small team."""
AT_ONCE = 8
"""Requests to GitHub at a time; its link allows itself no more."""

T = TypeVar("T")


class Approval(Struct, frozen=True, kw_only=True):
    """What the reviews of a pull request come to."""

    by: tuple[str, ...] = ()
    """Who approves and may."""
    against: tuple[str, ...] = ()
    """Who asked for changes last."""
    not_counted: tuple[str, ...] = ()
    """Approvals that are none, with the reason."""
    stale: bool = False
    """No approval saw the commit that was merged in the end."""

    def holds(self, needed: int) -> bool:
        """Whether that is enough."""
        return len(self.by) >= needed and not self.against

    def lacks(self, needed: int) -> str:
        """Why it is not."""
        if self.against:
            return f"{' and '.join(self.against)} asked for changes"
        told = f"{len(self.by)} of {needed} approvals" if self.by or needed > 1 else "nobody approved it"
        return f"{told} ({'; '.join(self.not_counted)})" if self.not_counted else told


def approval(pull: PullRequest, reviews: Iterable[Review]) -> Approval:
    """What reviews, oldest first, come to: the last word of each reviewer counts."""
    last: dict[str, Review] = {}
    for review in reviews:
        if review.state in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            last[review.author.login.lower()] = review
    by, against, none = [], [], []
    seen_last = False
    for login, review in last.items():
        name = review.author.login or "a deleted account"
        if review.state == "CHANGES_REQUESTED" and login != pull.author.login.lower():
            against.append(name)
        elif review.state == "DISMISSED":
            none.append(f"the review of {name} was dismissed")
        elif review.state != "APPROVED":
            continue
        elif not login:
            none.append("an approval of a deleted account")
        elif login == pull.author.login.lower():
            none.append(f"{name} approved their own")
        elif review.author.bot:
            none.append(f"{name} is a bot")
        else:
            by.append(name)
            seen_last = seen_last or review.commit in ("", pull.head_sha)
    return Approval(
        by=tuple(by), against=tuple(against), not_counted=tuple(none), stale=bool(by) and not seen_last
    )


class _Judged(Struct, kw_only=True):
    """What was found of one commit: exactly one of `by`, `lacks` and `error` tells it."""

    by: PullRequest | None = None
    """The pull request that reviewed it."""
    explained: str = ""
    lacks: str = ""
    error: OpsError | None = None


@check("code-review", title="Code review")
async def code_review(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every outgoing commit belongs to a merged pull request with [github] approvals approving reviews of
    others than its author; at most 500 commits.
    """
    release = ctx.going_out()
    link = release.github
    if link is None:
        raise OpsError(
            "reviews cannot be looked at: no repository on GitHub is configured",
            next='Give [project] a repository = "OWNER/NAME", or attest the review.',
        )
    outgoing = await ctx.outgoing()
    if not outgoing.commits:
        return (_nothing(outgoing),)
    reader = _Reader(ctx, link, outgoing)
    judged = await reader.judge(outgoing.commits[:MOST])
    return _findings(ctx, link, outgoing, judged, reader)


class _Reader:
    """Asks GitHub: each pull request's reviews once, and commits by the pull request where that tells."""

    def __init__(self, ctx: CheckContext, link: GitHubLink, outgoing: Outgoing) -> None:
        self._link = link
        self._outgoing = outgoing
        self._needed = ctx.config.github.approvals
        self._flow = {environment.branch for environment in ctx.config.environments.values()}
        self._flow |= {outgoing.source, outgoing.target}
        self._carried_count = ctx.parameters.get("release_pulls") is True
        self._progress = ctx.progress
        self._room = asyncio.Semaphore(AT_ONCE)
        self._approvals: dict[int, asyncio.Task[Approval]] = {}
        self._listed: asyncio.Task[Mapping[str, ListedCommit]] | None = None
        self._members: dict[str, PullRequest] = {}
        """Commits that a pull request listed as its own."""
        self._blocked: OpsError | None = None
        self.approvals: dict[int, Approval] = {}
        self.asked = 0

    async def judge(self, commits: tuple[OutgoingCommit, ...]) -> dict[str, _Judged]:
        """Each commit's outcome. Merges first: the pull requests they belong to name the others."""
        judged: dict[str, _Judged] = {}
        try:
            for part in ([c for c in commits if c.merge], [c for c in commits if not c.merge]):
                waiting = iter(part)

                async def work(waiting: Iterable[OutgoingCommit] = waiting) -> None:
                    for commit in waiting:
                        judged[commit.sha] = await self._judge(commit)
                        self.asked += 1
                        if self.asked % 25 == 0:
                            self._progress(f"reviews: {self.asked} of {len(commits)} commits")

                await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        finally:
            tasks: list[asyncio.Task[Approval] | asyncio.Task[Mapping[str, ListedCommit]]]
            tasks = [*self._approvals.values(), *([self._listed] if self._listed else [])]
            for task in tasks:
                task.cancel()
        return judged

    async def _judge(self, commit: OutgoingCommit) -> _Judged:
        if self._blocked is not None:
            return _Judged(error=self._blocked)
        try:
            return await self._look(commit)
        except OpsError as error:
            if isinstance(error, RateLimited):
                self._blocked = error  # the others would be told the same
            return _Judged(error=error)

    async def _look(self, commit: OutgoingCommit) -> _Judged:
        member = self._members.get(commit.sha)
        pulls = (member,) if member is not None else await self._ask(lambda: self._link.pulls_of(commit.sha))
        merged = [pull for pull in pulls if pull.merged]
        lacks: list[str] = []
        # the one with the smallest number is the one that the work was done in
        for pull in sorted(merged, key=lambda one: (self._is_flow(one), one.number)):
            if self._is_flow(pull) and commit.sha != pull.merge_commit and not self._carried_count:
                lacks.append(f"#{pull.number} only carried it from {pull.head} to {pull.base}")
                continue
            found = await self._approval(pull)
            if found.holds(self._needed):
                if commit.merge and not self._is_flow(pull):
                    await self._note_members(pull)
                return _Judged(by=pull)
            lacks.append(f"#{pull.number}: {found.lacks(self._needed)}")
        if commit.merge and (told := await self._explain(commit)):
            return _Judged(explained=told)
        waiting = [f"#{pull.number} is not merged" for pull in pulls if not pull.merged]
        none = "no pull request has it" + (", and it is more than its parents" if commit.merge else "")
        return _Judged(lacks="; ".join(lacks or waiting) or none)

    def _is_flow(self, pull: PullRequest) -> bool:
        """Whether it only carries work on: from a branch of an environment, or a release branch."""
        return not pull.fork and (
            pull.head in self._flow or (pull.head.startswith("prod/") and pull.base == self._outgoing.target)
        )

    async def _approval(self, pull: PullRequest) -> Approval:
        if pull.number not in self._approvals:

            async def take() -> Approval:
                return approval(pull, await self._ask(lambda: self._link.reviews(pull.number)))

            self._approvals[pull.number] = asyncio.create_task(take())
        found = await asyncio.shield(self._approvals[pull.number])
        self.approvals[pull.number] = found
        return found

    async def _note_members(self, pull: PullRequest) -> None:
        with suppress(OpsError):  # then they are asked one at a time
            for one in await self._ask(lambda: self._link.commits_of(pull.number)):
                self._members.setdefault(one.sha, pull)

    async def _explain(self, commit: OutgoingCommit) -> str:
        """Why a merge without a pull request adds nothing; empty when it does, or when that is not known."""
        if self._listed is None:

            async def take() -> Mapping[str, ListedCommit]:
                out = self._outgoing
                told = await self._ask(lambda: self._link.compare(out.base, out.head))
                return {one.sha: one for one in told.commits}

            self._listed = asyncio.create_task(take())
        listed = await asyncio.shield(self._listed)
        merge = listed.get(commit.sha)
        if merge is None or len(merge.parents) < 2:
            return ""
        for parent in merge.parents:
            known = listed.get(parent)
            if known is not None and known.tree == merge.tree:
                return f"merged by hand, and adds nothing to {parent[:7]}"
        return ""

    async def _ask(self, what: Callable[[], Awaitable[T]]) -> T:
        async with self._room:
            return await what()


def _nothing(outgoing: Outgoing) -> Finding:
    if not outgoing.fetched:
        return tell(
            Level.UNKNOWN,
            f"what goes out is not known: {outgoing.fetch_error or 'the repository cannot be fetched'}",
            at=outgoing.at,
        )
    return tell(
        Level.OK,
        f"nothing goes out: {outgoing.source} has no commit that {outgoing.target} has not",
        at=outgoing.at,
    )


def _findings(
    ctx: CheckContext, link: GitHubLink, outgoing: Outgoing, judged: Mapping[str, _Judged], reader: _Reader
) -> tuple[Finding, ...]:
    needed, commits = ctx.config.github.approvals, outgoing.commits
    command = link.line(f"/commits/{outgoing.head}/pulls")
    found: list[Finding] = []
    bad = [c for c in commits if c.sha in judged and judged[c.sha].lacks]
    unknown = [c for c in commits if c.sha not in judged or judged[c.sha].error is not None]
    good = [c for c in commits if c.sha in judged and c not in bad and c not in unknown]
    if bad:
        found.append(
            tell(
                Level.FAIL,
                f"{_count(len(bad), 'commit')} of {len(commits)} not reviewed: {_names(bad)}",
                evidence=[f"{_named(c)}: {judged[c.sha].lacks}" for c in bad],
                command=link.line(f"/commits/{bad[0].sha}/pulls"),
                next=f"Have each reviewed by somebody else than its author (approvals needed: {needed}), "
                "or take it out of the release.",
            )
        )
    if unknown:
        found.append(_unknown(unknown, judged, len(commits), link))
    if not outgoing.fetched:
        why = outgoing.fetch_error or "the repository cannot be fetched"
        found.append(tell(Level.UNKNOWN, f"there may be newer commits than these: {why}"))
    pulls = {p.number: p for c in good if (p := judged[c.sha].by) is not None}
    explained = [f"{_named(c)}: {judged[c.sha].explained}" for c in good if judged[c.sha].explained]
    stale = [f"#{n} {p.title}" for n, p in sorted(pulls.items()) if reader.approvals[n].stale]
    if stale:
        found.append(
            tell(
                Level.WARN,
                f"{_count(len(stale), 'pull request')} changed after the last approval: {', '.join(stale)}",
                command=link.line(f"/pulls/{stale[0].split()[0][1:]}/reviews"),
                next="Look at what was pushed after the approval.",
            )
        )
    if not found:
        numbers = ", ".join(f"#{number}" for number in sorted(pulls))
        found.append(
            tell(
                Level.OK,
                f"{_count(len(commits), 'commit')}, each reviewed: {numbers or 'merges that add nothing'}",
                evidence=[
                    *(
                        f"#{n} {p.title}, by {p.author.login}, approved by "
                        f"{', '.join(reader.approvals[n].by)}"
                        for n, p in sorted(pulls.items())
                    ),
                    *explained,
                ],
                command=command,
            )
        )
    return tuple(found)


def _unknown(
    unknown: list[OutgoingCommit], judged: Mapping[str, _Judged], total: int, link: GitHubLink
) -> Finding:
    errors = [e for c in unknown if c.sha in judged and (e := judged[c.sha].error) is not None]
    beyond = sum(c.sha not in judged for c in unknown)
    reasons = list(dict.fromkeys(str(error) for error in errors))
    if beyond:
        reasons.append(f"only the newest {MOST} are looked at")
    return tell(
        Level.UNKNOWN,
        f"{_count(len(unknown), 'commit')} of {total} could not be looked at: {'; '.join(reasons[:3])}",
        evidence=[errors[0].means if errors else "", *(_named(c) for c in unknown[:20])],
        command=link.line(f"/commits/{unknown[0].sha}/pulls"),
        next=errors[0].next if errors else "Look at the rest on GitHub, and attest it.",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _named(commit: OutgoingCommit) -> str:
    return f"{commit.sha[:7]} {commit.subject} ({commit.author})"


def _names(commits: list[OutgoingCommit]) -> str:
    told = ", ".join(f"{c.sha[:7]} by {c.author}" for c in commits[:3])
    return told + (f" and {len(commits) - 3} more" if len(commits) > 3 else "")
