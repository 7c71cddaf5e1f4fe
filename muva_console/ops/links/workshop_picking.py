"""Picking commits onto a branch in the console's own copy; with conflicts nothing is left half picked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.ops.links.workshop_changing import MERGE_TIMEOUT, Author, Bench, Merged
from muva_console.ops.links.workshop_git import check_sha, explain

if TYPE_CHECKING:
    from muva_console.ops.links.workshop import Workshop


async def equivalents(workshop: Workshop, branch: str, head: str, fork: str) -> frozenset[str]:
    """The commits from `fork` to `head` whose very change the commit `branch` has in its history too, as git
    reckons (``git cherry``). Raises LinkError.
    """
    git = await workshop.git()
    told = await git.run("cherry", check_sha(branch), check_sha(head), check_sha(fork), timeout=MERGE_TIMEOUT)
    lines = told.stdout.decode("ascii", "replace").splitlines()
    return frozenset(line[2:].strip() for line in lines if line.startswith("- "))


async def pick(
    bench: Bench, tree: Path, shas: Sequence[str], *, author: Author, names: tuple[str, str]
) -> Merged:
    """Pick commits, the oldest first, onto what `tree` has checked out; each keeps its author and says whence
    it was picked. One whose change is there already is left out. `names`: of the branch and of where they
    come from, for the words of conflicts. Raises LinkError.
    """
    git = await bench.within(tree)
    for sha in shas:
        result = await git.run(
            "cherry-pick", "-x", "--allow-empty", check_sha(sha),
            timeout=MERGE_TIMEOUT, env=bench.committing(author), fine=(0, 1, 128),
        )  # fmt: skip
        if result.exit_status == 0:
            continue
        conflicts, number = await bench.conflicts(git, tree, names)
        if conflicts:
            return Merged(conflicts=conflicts, all_conflicts=number)
        status = await git.run("status", "--porcelain", "--untracked-files=no")
        if status.stdout.strip():
            raise explain(result.output, where="cherry-pick")
        await git.run("cherry-pick", "--skip", env=bench.committing(author))
    return Merged(sha=await git.text("rev-parse", "--verify", "HEAD"))
