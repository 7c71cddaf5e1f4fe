"""The notes of a release, and which issues it closes: of the merge that is in the target branch."""

from __future__ import annotations

from muva_console.config.redact import redact
from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.body import LONGEST, change_lines, plain
from muva_console.ops.deploys.candidate import Candidate, candidate_of
from muva_console.ops.deploys.changes import Changes, read_changes
from muva_console.ops.deploys.deed import workshop_of
from muva_console.ops.errors import OpsError


async def merged_release(ctx: CheckContext) -> tuple[Candidate, Changes]:
    """The release that was merged, and what it brought. Raises OpsError where it is not merged yet."""
    found = await candidate_of(ctx)
    if not found.merged or not found.commit:
        raise OpsError(f"{found.name} is not merged yet", next="Merge its pull request first.")
    return found, await ctx.shared("what the release brought", lambda: _brought(ctx, found))


async def _brought(ctx: CheckContext, found: Candidate) -> Changes:
    parents = await workshop_of(ctx).parents(found.commit)
    if not parents:
        raise OpsError(f"{found.commit[:7]} has nothing before it")
    return await read_changes(ctx, parents[0], found.commit)


def render_notes(found: Candidate, changes: Changes, repository: str) -> str:
    """The notes as Markdown: changes by kind, pull requests, authors, and where to compare."""
    lines = [*change_lines(changes)]
    if changes.pulls:
        lines += ["", "**Pull requests**"]
        lines += [f"- #{one.number} {plain(one.title)} ({plain(one.author.login)})" for one in changes.pulls]
    if changes.issues:
        lines += ["", f"Closes {', '.join(f'#{number}' for number in changes.issues)}."]
    if changes.authors:
        lines += ["", f"By {', '.join(plain(name) for name in changes.authors)}."]
    if repository and found.pull is not None:
        lines += ["", f"Merged by #{found.pull.number}: `{found.commit[:12]}`."]
        last = f"v{found.last}"
        if last in found.tags and last != found.name:
            lines += [f"Compare: https://github.com/{repository}/compare/{last}...{found.name}"]
    return "\n".join(redact(line) for line in lines)[:LONGEST]
