"""Which run of the runbook "hotfix" is led: the open one of that branch, or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.deploys.hotfix import branch_of
from muva_console.ops.errors import ConfigError
from muva_console.ops.runbooks.load import find_runbook
from muva_console.ops.runbooks.run import Word
from muva_console.ops.walking.looking import HOTFIX
from muva_console.ops.walking.runs import list_runs
from muva_console.ops.walking.walk import Walk

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

BOOK = "hotfix"
STAGING = ("staging", "staging-served")
"""The steps that are left out together where there is no time for staging."""


async def open_hotfix(
    workspace: Workspace,
    environment: str,
    name: str,
    *,
    summary: str = "",
    incident: str = "",
    anew: bool = False,
) -> tuple[Walk, bool]:
    """The walk to lead, and whether it was begun before: the newest open run for that branch, else another.
    Raises OpsError.
    """
    branch = branch_of(name)
    workspace.workshop.expire()  # the fix was pushed a moment ago
    book = find_runbook(workspace.runbooks, BOOK)
    if environment not in book.environments:
        raise ConfigError(
            f"a hotfix does not go to {environment}: it is for {', '.join(book.environments) or 'nothing'}"
        )
    if not anew:
        for one in await list_runs(workspace, environment=environment):
            if one.runbook.id == book.id and one.ended_at is None and one.about.get(HOTFIX) == branch:
                return await Walk.resume(workspace, one.id), True
    given = {HOTFIX: branch, "summary": summary, "incident": incident}
    walk = await Walk.begin(
        workspace, book, environment, given={key: value for key, value in given.items() if value}
    )
    return walk, False


async def skip_staging(walk: Walk, reason: str) -> None:
    """Leave staging out, with the reason, which stays in sight. Raises OpsError without one."""
    for name in STAGING:
        item = walk.run.item(name)
        if item is not None and item.answer is None:
            await walk.answer(name, Word.NOT_APPLICABLE, note=reason)
