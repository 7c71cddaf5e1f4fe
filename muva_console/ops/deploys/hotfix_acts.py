"""The acts and checks of a hotfix before its review: its branch, its change, and staging."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Mapping

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import (
    AlreadyError,
    Deed,
    done,
    here,
    output,
    step,
    verified,
    workshop_of,
)
from muva_console.ops.deploys.hotfix import Hotfix, hotfix_of
from muva_console.ops.deploys.merging import merge, merge_message
from muva_console.ops.deploys.minimal import judge, read_diff
from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.health.words import count
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.served import same

GOOD_FOR = 30.0
"""Seconds. Ours."""
SECONDS = 120.0


@check("hotfix-branch", title="Hotfix branch", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def hotfix_branch(ctx: CheckContext) -> Finding:
    """The hotfix's branch is at the remote and has all that production's branch has, or it is merged."""
    found = await hotfix_of(ctx)
    command = f"git ls-remote origin {shlex.quote(f'refs/heads/{found.branch}')}"
    if found.merged and found.pull is not None:
        summary = f"{found.branch} is merged, by #{found.pull.number}"
        return tell(Level.OK, summary, command=command)
    if not found.head:
        summary = f"there is no {found.branch} yet"
        return tell(Level.UNKNOWN, summary, command=command, pending=True)
    evidence = [f"{found.branch} {found.head}", f"{found.target} {found.base}"]
    if found.fork != found.base:
        return tell(
            Level.WARN,
            f"{found.branch} lacks what {found.target} has since ({found.base[:7]})",
            evidence=evidence,
            command=command,
            next=f"git merge origin/{found.target} on it, and push.",
        )
    return tell(Level.OK, f"{found.branch} stands at {found.head[:7]}", evidence=evidence, command=command)


@check("hotfix-change", title="Minimal change", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def hotfix_change(ctx: CheckContext) -> Finding:
    """The hotfix's own commits change something, and no more than a hotfix should: at most 200 lines in 20
    files; above 100 lines or five files, and where it smells of refactoring, it is warned.
    """
    found = await hotfix_of(ctx)
    if not found.commits:
        return tell(
            Level.UNKNOWN,
            f"{found.branch} has no commit of its own yet",
            command=f"git fetch && git log --oneline origin/{found.target}..origin/{found.branch}",
            next=f"Make the fix: git fetch && git switch {found.branch}; commit it, push it, and go on.",
            pending=True,
        )
    workshop = workshop_of(ctx)
    judged = judge(
        read_diff(await workshop.diff(found.fork, found.head)),
        await workshop.changes(found.fork, found.head),
        [one.subject for one in found.commits],
        migrations=ctx.config.project.migrations,
    )
    if judged.level is Level.UNKNOWN:
        return tell(Level.FAIL, f"the commits of {found.branch} change nothing")
    evidence = [*judged.too_large, *judged.smells]
    evidence += [f"{one.sha[:7]} {one.subject}, {one.author}" for one in found.commits[:30]]
    return tell(
        judged.level,
        judged.summary,
        evidence=evidence,
        command=f"git diff --stat {found.fork[:12]} {found.head[:12]}",
        next="" if judged.level is Level.OK else "Leave for the next release what is not the fix.",
    )


class HotfixBranch(Deed):
    """Make the branch of what production's branch has now."""

    NAME = "hotfix-branch"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._base = ""
        self._made: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """The branch, for the journal."""
        return self._made

    async def _plan(self, ctx: CheckContext) -> Plan:
        found = await self._to_make(ctx)
        self._base = found.base
        branch = shlex.quote(found.branch)
        return self._planned(
            f"Make the branch {found.branch}",
            f"branch {found.branch}",
            [
                here("git fetch origin"),
                here(
                    f"git push origin {found.base}:refs/heads/{found.branch}", f"{found.target} as it stands"
                ),
            ],
            undo=f"git push origin --delete {branch}",
            production=False,  # nothing of it is served before it is merged
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        workshop = workshop_of(ctx)
        workshop.expire()
        yield step("asking where the branches stand")
        found = await self._to_make(ctx)
        if found.base != self._base:
            raise OpsError(f"{found.target} has moved since it was planned", next="Plan it again.")
        await (await workshop.bench()).push(found.base, found.branch, expected="")
        workshop.expire()
        self._made = {"branch": found.branch, "commit": found.base}
        yield verified(f"{found.branch} stands at {found.base}")
        yield output(f"make the fix: git fetch && git switch {found.branch}")
        yield done(f"{found.branch} is there: {found.base[:7]} of {found.target}")

    async def _to_make(self, ctx: CheckContext) -> Hotfix:
        found = await hotfix_of(ctx)
        if found.head:
            raise AlreadyError(f"{found.branch} is there already, at {found.head[:7]}")
        return found


# --- staging, if time allows


def _staging(ctx: CheckContext) -> CheckContext:
    source = ctx.going_out().source
    if source is None:
        raise OpsError(f"no environment comes before {ctx.environment_name}")
    return source


async def _staged(ctx: CheckContext) -> tuple[Hotfix, str, str, bool]:
    """The hotfix, staging's branch, where that stands, and whether it has the hotfix."""
    found, branch = await hotfix_of(ctx), _staging(ctx).environment.branch
    workshop = workshop_of(ctx)
    heads = await workshop.heads()
    if branch not in heads:
        raise OpsError(f"the repository has no branch {branch}")
    if not found.head:
        raise OpsError(f"there is no {found.branch} yet")
    return found, branch, heads[branch], await workshop.is_ancestor(found.head, heads[branch])


@check("hotfix-staged", title="On staging", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def hotfix_staged(ctx: CheckContext) -> Finding:
    """Staging's branch has the hotfix's commits."""
    found, branch, head, has = await _staged(ctx)
    command = f"git fetch && git branch -r --contains {found.head[:12]}"
    if has:
        return tell(Level.OK, f"{branch} has {found.head[:7]} of {found.branch}", command=command)
    return tell(
        Level.UNKNOWN,
        f"{branch} ({head[:7]}) does not have {found.head[:7]} of {found.branch} yet",
        command=command,
        next="Where there is no time for it, skip it with the reason.",
        pending=True,
    )


@check("hotfix-staging-serves", title="Staging serves it", good_for=GOOD_FOR)
async def hotfix_staging_serves(ctx: CheckContext) -> Finding:
    """Staging serves a commit that has the hotfix, and its health endpoint says that it is well."""
    found, branch, _, _ = await _staged(ctx)
    staging = _staging(ctx)
    answer = await staging.health()
    document = read_document(answer.json)
    name, command = staging.environment_name, f"curl -s {staging.url(staging.environment.health)} | jq"
    if answer.fault is not None:
        return tell(Level.UNKNOWN, f"{name} does not answer: {answer.error}", command=command)
    if document is None or not document.commit:
        return tell(Level.UNKNOWN, f"{name} does not tell which commit it serves", command=command)
    heads = await workshop_of(ctx).heads()
    head = heads.get(branch, "")
    if not same(document.commit, head):
        summary = f"{name} serves {document.commit[:7]}, and {branch} stands at {head[:7]}"
        return tell(Level.UNKNOWN, summary, command=command, next="Its workflow is at it: muva runs watch.")
    if answer.status != 200:
        return tell(Level.FAIL, f"{name} serves {head[:7]} and answers {answer.status}", command=command)
    return tell(Level.OK, f"{name} serves {head[:7]} with {found.branch}, and answers 200", command=command)


class HotfixStaging(Deed):
    """Merge the hotfix into staging's branch: its workflow deploys it there."""

    NAME = "hotfix-staging"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen: tuple[str, str] = ("", "")
        self._pushed: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was merged and pushed, for the journal."""
        return self._pushed

    async def _plan(self, ctx: CheckContext) -> Plan:
        found, branch, head = await self._to_merge(ctx)
        await self._make(ctx, found, branch, head)  # conflicts are told before anything is asked
        self._seen = (found.head, head)
        target = shlex.quote(branch)
        return self._planned(
            f"Merge {found.branch} into {branch} and push",
            f"branch {branch}",
            [
                here("git fetch origin"),
                here(f"git switch {target}", f"at {head[:7]}"),
                here(
                    f"git merge {shlex.quote(found.branch)}",
                    f"{count(len(found.commits), 'commit')}, in a worktree of the console's own",
                ),
                here(f"git push origin {target}", f"only if it still stands at {head[:7]}"),
            ],
            risks=[f"the push starts the workflow that deploys to {_staging(ctx).environment_name}"],
            undo=f"git revert -m 1 of the merge, pushed to {branch}",
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        workshop = workshop_of(ctx)
        workshop.expire()
        yield step("asking where the branches stand")
        found, branch, head = await self._to_merge(ctx)
        if (found.head, head) != self._seen:
            raise OpsError(
                "a branch has moved since it was planned",
                means="nothing was merged and nothing was pushed",
                next="Plan it again.",
            )
        yield step(f"merging {found.branch} into {branch}")
        sha = await self._make(ctx, found, branch, head)
        self._pushed = {"from": head, "merged": found.head, "commit": sha, "branch": branch}
        yield step(f"pushing {sha[:7]} to {branch}")
        await (await workshop.bench()).push(sha, branch, expected=head)
        workshop.expire()
        yield verified(f"{branch} stands at {sha}")
        yield done(f"{found.branch} is merged into {branch}: {sha[:7]}")

    async def _to_merge(self, ctx: CheckContext) -> tuple[Hotfix, str, str]:
        found, branch, head, has = await _staged(ctx)
        if has:
            raise AlreadyError(f"{branch} has {found.branch} already")
        return found, branch, head

    async def _make(self, ctx: CheckContext, found: Hotfix, branch: str, head: str) -> str:
        made = await merge(
            ctx,
            base=head,
            other=found.head,
            names=(branch, found.branch),
            message=merge_message(found.branch, branch),
        )
        return made.sha


def branch_factory(ctx: CheckContext) -> HotfixBranch:
    """The act that makes the branch."""
    return HotfixBranch(ctx)


def staging_factory(ctx: CheckContext) -> HotfixStaging:
    """The act that brings it to staging."""
    return HotfixStaging(ctx)
