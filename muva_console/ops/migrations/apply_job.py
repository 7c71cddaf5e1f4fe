"""An apply as a job of its own: made again from plain data, and what an interrupted one has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.apply import ApplyMigrations
from muva_console.ops.migrations.apply_ground import Choice, NothingToApply, ground_of
from muva_console.ops.migrations.apply_prepare import prepare
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.migrations.locking import holder

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


def build(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> ApplyMigrations:
    """The operation. Raises OpsError for arguments that are none."""
    return ApplyMigrations(ground_of(workspace, workspace.environments[environment]), _choice(arguments))


def arguments_of(choice: Choice) -> dict[str, Any]:
    """A choice as plain data."""
    data: dict[str, Any] = msgspec.to_builtins(choice)
    return data


async def aftermath(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """What is true now: what still waits, whether a session is still at work, and what was left behind.
    Raises OpsError.
    """
    ground = ground_of(workspace, workspace.environments[environment])
    told = []
    held = await holder(ground.link)
    if held is not None:
        told.append(f"a session is still at work on the server: {held.text}")
    try:
        prepared = await prepare(ground, _choice(arguments), backup=False)
    except NothingToApply as nothing:
        told.append(f"everything was committed and recorded: {nothing.what}")
    except OpsError as error:
        told += [f"what waits cannot be told: {line}" for line in error.lines()]
    else:
        waiting = ", ".join(step.title for step in prepared.steps)
        told.append(
            f"not recorded, so not applied where it runs in a transaction: {waiting}; what came before is "
            "committed and recorded"
        )
        told += prepared.warnings
    for index in await invalid_indexes(ground.link):
        line = f"{index}; mend: {index.mend}"
        if line not in told:
            told.append(line)
    return tuple(dict.fromkeys(told))


def _choice(arguments: Mapping[str, Any]) -> Choice:
    try:
        return msgspec.convert(dict(arguments), Choice)
    except msgspec.ValidationError as error:
        raise OpsError(f"these are no arguments of an apply: {error}") from None
