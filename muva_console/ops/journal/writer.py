"""Writing the journal. Everything here blocks and belongs on the writer's database thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec.structs import replace

from muva_console.ops.identity import Engineer
from muva_console.ops.journal import anchors, spool
from muva_console.ops.journal.chain import COLUMNS, GENESIS, hash_of
from muva_console.ops.journal.clean import Redact, clean_data, clean_line, clean_text, data_text
from muva_console.ops.journal.errors import JournalError, JournalProblem, explain
from muva_console.ops.journal.folder import Folder
from muva_console.ops.journal.liveness import life_of, this_process
from muva_console.ops.journal.model import Appended, Begun, Draft, Entry, Kind, Outcome, timestamp
from muva_console.ops.journal.reader import entry_of, file_id, open_acts, tail_warning
from muva_console.ops.journal.schema import BUSY_TIMEOUT, connect_writer, transaction
from muva_console.ops.journal.spool import Spooled
from muva_console.ops.journal.thread import Job
from muva_console.ops.readings import utc_now

T = TypeVar("T")

_INSERT = f"INSERT INTO entry ({', '.join(COLUMNS)}, hash) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608


class Author:
    """Whose entries these are: the columns `engineer`, `origin` and `session`."""

    def __init__(self, engineer: str, origin: str, session: str) -> None:
        self.engineer, self.origin, self.session = engineer, origin, session

    @classmethod
    def of(cls, engineer: Engineer, session: str) -> Author:
        """The columns for an engineer."""
        return cls(engineer.label, f"{engineer.host}: {engineer.origin}", session)


class AbandonedError(Exception):
    """Nobody waits for this write any more; it was rolled back."""


class _OvertakenError(Exception):
    """Somebody else has written what was to be written next."""

    def __init__(self, newer: tuple[Entry, ...]) -> None:
        super().__init__(f"{len(newer)} entries were not seen")
        self.newer = newer


class Writer:
    """The connection that appends, opened on first use, anew after every error and when the file was
    replaced under it.
    """

    def __init__(
        self,
        folder: Folder,
        me: Author,
        redact: Redact,
        tell: Callable[[str], None],
        *,
        busy_timeout: float = BUSY_TIMEOUT,
        copy: bool = False,
    ) -> None:
        """`me` signs what the journal has to say about itself; `tell` takes warnings, on any thread. `copy`:
        of a shared journal, so that an entry is anchored when that has it, and not before.
        """
        self._copy = copy
        self._folder, self._me, self._redact, self._tell = folder, me, redact, tell
        self._busy_timeout = busy_timeout
        self.connection: sqlite3.Connection | None = None
        self.spool_waits = False
        """An outcome of this process lies in the spool: merged after the next write that succeeds."""
        self._file: tuple[int, int] | None = None

    def ready(self) -> None:
        """Open the journal for writing. Raises JournalError."""
        self._guarded(self._open)

    def append(self, job: Job[Any], author: Author, drafts: Sequence[Draft]) -> list[Entry]:
        """Write entries in one transaction. Raises JournalError; then none of them was written."""
        return self._guarded(lambda: self._append(job, author, drafts)[0])

    def append_next(self, job: Job[Any], author: Author, draft: Draft, seen: int) -> Appended:
        """Write an entry unless one of its act, kind and subject stands after `seen`. Raises JournalError."""

        def work() -> Appended:
            try:
                entries, _ = self._append(
                    job, author, [draft], before=lambda connection: self._none_after(connection, draft, seen)
                )
            except _OvertakenError as overtaken:
                return Appended(entry=None, newer=overtaken.newer)
            return Appended(entry=entries[0])

        return self._guarded(work)

    def _none_after(self, connection: sqlite3.Connection, draft: Draft, seen: int) -> tuple[Any, ...]:
        rows = connection.execute(
            f"SELECT {', '.join(COLUMNS)}, hash FROM entry"  # noqa: S608 - names of our own
            " WHERE act = ? AND kind = ? AND subject = ? AND id > ? ORDER BY id",
            (draft.act, draft.kind, clean_line(draft.subject, self._redact), seen),
        ).fetchall()
        if rows:
            raise _OvertakenError(tuple(entry_of(row) for row in rows))
        return ()

    def begin(self, job: Job[Any], author: Author, draft: Draft, target: str) -> Begun:
        """Write the begin of an act and reserve the room for its end. Raises JournalError."""
        return self._guarded(lambda: self._begin(job, author, draft, target))

    def end(self, job: Job[Any], author: Author, draft: Draft) -> Entry:
        """Write the end of an act, joined to its begin. Raises JournalError."""
        entry = self._guarded(lambda: self._append(job, author, [draft], join=True)[0][0])
        spool.release(self._folder, draft.act)
        return entry

    def withdraw(self, author: Author, draft: Draft) -> None:
        """Close an act whose begin was given up while it was being written, if it was written after all.

        Nobody waits for this, so what fails is told as a warning.
        """

        def work() -> None:
            connection = self._open()
            begun = connection.execute(
                "SELECT 1 FROM entry WHERE act = ? AND kind = ?", (draft.act, Kind.ACT_BEGUN)
            ).fetchone()
            if begun and not _ended(connection, draft.act):
                self._append(None, author, [draft], join=True)
            spool.release(self._folder, draft.act)

        try:
            self._guarded(work)
        except JournalError as error:
            self._tell(f"the begin of {draft.subject} may stand in the journal without an end: {error}")

    def keep(self, author: Author, draft: Draft) -> bool:
        """Put the end of an act into the spool. False when it had to be shortened. Raises JournalError.

        Uses no connection, so any thread may call it.
        """
        outcome = {
            "engineer": author.engineer,
            "origin": author.origin,
            "session": author.session,
            "environment": draft.environment,
            "subject": clean_line(draft.subject, self._redact),
            "text": clean_text(draft.text, self._redact),
            "data": clean_data(draft.data, self._redact),
            "ended_at": timestamp(utc_now()),
        }
        try:
            whole = spool.keep(self._folder, draft.act, outcome)
        except OSError as error:
            raise explain(error, self._folder.spool, doing="writing") from error
        self.spool_waits = True
        return whole

    def on_copy(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on the file as the copy of a shared journal; then anchor what that has. Raises JournalError,
        and what `work` raises.
        """

        def run() -> T:
            connection = self._open()
            done = work(connection)
            self._anchor_confirmed(connection)
            return done

        return self._guarded(run)

    def _anchor_confirmed(self, connection: sqlite3.Connection) -> None:
        row = connection.execute(
            f"SELECT {', '.join(COLUMNS)}, hash FROM entry"  # noqa: S608 - names of our own
            " WHERE id = (SELECT confirmed FROM shared)"
        ).fetchone()
        if row is None:
            return
        newest = anchors.last(self._folder.anchors)
        if newest is not None and newest[0] >= row[0] and tail_warning(connection, self._folder):
            # entries of before it was shared were put behind those of other hosts
            self._folder.anchors.replace(self._folder.anchors.with_suffix(".anchors.before-sharing"))
            self._folder.make_file(self._folder.anchors)
            newest = None
        if newest is None or newest[0] < row[0]:
            self._anchor_row(row)

    def close(self) -> None:
        """Close the connection; the next write opens it again."""
        connection, self.connection, self._file = self.connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise explain(error, self._folder.database, doing="writing") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        if self.connection is not None and file_id(self._folder) != self._file:
            self._tell(f"{self._folder.database} was removed or replaced while the console had it open")
            self.close()
        if self.connection is None:
            self._folder.make()
            self._folder.make_file(self._folder.database)
            self._file = file_id(self._folder)
            self.connection = connect_writer(self._folder.database, busy_timeout=self._busy_timeout)
            self._look_around(self.connection)
        return self.connection

    def _look_around(self, connection: sqlite3.Connection) -> None:
        """What is to be told and mended on opening: the folder, the anchors, the spool."""
        for warning in self._folder.warnings():
            self._tell(warning)
        if self._folder.anchors.exists():
            warning = tail_warning(connection, self._folder)
            if warning:
                self._tell(warning)
        else:
            self._folder.make_file(self._folder.anchors)
            last = connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]
            if last:
                text = (
                    f"the anchor file was missing; whether anything after entry {last} was cut off is unknown"
                )
                self._tell(text)
                self._append(None, self._me, [Draft(kind=Kind.JOURNAL, subject="anchors", text=text)])
        self.spool_waits = True
        self._merge()

    def _begin(self, job: Job[Any], author: Author, draft: Draft, target: str) -> Begun:
        owner = this_process()
        self._open()
        spool.reserve(self._folder, draft.act, owner)
        data = {**draft.data, "owner": {name: getattr(owner, name) for name in owner.__struct_fields__}}
        begun = replace(draft, kind=Kind.ACT_BEGUN, data=data)
        try:
            entries, others = self._append(
                job,
                author,
                [begun],
                before=lambda connection: tuple(
                    act
                    for act in open_acts(connection, self._folder)
                    if act.target == target and act.entry.environment == draft.environment
                ),
            )
        except BaseException:
            spool.release(self._folder, draft.act)
            raise
        return Begun(entry=entries[0], others=others)

    def _append(
        self,
        job: Job[Any] | None,
        author: Author,
        drafts: Sequence[Draft],
        *,
        join: bool = False,
        before: Callable[[sqlite3.Connection], tuple[Any, ...]] = lambda _: (),
    ) -> tuple[list[Entry], tuple[Any, ...]]:
        prepared = [(draft, self._columns(author, draft)) for draft in drafts]
        for attempt in (1, 2):
            connection = self._open()
            with transaction(connection):
                looked = before(connection)
                rows = [self._insert(connection, columns, join=join) for _, columns in prepared]
                if job is not None and job.abandoned:
                    raise AbandonedError
            if file_id(self._folder) == self._file:
                break
            if attempt == 2:
                raise JournalError(
                    JournalProblem.MISSING,
                    "the journal is removed again and again while it is written",
                    where=str(self._folder.database),
                    next=f"see who does that (ls -la {self._folder.path}; lsof +D {self._folder.path})",
                )
        self._anchor(rows[-1])
        if self.spool_waits:
            self._merge()
        return [entry_of(row) for row in rows], looked

    def _columns(self, author: Author, draft: Draft) -> dict[str, Any]:
        redact = self._redact
        return {
            "at": timestamp(utc_now()),
            "engineer": clean_line(author.engineer, redact, cap=160) or "unknown",
            "origin": clean_line(author.origin, redact, cap=300),
            "session": author.session,
            "environment": clean_line(draft.environment, redact, cap=80),
            "kind": clean_line(draft.kind, redact, cap=80),
            "subject": clean_line(draft.subject, redact),
            "text": clean_text(draft.text, redact),
            "data": data_text(draft.data, redact),
            "act": draft.act,
            "ref": draft.ref,
        }

    def _insert(
        self, connection: sqlite3.Connection, columns: dict[str, Any], *, join: bool
    ) -> tuple[Any, ...]:
        last = connection.execute("SELECT id, hash FROM entry ORDER BY id DESC LIMIT 1").fetchone()
        seq, previous = last or (0, GENESIS)
        values = {**columns, "id": seq + 1, "prev_hash": previous}
        if join and values["ref"] is None:
            begun = connection.execute(
                "SELECT id FROM entry WHERE act = ? AND kind = ?", (values["act"], Kind.ACT_BEGUN)
            ).fetchone()
            values["ref"] = begun[0] if begun else None
        row = (*(values[name] for name in COLUMNS), hash_of(values))
        connection.execute(_INSERT, row)
        return row

    def _anchor(self, row: tuple[Any, ...]) -> None:
        if not self._copy:
            self._anchor_row(row)

    def _anchor_row(self, row: tuple[Any, ...]) -> None:
        """The entry is written whatever happens here; an anchor that is not is made up for by the next."""
        values = dict(zip((*COLUMNS, "hash"), row, strict=True))
        try:
            anchors.append(self._folder.anchors, values["id"], values["hash"], values["at"])
        except FileNotFoundError:
            self._tell(f"{self._folder.anchors} was removed while the console was open; it is begun anew")
            with suppress(OSError):
                self._folder.make_file(self._folder.anchors)
                anchors.append(self._folder.anchors, values["id"], values["hash"], values["at"])
        except OSError as error:
            self._tell(f"the anchor of entry {values['id']} could not be written: {error.strerror}")

    def _merge(self) -> None:
        """Write what waits in the spool; what cannot be written stays there."""
        self.spool_waits = False
        try:
            for found in spool.waiting(self._folder):
                self._merge_one(found)
        except (sqlite3.Error, OSError) as error:
            self.spool_waits = True
            why = explain(error, self._folder.spool, doing="writing")
            self._tell(f"outcomes of acts wait beside the journal: {why}")

    def _merge_one(self, found: Spooled) -> None:
        connection = self.connection
        assert connection is not None
        written: tuple[Any, ...] | None = None
        with transaction(connection):
            ended = _ended(connection, found.act)
            if found.torn:
                text = f"an outcome in the spool was torn; what is left of it: {found.torn}"
                draft = Draft(
                    kind=Kind.JOURNAL, subject=f"spool of act {found.act}", text=text, act=found.act
                )
                written = self._insert(connection, self._columns(self._me, draft), join=True)
            elif found.outcome is not None and not ended:
                author, draft = _late(found)
                written = self._insert(connection, self._columns(author, draft), join=True)
        gone = found.torn or found.outcome is not None
        if gone or spool.is_left_over(found, life_of(found.owner), ended=ended):
            spool.release(self._folder, found.act)
        if written is not None:
            self._anchor(written)
            entry = entry_of(written)
            self._tell(f"recorded late, from the spool: {entry.subject}: {entry.text}")


def _ended(connection: sqlite3.Connection, act: str) -> bool:
    found = connection.execute("SELECT 1 FROM entry WHERE act = ? AND kind = ?", (act, Kind.ACT_ENDED))
    return found.fetchone() is not None


def _late(found: Spooled) -> tuple[Author, Draft]:
    """The entry for an outcome of the spool: by the one who acted, told to be late."""
    told = found.outcome or {}
    names = ("engineer", "origin", "session", "environment", "subject", "text")
    words = {name: str(told.get(name, "")) for name in names}
    data = told.get("data")
    kept = dict(data) if isinstance(data, dict) else {}
    kept.setdefault("outcome", Outcome.UNKNOWN.value)
    draft = Draft(
        kind=Kind.ACT_ENDED,
        subject=words["subject"],
        text=f"{words['text']}\n(recorded late: the journal could not be written when it ended)",
        environment=words["environment"],
        data={**kept, "ended_at": str(told.get("ended_at", "")), "spooled": True},
        act=found.act,
    )
    return Author(words["engineer"], words["origin"], words["session"]), draft
