"""A rollback as a job of its own: made again from plain data, and what an interrupted one has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.apply_ground import Choice, ground_of
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.migrations.locking import holder
from muva_console.ops.migrations.rollback import RollBackMigrations

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


class Arguments(Struct, frozen=True, kw_only=True):
    """As `RollBackMigrations.arguments` gives them."""

    steps: int
    choice: Choice
    versions: tuple[str, ...] = ()


def build(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> RollBackMigrations:
    """The operation. Raises OpsError for arguments that are none."""
    given = _read(arguments)
    return RollBackMigrations(
        ground_of(workspace, workspace.environments[environment]), given.steps, given.choice
    )


async def aftermath(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """What is true now: which records are gone and which are there, whether a session is still at work, and
    what was left behind. Raises OpsError.
    """
    given = _read(arguments)
    link = ground_of(workspace, workspace.environments[environment]).link
    told = []
    held = await holder(link)
    if held is not None:
        told.append(f"a session is still at work on the server: {held.text}")
    there = (await read_history(link, statements=False)).applied
    gone = [version for version in given.versions if version not in there]
    left = [version for version in given.versions if version in there]
    if gone:
        told.append(f"undone, and the record removed: {', '.join(gone)}")
    if left:
        told.append(
            f"still recorded, so not undone where the way back runs in a transaction: {', '.join(left)}"
        )
    told += [f"{index}; mend: {index.mend}" for index in await invalid_indexes(link)]
    return tuple(told)


def _read(arguments: Mapping[str, Any]) -> Arguments:
    try:
        return msgspec.convert(dict(arguments), Arguments)
    except msgspec.ValidationError as error:
        raise OpsError(f"these are no arguments of a rollback: {error}") from None
