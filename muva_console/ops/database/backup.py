"""A backup of an environment's database: `pg_dump` in custom format, checked before it is called one.

It is written to a file ``….partial`` that nothing takes for a backup; when it is whole, on the disk and
read through once, its record is written beside it and it gets its name. So whatever ends the work half-way,
a killed console and a full disk too, leaves no backup that is none; what is left is removed by the next one.

The rows that the record tells are counted in the snapshot that is dumped: a restore has to come to the
same numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.ops.backups import Backup, backup_name, find_backups, spell_size
from muva_console.ops.database.dumping import Facts, dump, dump_line, facts_of, no_room
from muva_console.ops.database.narrated import Tell, narrated
from muva_console.ops.database.partial import Partial, leftovers, sync_folder
from muva_console.ops.database.programs import Programs, find_programs
from muva_console.ops.database.record import Record, contents, digest, read_through, record_path, write_record
from muva_console.ops.database.target import Target
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count, spell_span
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.readings import utc_now

NAME = "db-backup"


class Taken(Struct, frozen=True, kw_only=True):
    """A backup that was made and checked."""

    path: Path
    record: Record

    @property
    def told(self) -> str:
        """In a line."""
        return f"{self.path.name}: {spell_size(self.record.size)} in {spell_span(self.record.took_s)}"


class BackupOperation:
    """A backup of one environment's database, now. An `Operation`; it harms nobody, so it asks nothing."""

    def __init__(self, target: Target, *, at: datetime | None = None) -> None:
        """`at`: the time that its name tells, where it was planned before."""
        self._target = target
        self._given = at
        self._at: datetime | None = at

    @property
    def name(self) -> str:
        """Stable name."""
        return NAME

    def arguments(self) -> dict[str, Any]:
        """Of what a job makes it again."""
        return {"at": self._at.isoformat() if self._at is not None else None}

    async def plan(self) -> Plan:
        """Look whether it can be made, and say what will be pruned. Raises OpsError."""
        target = self._target
        folder = folder_of(target)
        async with target.session() as session:
            facts = await facts_of(session)
        programs = await find_programs(target.backups.programs, facts.major, log=target.log)
        served = await target.commit()
        self._at = self._given or utc_now()
        path = folder / backup_name(target.environment, self._at, served.commit)
        async with target.libpq() as libpq:
            commands = [PlannedCommand("here", dump_line(libpq, path), _why(facts, programs))]
            where = libpq.address.where
        old = await _old(target)
        if old:
            names = " ".join(shlex.quote(str(one.path)) for one in old)
            keep = spell_span(target.backups.keep)
            commands.append(
                PlannedCommand("here", f"rm {names}", f"older than {keep}, once the new one is good")
            )
        return Plan(
            operation=NAME,
            title=f"Back up the database of {target.environment}",
            environment=target.environment,
            target=where,
            tier=Tier.NONE,
            commands=tuple(commands),
            risks=tuple(_risks(folder, facts, served.how)),
            undo=f"rm {shlex.quote(str(path))}",
            production=target.production,
        )

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Make it, check it, prune the old ones; the last event names it."""
        return narrated(self._work, f"backup of {self._target.environment}")

    async def _work(self, tell: Tell) -> str:
        taken = await take_backup(self._target, tell, at=self._at)
        await prune(self._target, taken, tell)
        return f"{taken.path}: {spell_size(taken.record.size)}, {served_as(taken.record)}"


def served_as(record: Record) -> str:
    """``of commit 1a2b3c4``."""
    return "of no known commit" if record.commit_from == "unknown" else f"of commit {record.commit[:7]}"


def folder_of(target: Target) -> Path:
    """The folder of backups. Raises OpsError where none is configured."""
    if target.backups.directory is None:
        raise OpsError(
            "no folder of backups is configured", next='Name it: [backups] directory = "/path/of/backups".'
        )
    return target.backups.directory


async def take_backup(target: Target, tell: Tell, *, at: datetime | None = None) -> Taken:
    """Make and check a backup, telling how it goes; nothing is left of one that failed. It is dated `at`
    where that was promised, now otherwise. Raises OpsError.
    """
    began = time.monotonic()
    folder = folder_of(target)
    await _ready(folder, target.environment, tell)
    served = await target.commit()
    tell(EventKind.STEP, served.told)
    at, path = await _free_name(folder, target.environment, served.commit, at)
    async with target.session() as session, target.libpq() as libpq:
        facts = await facts_of(session)
        programs = await find_programs(target.backups.programs, facts.major, log=target.log)
        with _no_room(folder), Partial(path) as partial:
            dumped = await dump(target, session, libpq, facts, programs, partial, tell)
            await asyncio.to_thread(partial.sync)
            tell(EventKind.STEP, f"{spell_size(partial.size)} are on the disk; reading them through")
            record = Record(
                environment=target.environment,
                database=facts.database,
                at=at,
                commit=served.commit,
                commit_from=served.how,
                size=partial.size,
                sha256=await digest(partial.path),
                server=facts.version,
                program=programs.version,
                rows=dumped.rows,
                history=dumped.history,
                took_s=round(time.monotonic() - began, 3),
            )
            await _checked(partial.path, record, programs, tell)
            await asyncio.to_thread(write_record, path, record)
            try:
                partial.keep()
            except BaseException:
                record_path(path).unlink(missing_ok=True)
                raise
            await asyncio.to_thread(sync_folder, folder)
    return Taken(path=path, record=record)


async def _free_name(
    folder: Path, environment: str, commit: str, at: datetime | None
) -> tuple[datetime, Path]:
    """A time and the name of a backup of it: `at`, else now. Names tell whole seconds: where there is one of
    that second, the next is waited for.
    """
    while True:
        at = at or utc_now()
        path = folder / backup_name(environment, at, commit)
        if not path.exists() and not Partial(path).path.exists():
            return at, path
        at = None
        await asyncio.sleep(1.001 - utc_now().microsecond / 1e6)


async def _ready(folder: Path, environment: str, tell: Tell) -> None:
    try:
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        for name in await asyncio.to_thread(leftovers, folder, environment):
            tell(EventKind.WARNING, f"removed {name}: left by a backup that did not end")
    except OSError as error:
        raise OpsError(f"the folder of backups cannot be used: {error.strerror}", where=str(folder)) from None


@contextlib.contextmanager
def _no_room(folder: Path) -> Iterator[None]:
    """What a disk that is full while we write is told as."""
    import errno

    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise no_room(folder) from None
        raise OpsError(f"the backup cannot be written: {error.strerror}", where=str(folder)) from None


async def _checked(path: Path, record: Record, programs: Programs, tell: Tell) -> None:
    """Raise OpsError unless it can be read to its end and holds what was counted."""
    found = await contents(path, programs.restore)
    missing = sorted(table for table in record.rows if table not in found.relations)
    if missing:
        raise OpsError(f"the backup does not hold {', '.join(missing[:5])}", where=str(path))
    await read_through(path, programs.restore)
    tell(
        EventKind.VERIFIED,
        f"pg_restore reads it to its end: {count(len(found.tables), 'table')} with data, "
        f"SHA-256 {record.sha256[:12]}",
    )
    for table, rows in record.rows.items():
        tell(EventKind.VERIFIED, f"{table}: {count(rows, 'row')} in the snapshot that was dumped")


async def _old(target: Target) -> tuple[Backup, ...]:
    """The environment's backups older than [backups] keep."""
    folder = target.backups.directory
    if folder is None or not await asyncio.to_thread(folder.is_dir):
        return ()
    found = (await find_backups(folder, target.environment)).found
    return tuple(one for one in found if one.age.total_seconds() > target.backups.keep)


async def prune(target: Target, taken: Taken, tell: Tell) -> None:
    """Remove the environment's backups older than [backups] keep, now that `taken` is good: without a newer
    good one nothing is removed.
    """
    for one in await _old(target):
        if one.path == taken.path:
            continue
        try:
            one.path.unlink()
            record_path(one.path).unlink(missing_ok=True)
        except OSError as error:
            tell(EventKind.WARNING, f"{one.path.name} is not removed: {error.strerror}")
        else:
            tell(EventKind.STEP, f"removed {one.path.name}, {spell_span(one.age.total_seconds())} old")


def _why(facts: Facts, programs: Programs) -> str:
    return (
        f"a database of {spell_size(facts.size)}, PostgreSQL {facts.version}; pg_dump {programs.version}. "
        "Written to a .partial file, read through, then named"
    )


def _risks(folder: Path, facts: Facts, how: str) -> list[str]:
    risks = ["no table can be altered while it runs: a migration would wait for its end"]
    place = folder if folder.is_dir() else folder.parent
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(place).free
        if free < facts.size:
            risks.append(
                f"{spell_size(free)} are free in {folder} for a database of {spell_size(facts.size)}; "
                "a dump is packed and without indexes, so it may fit"
            )
    if how != "served":
        risks.append(
            "which commit the environment serves is not known; the name tells "
            + ("the head of its branch" if how == "branch" else "none")
        )
    return risks
