"""The act "hotfix-backport" and the check "hotfix-backported": a hotfix's commits on another branch.

A step says which by ``with = { to = "staging" }``: an environment's name. They are picked in a worktree of
the console's own copy: with a conflict nothing is pushed and nothing is left half done.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Mapping

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import (
    AlreadyError,
    Deed,
    author_of,
    done,
    engineer_of,
    here,
    output,
    step,
    verified,
    workshop_of,
)
from muva_console.ops.deploys.hotfix import Hotfix, hotfix_of
from muva_console.ops.deploys.merging import ConflictError
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.health.words import count
from muva_console.ops.links.outgoing import OutgoingCommit
from muva_console.ops.links.workshop_picking import equivalents, pick
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


class Backport(Struct, frozen=True, kw_only=True):
    """What a branch still lacks of a hotfix."""

    hotfix: Hotfix
    to: str
    """The environment."""
    branch: str
    head: str
    lacks: tuple[OutgoingCommit, ...]
    """Oldest first."""


async def backport_of(ctx: CheckContext) -> Backport:
    """As the remote has it now. A commit is there where it, one with the same change, or one that says that
    it was picked from it is in the branch's history. Raises OpsError.
    """
    to = str(ctx.parameters.get("to", "") or "")
    if to not in ctx.config.environments:
        raise OpsError(f"there is no environment {sanitise_line(to, cap=60)} to back-port to")
    branch = ctx.config.environments[to].branch
    found, workshop = await hotfix_of(ctx), workshop_of(ctx)
    heads = await workshop.heads()
    if branch not in heads:
        raise OpsError(f"the repository has no branch {branch}")
    head = heads[branch]
    if not found.commits or await workshop.is_ancestor(found.head, head):
        return Backport(hotfix=found, to=to, branch=branch, head=head, lacks=())
    same = await equivalents(workshop, head, found.head, found.fork)
    messages = "\n".join((await workshop.messages(found.fork, head)).values())
    lacks = [
        one
        for one in found.commits
        if one.sha not in same and f"(cherry picked from commit {one.sha})" not in messages
    ]
    return Backport(hotfix=found, to=to, branch=branch, head=head, lacks=tuple(lacks))


@check("hotfix-backported", title="Back-ported", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def hotfix_backported(ctx: CheckContext) -> Finding:
    """The branch of the environment `to` has every commit of the hotfix, however it came there."""
    found = await backport_of(ctx)
    commits = found.hotfix.commits
    command = f"git fetch && git cherry origin/{found.branch} {found.hotfix.head[:12]}"
    if not commits:
        return tell(Level.UNKNOWN, f"{found.hotfix.branch} has no commit of its own yet", command=command)
    if not found.lacks:
        number = count(len(commits), "commit")
        return tell(Level.OK, f"{found.branch} has {number} of {found.hotfix.branch}", command=command)
    return tell(
        Level.UNKNOWN,
        f"{found.branch} lacks {count(len(found.lacks), 'commit')} of {found.hotfix.branch}",
        evidence=[f"{one.sha[:7]} {one.subject}, {one.author}" for one in found.lacks],
        command=command,
        next="Without it the next release brings the bug back.",
        pending=True,
    )


class HotfixBackport(Deed):
    """Pick the hotfix's commits onto the branch, and push it."""

    NAME = "hotfix-backport"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen: tuple[str, tuple[str, ...]] = ("", ())
        self._pushed: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was picked and pushed, for the journal."""
        return self._pushed

    async def _plan(self, ctx: CheckContext) -> Plan:
        found = await self._to_pick(ctx)
        await self._pick(ctx, found)  # conflicts are told before anything is asked
        self._seen = _seen(found)
        branch = shlex.quote(found.branch)
        shas = " ".join(one.sha[:12] for one in found.lacks)
        served = ctx.config.environments[found.to].url is not None
        return self._planned(
            f"Back-port {found.hotfix.branch} to {found.branch}",
            f"branch {found.branch}",
            [
                here("git fetch origin"),
                here(f"git switch {branch}", f"at {found.head[:7]}"),
                here(f"git cherry-pick -x {shas}", "in a worktree of the console's own"),
                here(f"git push origin {branch}", f"only if it still stands at {found.head[:7]}"),
            ],
            risks=[f"the push may start the workflow that deploys to {found.to}"] if served else [],
            undo=f"git revert of them, pushed to {found.branch}",
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        workshop = workshop_of(ctx)
        workshop.expire()
        yield step("asking where the branches stand")
        found = await self._to_pick(ctx)
        if _seen(found) != self._seen:
            raise OpsError(
                f"{found.branch} has moved since it was planned",
                means="nothing was picked and nothing was pushed",
                next="Plan it again.",
            )
        yield step(f"picking {count(len(found.lacks), 'commit')} onto {found.branch}")
        sha = await self._pick(ctx, found)
        for one in found.lacks:
            yield output(f"{one.sha[:7]} {one.subject}")
        self._pushed = {"from": found.head, "commit": sha, "branch": found.branch}
        self._pushed["picked"] = [one.sha for one in found.lacks]
        yield step(f"pushing {sha[:7]} to {found.branch}")
        await (await workshop.bench()).push(sha, found.branch, expected=found.head)
        workshop.expire()
        yield verified(f"{found.branch} stands at {sha}")
        yield done(f"{found.hotfix.branch} is back-ported to {found.branch}: {sha[:7]}")

    async def _to_pick(self, ctx: CheckContext) -> Backport:
        found = await backport_of(ctx)
        if not found.hotfix.merged:
            raise Refused(
                f"{found.hotfix.branch} is not merged yet", next="It is back-ported once production has it."
            )
        if not found.lacks:
            raise AlreadyError(f"{found.branch} has {found.hotfix.branch} already")
        return found

    async def _pick(self, ctx: CheckContext, found: Backport) -> str:
        """The commit of the branch with the hotfix, in the console's copy alone. Raises ConflictError."""
        workshop = workshop_of(ctx)
        bench = await workshop.bench()
        author = author_of(bench, engineer_of(ctx))
        names = (found.branch, found.hotfix.branch)
        async with workshop.worktree(found.head) as tree:
            made = await pick(bench, tree, [one.sha for one in found.lacks], author=author, names=names)
        if made.conflicts:
            raise ConflictError(
                found.hotfix.branch,
                found.branch,
                made,
                how="picked onto",
                next=f"Pick it onto {found.branch} by hand (git cherry-pick -x), and push it: that is seen.",
            )
        return made.sha


def _seen(found: Backport) -> tuple[str, tuple[str, ...]]:
    return found.head, tuple(one.sha for one in found.lacks)


def factory(ctx: CheckContext) -> HotfixBackport:
    """The act for an environment."""
    return HotfixBackport(ctx)
