"""The hotfix in hand: a branch of production's branch, what it changes, and its pull request.

Nothing is stored: the branch is at the remote, the pull request is GitHub's, and what was merged is in the
target. A run names the branch (the parameter ``hotfix``); everything else is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import github_of, workshop_of
from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.links.github_model import PullRequest
    from muva_console.ops.links.outgoing import OutgoingCommit

PARAMETER = "hotfix"
PREFIX = "hotfix/"
"""What hotfix branches are named by (playbook)."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)
_NOT_WORDS = re.compile(r"[^a-z0-9._-]+")


class Hotfix(Struct, frozen=True, kw_only=True):
    """What there is of a hotfix now."""

    branch: str
    target: str
    """Production's branch."""
    base: str
    """The commit that the target stands at."""
    head: str = ""
    """Where its branch stands, or stood when it was merged; empty where there is none yet."""
    fork: str = ""
    """The target's commit that it grows from."""
    commits: tuple[OutgoingCommit, ...] = ()
    """Its own commits, oldest first, merges left out; those that were merged too."""
    pull: PullRequest | None = None

    @property
    def merged(self) -> bool:
        """Whether its pull request was merged."""
        return self.pull is not None and self.pull.merged


def branch_of(name: str) -> str:
    """The branch of a hotfix by its name: ``Critical bug`` makes ``hotfix/critical-bug``. Raises OpsError."""
    slug = _NOT_WORDS.sub("-", name.strip().lower().removeprefix(PREFIX)).strip("-.")
    slug = re.sub(r"\.{2,}", ".", slug)[:80].removesuffix(".lock")
    if not _NAME.fullmatch(slug):
        raise OpsError(
            f"“{sanitise_line(name, cap=60)}” names no hotfix", next="A few words: muva hotfix critical-bug"
        )
    return f"{PREFIX}{slug}"


def asked_branch(ctx: CheckContext) -> str:
    """The branch that this run is for. Raises OpsError where none is named."""
    told = str(ctx.parameters.get(PARAMETER, "") or "")
    if not told:
        raise OpsError("no hotfix is named", next="muva hotfix NAME leads one.")
    return branch_of(told)


async def hotfix_of(ctx: CheckContext) -> Hotfix:
    """The hotfix in hand, found once for all checks of a round. Raises OpsError."""
    return await ctx.shared("hotfix in hand", lambda: _find(ctx))


async def _find(ctx: CheckContext) -> Hotfix:
    branch, target = asked_branch(ctx), ctx.going_out().target_branch
    workshop = workshop_of(ctx)
    heads = await workshop.heads()
    if target not in heads:
        raise OpsError(f"the repository has no branch {target}")
    base, head = heads[target], heads.get(branch, "")
    pull = await github_of(ctx).releasing.find_pull(branch, target, state="all")
    if pull is not None and not pull.merged and pull.state != "open":
        pull = None  # given up
    if pull is not None and pull.merged:
        head = pull.head_sha or head  # the branch may be gone with its merge, or be used again
        if head not in heads.values() and not await workshop.is_ancestor(pull.merge_commit, base):
            raise OpsError(f"#{pull.number} was merged, and {target} does not have its merge")
    if not head:
        return Hotfix(branch=branch, target=target, base=base, pull=pull)
    before = base
    if pull is not None and pull.merged:
        before = (await workshop.parents(pull.merge_commit))[0]
    fork = await workshop.merge_base(before, head)
    if not fork:
        raise OpsError(f"{branch} has nothing in common with {target}")
    own = await workshop.commits(before, head)
    return Hotfix(
        branch=branch,
        target=target,
        base=base,
        head=head,
        fork=fork,
        commits=tuple(one for one in reversed(own) if not one.merge),
        pull=pull,
    )
