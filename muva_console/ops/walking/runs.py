"""The runs of a journal: one by its id, or the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.errors import ConfigError
from muva_console.ops.journal.model import Filter
from muva_console.ops.runbooks.run import KINDS, Run, RunKind, fold, fold_all
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


async def read_run(workspace: Workspace, run_id: str) -> Run:
    """A run of the journal by its id, or by the beginning of it. Raises JournalError, ConfigError."""
    wanted = run_id.strip().lower()
    exact = await workspace.journal.read(Filter(act=wanted, kinds=KINDS, limit=None))
    run = fold(exact)
    if run is None and len(wanted) >= 4:
        begun = await workspace.journal.read(Filter(kinds=(RunKind.BEGUN,), limit=None))
        fitting = [entry.act for entry in begun if entry.act.startswith(wanted)]
        if len(fitting) > 1:
            what = f"several runs begin with {sanitise_line(wanted, cap=80)}"
            raise ConfigError(what, mistakes=("give more of the id",))
        if fitting:
            run = fold(await workspace.journal.read(Filter(act=fitting[0], kinds=KINDS, limit=None)))
    if run is None:
        raise ConfigError(
            f"there is no run {sanitise_line(run_id, cap=80)} in this journal",
            where=str(workspace.journal.directory),
            mistakes=("muva checklist --runs lists them",),
        )
    return run


async def list_runs(
    workspace: Workspace, *, environment: str | None = None, limit: int = 50
) -> tuple[Run, ...]:
    """The newest runs, newest first; their items are not read. Raises JournalError."""
    entries = await workspace.journal.read(
        Filter(environment=environment, kinds=(RunKind.BEGUN, RunKind.ENDED), limit=2 * limit)
    )
    return tuple(reversed(fold_all(entries)))[:limit]
