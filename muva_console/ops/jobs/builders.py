"""Which operations can be a job, and how each is made again in the job's own process.

A builder is ``module:function``: ``function(workspace, environment, arguments) -> Operation`` with plain data
for arguments. Beside it may stand ``module:function`` that tells what is true after a job was interrupted:
``await function(workspace, environment, arguments) -> tuple[str, ...]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Operation

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

Build = Callable[["Workspace", str, Mapping[str, Any]], Operation]

BUILDERS: dict[str, tuple[str, str]] = {
    "migrations-apply": (
        "muva_console.ops.migrations.apply_job:build",
        "muva_console.ops.migrations.apply_job:aftermath",
    ),
    "migrations-rollback": (
        "muva_console.ops.migrations.rollback_job:build",
        "muva_console.ops.migrations.rollback_job:aftermath",
    ),
    "db-backup": (
        "muva_console.ops.database.backup_job:build",
        "muva_console.ops.database.backup_job:aftermath",
    ),
    "db-restore": (
        "muva_console.ops.database.restore_job:build",
        "muva_console.ops.database.restore_job:aftermath",
    ),
    "deploy-lead": (
        "muva_console.ops.walking.lead_act:build",
        "muva_console.ops.walking.lead_act:aftermath",
    ),
}
"""By the operation's stable name: its builder, and who tells what an interrupted one left (or empty)."""


class Rebuilt(Operation, Protocol):
    """An operation that a job can make again."""

    def arguments(self) -> dict[str, Any]:
        """Plain data of which its builder makes it again; asked when it is planned."""
        ...


def build(workspace: Workspace, operation: str, environment: str, arguments: Mapping[str, Any]) -> Operation:
    """The operation, made anew. Raises OpsError for one that cannot be a job."""
    if operation not in BUILDERS:
        raise OpsError(f"{operation} cannot be a job of its own")
    if environment not in workspace.environments:
        raise OpsError(f"there is no environment {environment}")
    made: Operation = _find(BUILDERS[operation][0])(workspace, environment, arguments)
    return made


async def aftermath(
    workspace: Workspace, operation: str, environment: str, arguments: Mapping[str, Any]
) -> tuple[str, ...]:
    """What an interrupted job has left, a line each. Raises OpsError."""
    where = BUILDERS.get(operation, ("", ""))[1]
    if not where or environment not in workspace.environments:
        return ()
    told: tuple[str, ...] = await _find(where)(workspace, environment, arguments)
    return told


def _find(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
