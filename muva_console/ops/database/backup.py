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
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.ops.backups import Backup, backup_name, find_backups, spell_size
from muva_console.ops.database.narrated import Tell, narrated
from muva_console.ops.database.partial import Partial, leftovers, sync_folder
from muva_console.ops.database.programs import Programs, find_programs, full, lost, run_program, said
from muva_console.ops.database.record import Record, contents, digest, read_through, record_path, write_record
from muva_console.ops.database.rows import count_rows, highest_version, tables_to_count
from muva_console.ops.database.target import Libpq, Target
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.health.words import count, spell_span
from muva_console.ops.links.local import LocalResult
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.readings import utc_now

NAME = "db-backup"
DUMP_TIMEOUT = 6 * 3600.0
"""Seconds for a whole dump. Ours."""
STALLED = 600.0
"""Seconds without a byte after which a dump is given up. Ours: pg_dump waits for no lock as long."""
LOCK_WAIT = "20s"
"""How long pg_dump waits for a table that a migration holds; it would hold up who comes after it."""
TOLD_EVERY = 1.0
"""Seconds between two words on how far it is."""

FACTS = """
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.pg_database_size(pg_catalog.current_database())::bigint,
       pg_catalog.current_database()::text
"""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a database before it is dumped."""

    version: str
    major: int
    size: int
    """Bytes on the server's disk, indexes too."""
    database: str


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

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def name(self) -> str:
        """Stable name."""
        return NAME

    async def plan(self) -> Plan:
        """Look whether it can be made, and say what will be pruned. Raises OpsError."""
        target = self._target
        folder = folder_of(target)
        async with target.session() as session:
            facts = await facts_of(session)
        programs = await find_programs(target.backups.programs, facts.major, log=target.log)
        served = await target.commit()
        path = folder / backup_name(target.environment, utc_now(), served.commit)
        async with target.libpq() as libpq:
            commands = [PlannedCommand("here", _typed(libpq, path), _why(facts, programs))]
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
        taken = await take_backup(self._target, tell)
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


async def facts_of(session: PostgresSession) -> Facts:
    """Raises DatabaseError."""
    ((version, number, size, database),) = await session.fetch(FACTS)
    return Facts(version=version.split()[0], major=number // 10000, size=size, database=database)


async def take_backup(target: Target, tell: Tell) -> Taken:
    """Make and check a backup, telling how it goes; nothing is left of one that failed. Raises OpsError."""
    began = time.monotonic()
    folder = folder_of(target)
    await _ready(folder, target.environment, tell)
    served = await target.commit()
    tell(EventKind.STEP, served.told)
    at, path = await _free_name(folder, target.environment, served.commit)
    async with target.session() as session, target.libpq() as libpq:
        facts = await facts_of(session)
        programs = await find_programs(target.backups.programs, facts.major, log=target.log)
        with _no_room(folder), Partial(path) as partial:
            dumped = await _dumped(target, session, libpq, facts, programs, partial, tell)
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


async def _free_name(folder: Path, environment: str, commit: str) -> tuple[datetime, Path]:
    """Now, and the name of a backup of now. Names tell whole seconds: where there is one of this second, the
    next is waited for.
    """
    while True:
        at = utc_now()
        path = folder / backup_name(environment, at, commit)
        if not path.exists() and not Partial(path).path.exists():
            return at, path
        await asyncio.sleep(1.001 - at.microsecond / 1e6)


class _Dumped(Struct, frozen=True, kw_only=True):
    rows: dict[str, int]
    history: str


async def _ready(folder: Path, environment: str, tell: Tell) -> None:
    try:
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        for name in await asyncio.to_thread(leftovers, folder, environment):
            tell(EventKind.WARNING, f"removed {name}: left by a backup that did not end")
    except OSError as error:
        raise OpsError(f"the folder of backups cannot be used: {error.strerror}", where=str(folder)) from None


async def _dumped(
    target: Target,
    session: PostgresSession,
    libpq: Libpq,
    facts: Facts,
    programs: Programs,
    partial: Partial,
    tell: Tell,
) -> _Dumped:
    """Dump one snapshot and count in it. Raises OpsError."""
    await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    ((snapshot,),) = await session.fetch("SELECT pg_catalog.pg_export_snapshot()")
    words = [
        programs.dump, "--format=custom", "--verbose", "--no-password", f"--lock-wait-timeout={LOCK_WAIT}",
        f"--snapshot={snapshot}", f"--file={partial.path}", f"--dbname={libpq.conninfo()}",
    ]  # fmt: skip
    shown = _typed(libpq, partial.path)
    tell(EventKind.STEP, f"{shown} (pg_dump {programs.version}, server {facts.version})")
    at = _Progress(partial, facts, tell)
    dump = asyncio.create_task(
        run_program(
            words, libpq, cwd=partial.path.parent, timeout=DUMP_TIMEOUT, shown=shown, log=target.log,
            on_line=at.line,
        ),
        name="pg_dump",
    )  # fmt: skip
    counting = asyncio.create_task(_counted(session, target.critical, tell), name="counting")
    try:
        # pg_dump's end first: what it says is why the counting lost its session too
        result = await at.watched(dump)
        if not result.ok:
            raise _failed(result, partial.path)
        dumped = await counting
        await session.execute("ROLLBACK")
    finally:
        await _ended(dump, counting)
    return dumped


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _counted(session: PostgresSession, critical: Sequence[str], tell: Tell) -> _Dumped:
    def failed(table: str, why: str) -> None:
        tell(EventKind.WARNING, f"{table} is not counted: {why}")

    tables = await tables_to_count(session, critical)
    rows = await count_rows(session, tables, failed=failed)
    return _Dumped(rows=rows, history=await highest_version(session))


class _Progress:
    """How far a dump is, told at most once a second; a dump that stands still is given up."""

    def __init__(self, partial: Partial, facts: Facts, tell: Tell) -> None:
        self._partial, self._facts, self._tell = partial, facts, tell
        self._table = ""

    def line(self, text: str) -> None:
        """A line of pg_dump's."""
        _, found, table = text.partition("dumping contents of table ")
        if found:
            self._table = table.strip().replace('"', "")

    async def watched(self, dump: asyncio.Task[LocalResult]) -> LocalResult:
        """The result. Raises OpsError where nothing comes any more."""
        began = moved = time.monotonic()
        told = 0
        while True:
            done, _ = await asyncio.wait({dump}, timeout=TOLD_EVERY)
            now, size = time.monotonic(), self._partial.size
            if done:
                return dump.result()
            if size != told:
                moved = now
                rate = spell_size(int(size / max(now - began, 0.001)))
                about = f", at {self._table}" if self._table else ""
                whole = spell_size(self._facts.size)
                self._tell(EventKind.OUTPUT, f"{spell_size(size)} of a database of {whole}, {rate}/s{about}")
                told = size
            elif now - moved > STALLED:
                raise LinkError(
                    Fault.TIMEOUT,
                    f"pg_dump has written nothing for {spell_span(STALLED)}: given up",
                    where=self._table,
                )


def _failed(result: LocalResult, path: Path) -> OpsError:
    why = said(result)
    if full(result):
        return _full(path.parent)
    if result.timed_out:
        return LinkError(Fault.TIMEOUT, f"pg_dump took longer than {spell_span(DUMP_TIMEOUT)}: given up")
    if "lock" in why and "timeout" in why:
        return OpsError(
            f"a table is locked by another session for longer than {LOCK_WAIT}",
            means=f"Perhaps a migration runs. pg_dump says: {why}",
            next="Look who holds it, and back up again.",
        )
    if lost(result):
        return LinkError(
            Fault.CLOSED, f"the connection was lost while it was dumped: {why}", means="No backup was made."
        )
    return OpsError(f"pg_dump failed: {why}", means="No backup was made.")


@contextlib.contextmanager
def _no_room(folder: Path) -> Iterator[None]:
    """What a disk that is full while we write is told as."""
    import errno

    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _full(folder) from None
        raise OpsError(f"the backup cannot be written: {error.strerror}", where=str(folder)) from None


def _full(folder: Path) -> OpsError:
    try:
        free = f"{spell_size(shutil.disk_usage(folder).free)} are free there now"
    except OSError:
        free = "it cannot be told how much is free"
    return OpsError(
        "there is no room for the backup: it was not made",
        where=str(folder),
        means=f"What was written of it is removed again; {free}.",
        next="Make room there, or let [backups] directory be elsewhere.",
    )


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


def _typed(libpq: Libpq, path: Path) -> str:
    return libpq.typed("pg_dump", "--format=custom", f"--file={path}")


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
