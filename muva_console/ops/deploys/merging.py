"""Merging one branch into another in the console's own copy, and pushing what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import author_of, engineer_of, workshop_of
from muva_console.ops.errors import OpsError
from muva_console.ops.links.workshop_changing import Author, Bench, Conflict, Merged

SHOWN = 10
"""Files in conflict of which both sides are shown; the others are named. Ours."""

Further = Callable[[Bench, Path, Author, str], Awaitable[str]]
"""What is done in the worktree after the merge: given its commit, the commit that comes of it."""


class ConflictError(OpsError):
    """Two branches that cannot be merged without somebody who knows. Nothing has been changed."""

    def __init__(
        self, source: str, target: str, merged: Merged, *, how: str = "merged into", next: str = ""
    ) -> None:
        count = merged.all_conflicts
        super().__init__(
            f"{source} cannot be {how} {target}: {count} {'file is' if count == 1 else 'files are'} "
            "in conflict",
            means=f"nothing was {how.partition(' ')[0]} and nothing was pushed",
            next=next
            or f"Merge {target} into {source} in your checkout, resolve it there, and have it reviewed.",
        )
        self.conflicts: tuple[Conflict, ...] = merged.conflicts
        self.source, self.target = source, target

    def lines(self) -> list[str]:
        """The headline, each file with both sides, and what to do."""
        return [str(self), *self.listing(), self.means, self.next]

    def listing(self) -> list[str]:
        """Each file in conflict, the first ones with both sides."""
        return [line for n, one in enumerate(self.conflicts) for line in self._told(one, sides=n < SHOWN)]

    def _told(self, one: Conflict, *, sides: bool) -> Iterable[str]:
        yield f"{one.path}: {one.why}"
        if not sides:
            return
        for hunk in one.hunks:
            yield f"  line {hunk.line}"
            for name, lines in ((self.target, hunk.ours), (self.source, hunk.theirs)):
                yield from (f"    {name} | {line}" for line in lines or ("(nothing)",))
            if hunk.cut:
                yield "    … more lines"
        if one.more:
            yield f"  … and {one.more} more places"


async def merge(
    ctx: CheckContext,
    *,
    base: str,
    other: str,
    names: tuple[str, str],
    message: str,
    further: Further | None = None,
) -> Merged:
    """Merge commit `other` into commit `base` in a worktree that is gone afterwards; `names` are those of
    both branches, the one that is merged into first. The commit is in the console's copy and nowhere else.
    Raises ConflictError, LinkError.
    """
    workshop = workshop_of(ctx)
    bench = await workshop.bench()
    author = author_of(bench, engineer_of(ctx))
    target, source = names
    async with workshop.worktree(base) as tree:
        merged = await bench.merge(tree, other, message=message, author=author, names=names)
        if merged.conflicts:
            raise ConflictError(source, target, merged)
        if further is not None:
            sha = await further(bench, tree, author, merged.sha)
            merged = Merged(sha=sha, forwarded=merged.forwarded and sha == merged.sha)
    return merged


def merge_message(source: str, target: str, *, commit: str = "") -> str:
    """The message as git writes it: of a branch, or of a commit that is not (any more) its head."""
    what = f"Merge commit '{commit[:7]}'" if commit else f"Merge branch '{source}'"
    return what if target == "master" else f"{what} into {target}"
