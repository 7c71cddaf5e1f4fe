"""The act "deploy-merge" and the check "merged": the branch that goes out, merged into the environment's."""

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
from muva_console.ops.deploys.merging import merge, merge_message
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.operations import Event, Plan
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

GOOD_FOR = 60.0
"""Seconds. Ours: somebody else may push at any time."""
SECONDS = 120.0
"""For a first fetch of a whole history. Ours."""


@check("merged", title="Merged", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def merged(ctx: CheckContext) -> Finding:
    """The commit that goes out is in the environment's branch at the remote, whoever merged it."""
    outgoing = await ctx.outgoing()
    target, source = sanitise_line(outgoing.target, cap=80), sanitise_line(outgoing.source, cap=80)
    command = f"git fetch && git log --oneline origin/{target}..{outgoing.short}"
    evidence = [f"{source} {outgoing.head}", f"{target} {outgoing.base}"]
    if not outgoing.fetched:
        why = outgoing.fetch_error or "the repository cannot be fetched"
        return tell(
            Level.UNKNOWN,
            f"whether {target} has it is not known: {why}",
            evidence=evidence,
            command=command,
        )
    if not outgoing.commits:
        by = await _merge_of(ctx, outgoing)
        return tell(
            Level.OK,
            f"{target} has {outgoing.short} of {source}{by}",
            evidence=evidence,
            command=command,
            at=outgoing.at,
        )
    shown = outgoing.commits[:30]
    return tell(
        Level.UNKNOWN,
        f"{count(len(outgoing.commits), 'commit')} of {source} {_are(outgoing)} not in {target} yet",
        evidence=[*evidence, *(f"{one.sha[:7]} {one.subject}, {one.author}" for one in shown)],
        command=command,
        at=outgoing.at,
        pending=True,
    )


def _are(outgoing: Outgoing) -> str:
    return "is" if len(outgoing.commits) == 1 else "are"


async def _merge_of(ctx: CheckContext, outgoing: Outgoing) -> str:
    """Who merged it, as far as the target's head tells."""
    if outgoing.base == outgoing.head:
        return ""
    repository = workshop_of(ctx)
    parents = await repository.parents(outgoing.base)
    if outgoing.head not in parents[1:]:
        return ""
    (one,) = (c for c in await repository.commits(parents[0], outgoing.base) if c.sha == outgoing.base)
    return f", merged by {one.author} at {one.at:%Y-%m-%d %H:%M} UTC"


class Merge(Deed):
    """Merge what goes out into the environment's branch, and push it: its workflow deploys what is there."""

    NAME = "deploy-merge"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen: Outgoing | None = None
        self._pushed: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was merged and pushed, for the journal."""
        return self._pushed

    async def _plan(self, ctx: CheckContext) -> Plan:
        outgoing = await _going(ctx)
        message = await _message(ctx, outgoing)
        made = await merge(
            ctx,
            base=outgoing.base,
            other=outgoing.head,
            names=(outgoing.target, outgoing.source),
            message=message,
        )
        self._seen = outgoing
        source, target = shlex.quote(outgoing.source), shlex.quote(outgoing.target)
        what = source if message.startswith("Merge branch") else outgoing.short
        why = (
            f"{target} is forwarded to {outgoing.short}: it has nothing of its own"
            if made.forwarded
            else f"“{message}”, in a worktree of the console's own copy; your checkout is not touched"
        )
        risks = [f"the push starts the workflow that deploys to {ctx.environment_name}"]
        if outgoing.behind:
            behind = count(outgoing.behind, "commit")
            risks.append(f"{target} has {behind} that {source} has not; what comes of both was not built yet")
        return self._planned(
            f"Merge {outgoing.source} into {outgoing.target} and push",
            f"branch {outgoing.target}",
            [
                here("git fetch origin"),
                here(f"git switch {target}", f"at {outgoing.base[:7]}"),
                here(f"git merge {what}", f"{count(len(outgoing.commits), 'commit')}; {why}"),
                here(f"git push origin {target}", f"only if it still stands at {outgoing.base[:7]}"),
            ],
            risks=risks,
            undo=f"git revert {'of what came' if made.forwarded else '-m 1 of the merge'}, pushed to "
            f"{outgoing.target}: that deploys what was before",
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        seen = self._seen
        if seen is None:
            raise OpsError("it was not planned")
        workshop = workshop_of(ctx)
        bench = await workshop.bench()
        yield step(f"asking where {seen.target} stands")
        workshop.expire()
        outgoing = await _going(ctx)
        if (outgoing.head, outgoing.base) != (seen.head, seen.base):
            what = seen.target if outgoing.base != seen.base else seen.source
            raise OpsError(
                f"{what} has moved since it was planned",
                means="nothing was merged and nothing was pushed",
                next="Plan it again.",
            )
        yield step(f"merging {seen.short} into {seen.target}")
        made = await merge(
            ctx,
            base=seen.base,
            other=seen.head,
            names=(seen.target, seen.source),
            message=await _message(ctx, seen),
        )
        yield output(f"{seen.target} {seen.base[:7]} → {made.sha[:7]}")
        self._pushed = {"from": seen.base, "merged": seen.head, "commit": made.sha, "branch": seen.target}
        yield step(f"pushing {made.sha[:7]} to {seen.target}")
        await bench.push(made.sha, seen.target, expected=seen.base)
        workshop.expire()
        yield verified(f"{seen.target} stands at {made.sha}")
        yield done(f"{seen.source} is merged into {seen.target}: {made.sha[:7]}")


async def _going(ctx: CheckContext) -> Outgoing:
    """What is to be merged. Raises AlreadyError where nothing is."""
    outgoing = await ctx.outgoing()
    if not outgoing.fetched:
        raise OpsError(
            f"{outgoing.target} cannot be merged into: {outgoing.fetch_error}", next="Try again when it can."
        )
    if not outgoing.commits:
        raise AlreadyError(f"{outgoing.target} has {outgoing.short} of {outgoing.source} already")
    return outgoing


async def _message(ctx: CheckContext, outgoing: Outgoing) -> str:
    heads, _ = await workshop_of(ctx).known_heads()
    pinned = heads.get(outgoing.source) != outgoing.head
    return merge_message(outgoing.source, outgoing.target, commit=outgoing.head if pinned else "")


def factory(ctx: CheckContext) -> Merge:
    """The act for an environment."""
    return Merge(ctx)
