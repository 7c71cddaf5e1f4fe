"""The act and the check "release-branch": prod/vX.Y.Z of main, staging merged and the version written."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import Candidate, candidate_of
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
from muva_console.ops.deploys.merging import merge, merge_message
from muva_console.ops.deploys.version import MANIFEST, manifest_version, with_version
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.workshop_changing import Author, Bench
from muva_console.ops.operations import Event, Plan, PlannedCommand
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.semver import Version

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 120.0


class _Lacks(Struct, frozen=True, kw_only=True):
    """What a release branch does not have yet."""

    absent: bool = False
    code: bool = False
    """The commit that goes out."""
    base: bool = False
    """What the target has meanwhile."""
    version: bool = False

    @property
    def anything(self) -> bool:
        return self.absent or self.code or self.base or self.version

    def told(self, found: Candidate) -> str:
        out = found.outgoing
        if self.absent:
            return f"there is no {found.branch} yet"
        lacks = [f"{out.short} of {out.source}"] if self.code else []
        lacks += [f"what {out.target} has since"] if self.base else []
        lacks += [f"{found.version} in {MANIFEST}"] if self.version else []
        return f"{found.branch} lacks {' and '.join(lacks)}"


async def _lacks(ctx: CheckContext, found: Candidate) -> _Lacks:
    if not found.head:
        return _Lacks(absent=True)
    workshop, out = workshop_of(ctx), found.outgoing
    # newer commits of the source are the next release's, unless the run was begun for them
    code = bool(ctx.going_out().commit) and not await workshop.is_ancestor(out.head, found.head)
    if found.pull is not None:  # under review: GitHub tells whether it can be merged
        return _Lacks(code=code)
    told = await manifest_version(workshop, found.head)
    return _Lacks(
        code=code,
        base=not await workshop.is_ancestor(out.base, found.head),
        version=told is not None and told != found.version,
    )


@check("release-branch", title="Release branch", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def release_branch(ctx: CheckContext) -> Finding:
    """The release's branch prod/vX.Y.Z is at the remote, has the commit that goes out and all of the target,
    and its package.json names the version; or its pull request is merged already.
    """
    found = await candidate_of(ctx)
    evidence = [f"{found.name}: {found.why}", f"the last release is v{found.last}", found.note]
    command = f"git ls-remote origin {shlex.quote(f'refs/heads/{found.branch}')}"
    if found.merged and found.pull is not None:
        summary = f"{found.branch} is merged, by #{found.pull.number}"
        return tell(Level.OK, summary, evidence=evidence, command=command)
    lacks = await _lacks(ctx, found)
    if lacks.anything:
        return tell(Level.UNKNOWN, lacks.told(found), evidence=evidence, command=command, pending=True)
    out, workshop = found.outgoing, workshop_of(ctx)
    odd = []
    if not await workshop.is_ancestor(out.head, found.head):
        odd.append(f"{out.source} has newer commits, which are not in it")
    told = await manifest_version(workshop, found.head)
    if told is not None and told != found.version:
        odd.append(f"its {MANIFEST} says {told}")
    return tell(
        Level.WARN if odd else Level.OK,
        "; ".join([f"{found.branch} stands at {found.head[:7]}", *odd]),
        evidence=[*evidence, f"{found.branch} {found.head}", f"{out.source} {out.head}"],
        command=command,
    )


class ReleaseBranch(Deed):
    """Make the release branch, or bring what it lacks into it, and push it."""

    NAME = "release-branch"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen: tuple[str, str, str, str] | None = None
        self._pushed: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was pushed, for the journal."""
        return self._pushed

    async def _plan(self, ctx: CheckContext) -> Plan:
        found = await candidate_of(ctx)
        lacks = await self._to_do(ctx, found)
        await self._make(ctx, found, lacks)  # conflicts are told before anything is asked
        self._seen = _seen(found)
        out = found.outgoing
        risks = [found.note] if found.note else []
        if found.pull is not None:
            risks.append(f"#{found.pull.number} is open: what was approved of it is approved no more")
        old = await manifest_version(workshop_of(ctx), out.head)
        return self._planned(
            f"Make the release branch {found.branch}" if lacks.absent else f"Bring {found.branch} up to date",
            f"branch {found.branch}",
            _commands(found, lacks, old),
            risks=risks,
            undo=f"git push origin --delete {shlex.quote(found.branch)}",
            production=False,  # nothing of it is served before the pull request is merged
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        workshop = workshop_of(ctx)
        yield step("asking where the branches stand")
        workshop.expire()
        found = await candidate_of(ctx)
        lacks = await self._to_do(ctx, found)
        if _seen(found) != self._seen:
            raise OpsError(
                "branches have moved since it was planned",
                means="nothing was merged and nothing was pushed",
                next="Plan it again.",
            )
        out = found.outgoing
        yield step(f"merging {out.short} of {out.source} into {found.branch}")
        sha, changed = await self._make(ctx, found, lacks)
        if changed:
            yield output(f"{MANIFEST}: version {found.version}")
        self._pushed = {"branch": found.branch, "commit": sha, "merged": out.head, "base": out.base}
        yield step(f"pushing {sha[:7]} to {found.branch}")
        await (await workshop.bench()).push(sha, found.branch, expected=found.head)
        workshop.expire()
        yield verified(f"{found.branch} stands at {sha}")
        yield done(f"{found.branch} is there: {sha[:7]}")

    async def _to_do(self, ctx: CheckContext, found: Candidate) -> _Lacks:
        if found.merged and found.pull is not None:
            raise AlreadyError(f"{found.branch} is merged already, by #{found.pull.number}")
        lacks = await _lacks(ctx, found)
        if not lacks.anything:
            raise AlreadyError(f"{found.branch} is there already, at {found.head[:7]}")
        return lacks

    async def _make(self, ctx: CheckContext, found: Candidate, lacks: _Lacks) -> tuple[str, bool]:
        """The commit of the release in the console's copy, and whether the version was written."""
        out = found.outgoing
        written = False

        async def version(bench: Bench, tree: Path, author: Author, sha: str) -> str:
            nonlocal written
            file = tree / MANIFEST
            if file.is_symlink() or not file.is_file():
                return sha
            data = file.read_bytes()
            changed = with_version(data, found.version)
            if changed is None or changed == data:
                return sha
            written = True
            return await bench.commit_file(
                tree, MANIFEST, changed, message=f"chore(release): v{found.version}", author=author
            )

        base = found.head or out.base
        others = [(out.source, out.head)] if lacks.absent or lacks.code else []
        others += [(out.target, out.base)] if lacks.base else []
        heads, _ = await workshop_of(ctx).known_heads()
        for number, (source, other) in enumerate(others or [(found.branch, base)], 1):
            commit = "" if heads.get(source) == other else other
            made = await merge(
                ctx,
                base=base,
                other=other,
                names=(found.branch, source),
                message=merge_message(source, found.branch, commit=commit),
                further=version if number == max(1, len(others)) else None,
            )
            base = made.sha
        return base, written


def _seen(found: Candidate) -> tuple[str, str, str, str]:
    return (found.branch, found.head, found.outgoing.head, found.outgoing.base)


def _commands(found: Candidate, lacks: _Lacks, old: Version | None) -> list[PlannedCommand]:
    out = found.outgoing
    branch, source, target = (shlex.quote(name) for name in (found.branch, out.source, out.target))
    lines = [here("git fetch origin")]
    if lacks.absent:
        why = f"{found.name}: {found.why}; the last release is v{found.last}"
        lines.append(here(f"git switch -c {branch} origin/{target}", why))
    else:
        lines.append(here(f"git switch {branch}", f"at {found.head[:7]}"))
    if lacks.absent or lacks.code:
        number = count(len(out.commits), "commit")
        lines.append(
            here(f"git merge {source}", f"{out.short}, {number}, in a worktree of the console's own")
        )
    if lacks.base:
        lines.append(here(f"git merge {target}", f"{out.base[:7]}"))
    if old is not None and old != found.version:
        lines.append(
            here(
                f"git commit -m 'chore(release): v{found.version}' {MANIFEST}",
                f"version {old} becomes {found.version}; nothing else of the file changes",
            )
        )
    stands = f"it stands at {found.head[:7]}" if found.head else "it is not there"
    lines.append(here(f"git push origin {branch}", f"only if {stands} still"))
    return lines


def factory(ctx: CheckContext) -> ReleaseBranch:
    """The act for an environment."""
    return ReleaseBranch(ctx)
