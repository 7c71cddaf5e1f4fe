"""A restore as a job of its own: made again from plain data, and what an interrupted one has left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from muva_console.ops.database import side
from muva_console.ops.database.record import read_record
from muva_console.ops.database.restore import RestoreOperation
from muva_console.ops.database.restore_in_place import APPLICATION
from muva_console.ops.database.rows import count_rows
from muva_console.ops.database.target import target_of
from muva_console.ops.errors import OpsError
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.migrations.locking import holder

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

_OID = """
SELECT oid::int8, datname::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
"""
_NAMES = "SELECT datname::text FROM pg_catalog.pg_database WHERE datname = ANY ($1::text[])"
_AT_WORK = """
SELECT pid FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND application_name = $1 ORDER BY pid
"""


class Arguments(Struct, frozen=True, kw_only=True):
    """As `RestoreOperation.arguments` gives them."""

    file: str
    at: datetime
    in_place: bool = False
    without_backup: str = ""
    wait: float = 0.0
    beside: bool = True
    oid: int = 0
    maintenance: str = ""
    side: str = ""
    before: str = ""


def build(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> RestoreOperation:
    """The operation. Raises OpsError for arguments that are none."""
    given = _read(arguments)
    return RestoreOperation(
        target_of(workspace, environment),
        Path(given.file),
        in_place=given.in_place,
        without_backup=given.without_backup,
        wait=given.wait,
        at=given.at,
    )


async def aftermath(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Which database serves, whether a session is still at work, and what lies about. Raises OpsError."""
    given = _read(arguments)
    target = target_of(workspace, environment)
    told = []
    held = await holder(target.link)
    if held is not None:
        told.append(f"a session is still at work on the server: {held.text}")
    async with target.session() as session:
        ((oid, name),) = await session.fetch(_OID)
        if not given.beside:
            return (*told, *await _in_place(session, given, str(name)))
        names = {str(one) for (one,) in await session.fetch(_NAMES, [given.side, given.before])}
    if oid == given.oid:
        told.append(f"{name} is what it was, and serves")
    elif given.before in names:
        told.append(f"{name} is the restored database; what it was is kept as {given.before}")
    else:
        told.append(f"{name} is neither what it was nor the restored one: somebody replaced it since")
    if given.side in names:
        told.append(f"what was restored half-way is still there, of no use: {side.dropping(given.side)}")
    return tuple(told)


async def _in_place(session: PostgresSession, given: Arguments, name: str) -> list[str]:
    """In one transaction: all of it or nothing. Which of the two, its rows tell, where there is a record."""
    told = [
        f"pg_restore is still at it, as pid {pid}" for (pid,) in await session.fetch(_AT_WORK, APPLICATION)
    ]
    told.append(f"{name} is what it was or as the backup has it, nothing in between")
    record = await read_record(Path(given.file))
    if record is not None:
        counts = await count_rows(session, list(record.rows), failed=lambda table, why: None)
        told += [
            f"{table}: {counts[table]:,} rows now, {rows:,} in the backup"
            for table, rows in record.rows.items()
            if table in counts
        ]
    return told


def _read(arguments: Mapping[str, Any]) -> Arguments:
    try:
        return msgspec.convert(dict(arguments), Arguments)
    except msgspec.ValidationError as error:
        raise OpsError(f"these are no arguments of a restore: {error}") from None
