"""The act "hotfix-pull": the hotfix's pull request, its body filled in, opened once."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Mapping

from muva_console.config.redact import redact
from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.body import plain, way_back
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
from muva_console.ops.deploys.hotfix import Hotfix, hotfix_of
from muva_console.ops.deploys.minimal import Judged, judge, read_diff
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_model import Declined, Unsure
from muva_console.ops.operations import Event, Plan
from muva_console.ops.text import sanitise_line


def title(found: Hotfix, summary: str = "") -> str:
    """``🔥 HOTFIX: …`` (playbook), in the engineer's words or in those of its last commit."""
    words = summary or (found.commits[-1].subject if found.commits else found.branch)
    return f"🔥 HOTFIX: {sanitise_line(words, cap=120)}"


async def review_message(ctx: CheckContext) -> str:
    """What the team is told while the hotfix waits for its review. Raises OpsError where there is nothing to
    review.
    """
    found = await hotfix_of(ctx)
    if found.pull is None or found.merged:
        raise OpsError(f"{found.branch} has no pull request that waits")
    pull = found.pull
    size = await _judged(ctx, found)
    lines = [
        f"🔥 Hotfix waits for its review: #{pull.number} {pull.title}",
        f"Change: {size.summary}",
        f"By: {pull.author.login or 'a deleted account'}",
        f"Asked: {', '.join(pull.requested) or 'nobody by name: whoever reads this'}",
        pull.url,
    ]
    return "\n".join(redact(sanitise_line(line, cap=300)) for line in lines)


async def _judged(ctx: CheckContext, found: Hotfix) -> Judged:
    workshop = workshop_of(ctx)
    return judge(
        read_diff(await workshop.diff(found.fork, found.head)),
        await workshop.changes(found.fork, found.head),
        [one.subject for one in found.commits],
        migrations=ctx.config.project.migrations,
    )


class HotfixPull(Deed):
    """Open the hotfix's pull request to production's branch."""

    NAME = "hotfix-pull"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._seen = ""
        self._title, self._body = "", ""
        self._made: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """The pull request, for the journal."""
        return self._made

    async def _plan(self, ctx: CheckContext) -> Plan:
        found = await self._to_open(ctx)
        judged = await _judged(ctx, found)
        self._seen = found.head
        self._title = title(found, str(ctx.parameters.get("summary", "") or ""))
        self._body = await self._written(ctx, found, judged)
        line = (
            f"gh pr create --base {found.target} --head {shlex.quote(found.branch)} "
            f"--title {shlex.quote(self._title)}"
        )
        return self._planned(
            f"Open the pull request of {found.branch}",
            f"pull request of {found.branch}",
            [here(line, f"with the body:\n{self._body}")],
            risks=[*judged.too_large, *judged.smells],
            undo=f"gh pr close {shlex.quote(found.branch)}",
            production=False,  # nothing of it is served before it is merged
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        yield step("looking whether it is open already")
        found = await self._to_open(ctx)
        if found.head != self._seen:
            raise OpsError(
                f"{found.branch} has moved since it was planned",
                means="no pull request was opened",
                next="Plan it again: its body tells of other commits.",
            )
        releasing = github_of(ctx).releasing
        yield step(f"opening the pull request of {found.branch}")
        try:
            pull = await releasing.open_pull(found.branch, found.target, self._title, self._body)
        except (Declined, Unsure) as error:
            # somebody was faster, or the answer was lost: what is there is what counts
            there = await releasing.find_pull(found.branch, found.target)
            if there is None:
                raise
            yield warning(str(error))
            pull = there
        self._made = {"pull": pull.number, "url": pull.url, "branch": found.branch, "head": found.head}
        yield verified(f"#{pull.number} {pull.title}, at {pull.head_sha[:7]} into {pull.base}")
        yield done(f"#{pull.number} is open: {pull.url}")

    async def _to_open(self, ctx: CheckContext) -> Hotfix:
        found = await hotfix_of(ctx)
        if found.pull is not None:
            state = "merged" if found.pull.merged else "open"
            raise AlreadyError(f"#{found.pull.number} of {found.branch} is {state} already")
        if not found.head:
            raise OpsError(f"there is no branch {found.branch} yet", next="Make it first.")
        if not found.commits:
            raise OpsError(f"{found.branch} has no commit of its own yet", next="Make the fix, and push it.")
        return found

    async def _written(self, ctx: CheckContext, found: Hotfix, judged: Judged) -> str:
        parameters = ctx.parameters
        incident = sanitise_line(str(parameters.get("incident", "") or ""), cap=60)
        lines = ["## What it mends", plain(str(parameters.get("summary", "") or "")) or "(see the commits)"]
        if incident:
            lines.append(f"Incident {plain(incident)}.")
        lines += ["", "## Changes"]
        lines += [f"- {plain(one.subject)} ({one.sha[:7]}, {plain(one.author)})" for one in found.commits]
        lines += ["", "## Minimal", f"- [{'x' if judged.level == 'ok' else ' '}] {plain(judged.summary)}"]
        lines += [f"  - {plain(one)}" for one in (*judged.too_large, *judged.smells)]
        lines += ["", "## If it does not help"]
        lines += [f"- {plain(line, code=True)}" for line in await way_back(ctx, found.base)]
        lines.append(f"- `muva rollback --env {ctx.environment_name}`")
        lines += ["", "## Afterwards", "- [ ] Back-ported to staging and dev by cherry-pick"]
        return "\n".join(redact(line) for line in lines)


def factory(ctx: CheckContext) -> HotfixPull:
    """The act for an environment."""
    return HotfixPull(ctx)
