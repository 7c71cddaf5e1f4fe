"""Which release is in hand: its version, its branch and its pull request, found where they are.

In this order: the release that was asked for, where it has a pull request; an open pull request of a release
branch; the version asked for; a release branch that waits for one; a release that was merged and is not
recorded as deployed; else the version that the commits propose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import github_of, workshop_of
from muva_console.ops.deploys.hotfix import PARAMETER, hotfix_of
from muva_console.ops.deploys.version import (
    PREFIX,
    asked_version,
    branch_version,
    last_version,
    propose,
)
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_model import PullRequest
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.release.records import is_recorded
from muva_console.ops.release.semver import Version
from muva_console.ops.text import sanitise_line

BRANCHES = 5
"""Release branches, the newest versions, whose pull requests are looked for."""
_TAGS = "refs/tags/"


class Candidate(Struct, frozen=True, kw_only=True):
    """The release in hand."""

    version: Version
    last: Version
    """The greatest one that was released before."""
    why: str
    """How it is known to be this one."""
    outgoing: Outgoing
    """What `source` has that the target has not; nothing once it is merged."""
    head: str = ""
    """Where its branch stands; empty where there is none."""
    pull: PullRequest | None = None
    tags: Mapping[str, str]
    """The commits of the repository's tags ``v…``."""
    note: str = ""
    """What was asked for and is not heeded."""
    hotfix: str = ""
    """The branch of a hotfix; empty for a release, whose branch has its version's name."""

    @property
    def name(self) -> str:
        """``v1.2.0``, its tag; of a hotfix its branch."""
        return self.hotfix or f"v{self.version}"

    @property
    def branch(self) -> str:
        """``prod/v1.2.0``."""
        return self.hotfix or f"{PREFIX}{self.version}"

    @property
    def merged(self) -> bool:
        """Whether its pull request was merged."""
        return self.pull is not None and self.pull.merged

    @property
    def commit(self) -> str:
        """The commit that is to be served: that of the merge; empty before."""
        return self.pull.merge_commit if self.pull is not None and self.pull.merged else ""


async def candidate_of(ctx: CheckContext) -> Candidate:
    """The release in hand, found once for all checks of a round. Raises OpsError."""
    return await ctx.shared("release in hand", lambda: _find(ctx))


async def _find(ctx: CheckContext) -> Candidate:
    if not ctx.environment.production:
        raise OpsError(f"releases go to production, and {ctx.environment_name} is not that")
    workshop = workshop_of(ctx)
    outgoing = await ctx.outgoing()
    if not outgoing.fetched:
        raise OpsError(f"what is released is not known: {outgoing.fetch_error}")
    bench = await workshop.bench()
    heads, refs = await asyncio.gather(workshop.heads(), bench.refs("refs/tags/v*"))
    tags = {name.removeprefix(_TAGS): sha for name, sha in refs.items() if name.startswith(_TAGS)}
    last = await last_version(workshop, outgoing.base, tags)
    if ctx.parameters.get(PARAMETER):
        hotfix = await hotfix_of(ctx)
        return Candidate(
            version=last,
            last=last,
            why="asked for",
            outgoing=outgoing,
            head=hotfix.head,
            pull=hotfix.pull,
            tags=tags,
            hotfix=hotfix.branch,
        )
    finder = _Finder(ctx, outgoing, heads, tags, last)
    return await finder.find(str(ctx.parameters.get("version", "") or ""))


class _Finder:
    def __init__(
        self,
        ctx: CheckContext,
        outgoing: Outgoing,
        heads: Mapping[str, str],
        tags: Mapping[str, str],
        last: Version,
    ) -> None:
        self._ctx, self._outgoing, self._heads, self._tags, self._last = ctx, outgoing, heads, tags, last
        self._link = github_of(ctx)
        self._workshop = workshop_of(ctx)

    async def find(self, asked: str) -> Candidate:
        wanted = branch_version(f"{PREFIX}{asked.strip().removeprefix('v')}") if asked else None
        pull = await self._pull(wanted, "all") if wanted is not None else None
        if wanted is not None and pull is not None and (pull.merged or pull.state == "open"):
            return self._made(wanted, f"asked for, and #{pull.number} is its pull request", pull)
        waiting = await self._waiting()
        for version, pull in waiting:
            if pull is not None:
                note = f"{sanitise_line(asked, cap=40)} was asked for" if asked and version != wanted else ""
                return self._made(version, f"#{pull.number} of {pull.head} is open", pull, note=note)
        if asked:
            return self._made(asked_version(asked, self._last), "asked for")
        if waiting:
            return self._made(waiting[0][0], f"{PREFIX}{waiting[0][0]} is there and waits")
        under_way = await self._under_way()
        if under_way is not None:
            return under_way
        if not self._outgoing.commits:
            raise OpsError(
                f"nothing is to be released: {self._outgoing.source} has no commit that "
                f"{self._outgoing.target} has not"
            )
        messages = await self._workshop.messages(self._outgoing.base, self._outgoing.head)
        found = await propose(
            self._workshop,
            base=self._outgoing.base,
            head=self._outgoing.head,
            messages=messages,
            tags=self._tags,
        )
        return self._made(found.version, f"proposed after v{found.last}: {found.why}")

    async def _waiting(self) -> list[tuple[Version, PullRequest | None]]:
        """Release branches that are not merged, the greatest version first, with their open pull requests."""
        named = {name: version for name in self._heads if (version := branch_version(name)) is not None}
        newest = sorted(named, key=lambda name: named[name], reverse=True)[:BRANCHES]
        found: list[tuple[Version, PullRequest | None]] = []
        for name in newest:
            if await self._workshop.is_ancestor(self._heads[name], self._outgoing.base):
                continue
            pull = await self._pull(named[name], "all")
            if pull is not None and pull.state != "open":
                continue  # merged by squashing, or given up
            if pull is not None or named[name] > self._last:
                found.append((named[name], pull))
        return found

    async def _under_way(self) -> Candidate | None:
        """The release that the target's head is the merge of, until it is recorded as deployed; where nothing
        goes out it is that one all the same.
        """
        for pull in await self._link.pulls_of(self._outgoing.base):
            version = branch_version(pull.head)
            if not pull.merged or version is None or pull.merge_commit != self._outgoing.base:
                continue
            recorded = await is_recorded(
                self._ctx.going_out().journal, self._ctx.environment_name, pull.merge_commit
            )
            if not self._outgoing.commits or not recorded:
                return self._made(version, f"#{pull.number} is merged, and under way", pull)
        return None

    async def _pull(self, version: Version, state: str) -> PullRequest | None:
        return await self._link.releasing.find_pull(f"{PREFIX}{version}", self._outgoing.target, state=state)

    def _made(
        self, version: Version, why: str, pull: PullRequest | None = None, *, note: str = ""
    ) -> Candidate:
        return Candidate(
            version=version,
            last=self._last,
            why=why,
            outgoing=self._outgoing,
            head=self._heads.get(f"{PREFIX}{version}", ""),
            pull=pull,
            tags=self._tags,
            note=note,
        )
