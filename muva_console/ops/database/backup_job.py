"""A backup as a job of its own: made again from plain data, and what an interrupted one has left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from muva_console.ops.backups import find_backups, spell_size
from muva_console.ops.database.backup import BackupOperation, folder_of
from muva_console.ops.database.partial import SUFFIX
from muva_console.ops.database.record import read_record
from muva_console.ops.database.target import target_of
from muva_console.ops.errors import OpsError

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


class Arguments(Struct, frozen=True, kw_only=True):
    """As `BackupOperation.arguments` gives them."""

    at: datetime | None = None


def build(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> BackupOperation:
    """The operation. Raises OpsError for arguments that are none."""
    return BackupOperation(target_of(workspace, environment), at=_read(arguments).at)


async def aftermath(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Whether the backup was made after all, and what lies about of one that was not. Raises OpsError."""
    began = _read(arguments).at
    folder = folder_of(target_of(workspace, environment))
    if not await asyncio.to_thread(folder.is_dir):
        return ("no backup was made",)
    told = []
    for one in (await find_backups(folder, environment)).found:
        if began is not None and one.at >= began.replace(microsecond=0):
            record = await read_record(one.path)
            told.append(
                f"{one.path.name} was made, {spell_size(one.size)}: "
                + ("checked, with its record" if record is not None else "without a record")
            )
    if not told:
        told.append("no backup was made; what was there before is as it was")
    left = await asyncio.to_thread(lambda: sorted(folder.glob(f"{environment}-*{SUFFIX}")))
    told += [f"{path.name} is left of one that did not end: the next backup removes it" for path in left]
    return tuple(told)


def _read(arguments: Mapping[str, Any]) -> Arguments:
    try:
        return msgspec.convert(dict(arguments), Arguments)
    except msgspec.ValidationError as error:
        raise OpsError(f"these are no arguments of a backup: {error}") from None
