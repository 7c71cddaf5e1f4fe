"""An environment's database as a backup has it.

Into a database beside it, which is checked and then takes its name, the old one being kept under another;
or, where this user may not do that, in place and in one transaction. Either way the database of before
serves until the last moment, whatever is cut or killed.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from muva_console.ops.backups import Backup, find_backups, named, spell_size
from muva_console.ops.database import side
from muva_console.ops.database.backup import folder_of, served_as, take_backup
from muva_console.ops.database.dumping import facts_of
from muva_console.ops.database.narrated import Tell, narrated
from muva_console.ops.database.programs import Programs, find_programs
from muva_console.ops.database.record import Contents, Record, contents, read_record, read_through, recognised
from muva_console.ops.database.restore_in_place import newer_tables, restore_in_place
from muva_console.ops.database.restore_side import restore_beside
from muva_console.ops.database.rights import Rights, rights_of
from muva_console.ops.database.rows import count_rows, highest_version, tables_to_count
from muva_console.ops.database.side import renaming, side_name
from muva_console.ops.database.target import Libpq, Served, Target
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.health.words import spell_span
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.migrations.locking import take
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.readings import utc_now
from muva_console.ops.release.served import same
from muva_console.ops.text import sanitise_line

NAME = "db-restore"
LEAST_REASON = 8
"""Characters of a reason for going on without a backup. Ours: "yes" is none."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a restore stands on."""

    path: Path
    backup: Backup | None
    """By its name; None for a file that is named otherwise."""
    record: Record | None
    contents: Contents
    rights: Rights
    programs: Programs
    at: datetime
    """The names of databases are made of it."""
    counts: Mapping[str, int]
    """Rows of now."""
    history: str
    """The highest version of now."""
    served: Served

    @property
    def side(self) -> str:
        """The database that is restored into."""
        return side_name(self.rights.name, "restore", self.at)

    @property
    def before(self) -> str:
        """What the old database is called afterwards."""
        return side_name(self.rights.name, "before", self.at)


class RestoreOperation:
    """A restore of one environment's database from a file. An `Operation`."""

    def __init__(
        self,
        target: Target,
        file: Path,
        *,
        in_place: bool = False,
        without_backup: str = "",
        wait: float = 0.0,
        at: datetime | None = None,
    ) -> None:
        """`without_backup`: why no backup of the present state is taken first. `wait`: seconds to wait for
        somebody else's act on the database. `at`: the time that the names of databases tell, where it was
        planned before. Raises OpsError for a reason that is none.
        """
        self._target = target
        self._file = file
        self._in_place = in_place
        self._reason = reason_for(without_backup)
        self._wait = wait
        self._at = at
        self._planned: tuple[Plan, Ground] | None = None

    @property
    def name(self) -> str:
        """Stable name."""
        return NAME

    def arguments(self) -> dict[str, Any]:
        """Of what a job makes it again; the names and the number of the database that serves are for whoever
        looks what an interrupted one has left. Asked when it is planned.
        """
        assert self._planned is not None
        ground = self._planned[1]
        return {
            "file": str(ground.path),
            "in_place": self._in_place,
            "without_backup": self._reason,
            "wait": self._wait,
            "at": ground.at.isoformat(),
            "beside": not self._side_reason(ground),
            "oid": ground.rights.oid,
            "maintenance": ground.rights.maintenance,
            "side": ground.side,
            "before": ground.before,
        }

    async def plan(self) -> Plan:
        """Look at the file, the server and this user's rights. Raises OpsError where it cannot be done."""
        target = self._target
        async with target.session() as session:
            ground = await self._ground(session, self._at or utc_now())
            left = await newer_tables(session, ground.contents) if self._side_reason(ground) else ()
        async with target.libpq() as libpq:
            where = libpq.address.where
            commands = self._commands(ground, libpq)
        plan = Plan(
            operation=NAME,
            title=f"Restore {target.name} from {sanitise_line(ground.path.name, cap=120)}",
            environment=target.environment,
            target=where,
            tier=Tier.TYPE_NAME if target.production else Tier.CONFIRM,
            commands=commands,
            risks=tuple(self._risks(ground, left)),
            undo=self._undo(ground),
            production=target.production,
        )
        self._planned = (plan, ground)
        return plan

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Do what was planned; what was there stays until the new one is whole and checked."""

        async def work(tell: Tell) -> str:
            return await self._work(plan, tell)

        return narrated(work, f"restore of {self._target.environment}")

    # --- looking

    async def _ground(self, session: PostgresSession, at: datetime) -> Ground:
        target, path = self._target, await self._found()
        record = await read_record(path)
        facts = await facts_of(session)
        programs = await find_programs(target.backups.programs, facts.major, log=target.log)
        held = await contents(path, programs.restore)
        rights = await rights_of(target, session)
        if rights.in_recovery:
            raise OpsError(
                f"{target.name} is a standby, which cannot be written",
                next="Let [database] lead to the primary.",
            )
        await session.execute("BEGIN READ ONLY")
        tables = await tables_to_count(session, target.critical)
        counts = await count_rows(session, tables, failed=lambda table, why: None)
        history = await highest_version(session)
        await session.execute("ROLLBACK")
        return Ground(
            path=path, backup=named(path), record=record, contents=held, rights=rights, programs=programs,
            at=at, counts=counts, history=history, served=await target.commit(),
        )  # fmt: skip

    async def _found(self) -> Path:
        """The file, by its path or by its name in the folder of backups. Raises OpsError."""
        target, path = self._target, self._file.expanduser()
        if not path.is_file() and path.name == str(path) and target.backups.directory is not None:
            path = target.backups.directory / path.name
        if not path.is_file():
            known = ""
            if target.backups.directory is not None and target.backups.directory.is_dir():
                found = (await find_backups(target.backups.directory, target.environment)).found
                known = ", ".join(one.path.name for one in found[:3])
            raise OpsError(
                "there is no such backup",
                where=sanitise_line(str(path), cap=300),
                next=f"The newest of {target.environment}: {known}." if known else "",
            )
        path = path.resolve()
        backup = named(path)
        if backup is not None and backup.environment != target.environment and target.production:
            raise Refused(
                f"this is a backup of {backup.environment}: it is not put in {target.environment}'s place",
                where=str(path),
                next="A copy of it under a name of no environment is taken as it is, if you mean it.",
            )
        return path

    def _side_reason(self, ground: Ground) -> str:
        """Why it is restored in place; empty where it is restored beside."""
        return "asked for" if self._in_place else ground.rights.in_place_because

    # --- the plan

    def _commands(self, ground: Ground, libpq: Libpq) -> tuple[PlannedCommand, ...]:
        target, rights = self._target, ground.rights
        where, path = libpq.address.where, str(ground.path)
        whole = f"sha256sum {shlex.quote(path)}" if ground.record else ground.contents.command
        planned = [
            PlannedCommand("here", whole, "against its record" if ground.record else "and read to its end")
        ]
        if not self._reason:
            planned.append(
                PlannedCommand(
                    "here",
                    libpq.typed("pg_dump", "--format=custom", f"--file={folder_of(target)}/…"),
                    "a fresh backup of what is there now, first",
                )
            )
        if why := self._side_reason(ground):
            words = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error", path)
            planned.append(
                PlannedCommand(
                    "here", libpq.typed("pg_restore", *words), f"in place, in one transaction: {why}"
                )
            )
            return tuple(planned)
        new, before, name = ground.side, ground.before, rights.name
        planned += [
            PlannedCommand(where, side.creation(rights, new), f"from {rights.maintenance}"),
            PlannedCommand(
                "here", libpq.typed("pg_restore", "--exit-on-error", path, database=new), "into the new one"
            ),
            PlannedCommand(where, "ANALYZE", f"in {new}; then its rows are counted against the record"),
            PlannedCommand(
                where,
                side.ending(name),
                f"{rights.sessions.told} now",
            ),
            PlannedCommand(
                where,
                f"BEGIN; {renaming(name, before)}; {renaming(new, name)}; COMMIT",
                "both names at once",
            ),
        ]
        return tuple(planned)

    def _risks(self, ground: Ground, left: tuple[str, ...]) -> list[str]:
        target, rights, record = self._target, ground.rights, ground.record
        risks = []
        at = record.at if record is not None else ground.backup.at if ground.backup is not None else None
        age = (
            f"{spell_span((utc_now() - at).total_seconds())} ago" if at is not None else "an unknown time ago"
        )
        in_place = bool(self._side_reason(ground))
        kept = "only in the backup that is taken first" if in_place else f"only in {ground.before}"
        if in_place and self._reason:
            kept = "nowhere"
        risks.append(f"what was written since the backup, {age}, is then {kept}")
        if ground.backup is not None and ground.backup.environment != target.environment:
            risks.append(f"it is a backup of {ground.backup.environment}, not of {target.environment}")
        if self._reason:
            risks.append(f"no backup is taken first: {self._reason}")
        risks += _rows_told(ground)
        if in_place:
            risks.append("every table is locked until the end: the application waits, or fails, meanwhile")
            if left:
                listed = ", ".join(left[:6]) + (f" and {len(left) - 6} more" if len(left) > 6 else "")
                risks.append(
                    f"tables that the backup does not have stay as they are: {listed}; where one refers to "
                    "a table of the backup, all is rolled back"
                )
        else:
            risks.append(f"{rights.sessions.told}; all are cut when the names are exchanged")
            risks.append(f"the server needs {spell_size(rights.size)} more, until {ground.before} is dropped")
        if record is None:
            risks.append("it has no record, so whether every row of it is there cannot be told")
        major = ground.contents.server.split(".")[0]
        if major.isdecimal() and int(major) > rights.major:
            risks.append(f"it was made by PostgreSQL {major}, newer than this server's {rights.major}")
        return risks

    def _undo(self, ground: Ground) -> str:
        if self._side_reason(ground):
            if self._reason:
                return ""
            return f"muva db restore --env {self._target.environment} --in-place, with the backup taken first"
        name, new = ground.rights.name, ground.side
        return f"BEGIN; {renaming(name, new)}; {renaming(ground.before, name)}; COMMIT"

    # --- doing

    async def _work(self, plan: Plan, tell: Tell) -> str:
        if self._planned is None or self._planned[0].commands != plan.commands:
            raise OpsError("this plan is not the last one that was made here", next="Plan it again.")
        target, planned = self._target, self._planned[1]
        self._planned = None  # a plan is performed once
        async with target.session() as session:
            await take(
                session,
                target.link,
                wait=self._wait,
                waiting=lambda line: tell(EventKind.WARNING, line),
            )
            ground = await self._ground(session, planned.at)
            self._unchanged(planned, ground)
            await _whole(ground, tell)
            if self._reason:
                tell(EventKind.WARNING, f"no backup is taken first: {self._reason}")
            else:
                tell(EventKind.STEP, "a fresh backup of what is there now")
                taken = await take_backup(target, tell)
                tell(EventKind.VERIFIED, f"what is there now is kept as {taken.path}")
            if self._side_reason(ground):
                return await restore_in_place(target, session, ground, tell)
            return await restore_beside(target, session, ground, tell)

    def _unchanged(self, planned: Ground, now: Ground) -> None:
        what = ""
        if now.rights.oid != planned.rights.oid:
            what = "another database has the name"
        elif bool(self._side_reason(now)) != bool(self._side_reason(planned)):
            what = self._side_reason(now) or "it may be restored beside now"
        elif now.record != planned.record or now.contents != planned.contents:
            what = "the backup is another"
        if what:
            raise OpsError(f"it changed since the plan was made: {what}", next="Plan it again.")


async def _whole(ground: Ground, tell: Tell) -> None:
    if ground.record is not None:
        await recognised(ground.path, ground.record)
        tell(EventKind.VERIFIED, f"the backup is the file of its record, SHA-256 {ground.record.sha256[:12]}")
    else:
        await read_through(ground.path, ground.programs.restore)
        tell(EventKind.VERIFIED, "the backup can be read to its end")


def _rows_told(ground: Ground) -> list[str]:
    """What becomes of the rows that are counted, where the record tells."""
    record = ground.record
    if record is None:
        return []
    lines = []
    for table, rows in ground.counts.items():
        then = record.rows.get(table)
        if then is None:
            lines.append(f"{table}: {rows:,} rows now, not counted in the backup")
        elif then != rows:
            lines.append(f"{table}: {rows:,} rows now, {then:,} in the backup ({then - rows:+,})")
    if record.history != ground.history:
        held = record.history or "none"
        lines.append(f"the highest migration is {ground.history or 'none'} now, {held} in the backup")
    if record.commit_from != "unknown" and not same(record.commit, ground.served.commit):
        lines.append(f"the backup is {served_as(record)}: the code of now may want another schema")
    return lines


def reason_for(text: str) -> str:
    """A reason given for going on without a backup, in one harmless line; empty for none. Raises OpsError for
    one that says nothing.
    """
    reason = sanitise_line(text.strip(), cap=300)
    if text and len(reason) < LEAST_REASON:
        raise OpsError("going on without a backup wants a reason that a colleague understands")
    return reason
