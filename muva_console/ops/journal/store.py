"""The journal: the append-only record of everything done and found, shared by a team on one jump host.

The database is opened on first use, on a thread of its own; nothing here blocks the event loop and every
call has a time-out. What is written passes the redaction first. See docs/security.md for the files, the
chain of hashes, and what a verification can and cannot find.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from msgspec.structs import replace

from muva_console.ops.errors import OpsError
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import anchors as anchor_file
from muva_console.ops.journal.chain import verify, verify_nothing
from muva_console.ops.journal.clean import Redact
from muva_console.ops.journal.errors import JournalError, JournalProblem, explain
from muva_console.ops.journal.folder import Folder
from muva_console.ops.journal.model import (
    Appended,
    Begun,
    Draft,
    Ended,
    Entry,
    Filter,
    JournalStatus,
    Kind,
    Life,
    OpenAct,
    Outcome,
    Verification,
)
from muva_console.ops.journal.reader import Reader, tail_warning
from muva_console.ops.journal.replica import count_waiting
from muva_console.ops.journal.schema import BUSY_TIMEOUT
from muva_console.ops.journal.thread import ClosedError, DatabaseThread, Job
from muva_console.ops.journal.writer import Author, Writer
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.journal.sharing import Sharing

T = TypeVar("T")

WRITE_TIMEOUT = 5.0
"""Seconds for one write, waiting for other consoles included. Ours: longer than BUSY_TIMEOUT, short
enough to be told at three in the morning that the disk hangs."""
READ_TIMEOUT = 10.0
SCAN_TIMEOUT = 300.0
"""Seconds for a verification or an export of everything; a million entries take about ten."""
WARNINGS_KEPT = 50


class Journal:
    """One opening of the journal by this process. Use from any event loop; close it at the end."""

    def __init__(
        self,
        directory: Path,
        engineer: Engineer,
        *,
        redact: Redact,
        shared: bool = False,
        on_warning: Callable[[str], None] | None = None,
        write_timeout: float = WRITE_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        busy_timeout: float = BUSY_TIMEOUT,
        share: Callable[[Callable[[str], None]], Sharing] | None = None,
    ) -> None:
        """Nothing is opened yet. `share` makes the way to the journal that several jump hosts share, told how
        to warn; without it this one stands for itself. `shared` makes a folder that is not there 2770 rather
        than 0700; `on_warning` is called in the event loop with each new thing a person should know.
        """
        self.engineer = engineer
        self.session = uuid4().hex[:12]
        self._folder = Folder(directory, shared=shared)
        self._redact = redact
        self._on_warning = on_warning
        self._write_timeout, self._read_timeout = write_timeout, read_timeout
        self._warnings: deque[str] = deque(maxlen=WARNINGS_KEPT)
        self._untold: deque[str] = deque(maxlen=WARNINGS_KEPT)
        me = Author.of(engineer, self.session)
        self._writer = Writer(
            self._folder, me, redact, self._warn, busy_timeout=busy_timeout, copy=share is not None
        )
        self._sharing = share(self._warn) if share is not None else None
        self._reader = Reader(self._folder)
        self._writing = DatabaseThread("journal writer", lambda: self._writer.connection)
        self._reading = DatabaseThread("journal reader", lambda: self._reader.connection)
        self._wakers: set[Callable[[], None]] = set()

    @property
    def directory(self) -> Path:
        """The journal's folder."""
        return self._folder.path

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, oldest first: a cut end, outcomes recorded late, an unsafe folder."""
        return tuple(self._warnings)

    @property
    def out_of_reach(self) -> OpsError | None:
        """Why the journal that several jump hosts share could not be reached when it was last tried; None
        where it was, and where none is shared.
        """
        return self._sharing.error if self._sharing is not None else None

    async def ready(self) -> None:
        """Open the journal for writing, and merge what waits beside it. Raises JournalError when nothing
        could be recorded now.
        """
        await self._write(lambda _: self._writer.ready())

    async def append(self, draft: Draft, *, engineer: Engineer | None = None) -> Entry:
        """Write one entry; when this returns it is on the disk. Raises JournalError."""
        return (await self.append_many([draft], engineer=engineer))[0]

    async def append_many(self, drafts: Sequence[Draft], *, engineer: Engineer | None = None) -> list[Entry]:
        """Write entries in one transaction: all or none. Raises JournalError."""
        if not drafts:
            return []
        author = self._author(engineer)
        return await self._write(lambda job: self._writer.append(job, author, drafts))

    async def append_next(self, draft: Draft, *, seen: int) -> Appended:
        """Write an entry unless one of the same act, kind and subject stands after entry `seen`.

        Looked up and written in one transaction: of two consoles that say something of the same thing at
        once, the second is told what the first said. Raises JournalError.
        """
        author = self._author(None)
        return await self._write(lambda job: self._writer.append_next(job, author, draft, seen))

    async def note(self, text: str, *, environment: str = "", subject: str = "note") -> Entry:
        """Write what a person wants remembered. Raises JournalError."""
        return await self.append(Draft(kind=Kind.NOTE, subject=subject, text=text, environment=environment))

    async def begin_act(self, draft: Draft, *, target: str, engineer: Engineer | None = None) -> Begun:
        """Write that an act begins, and reserve the room for its end on the disk.

        `draft.act` names the act (see `new_act`). Raises JournalError; then nothing may be begun that must
        be recorded. A begin that was given up (time-out, cancellation) while the disk was at it is closed
        as not begun when the disk comes back.
        """
        author = self._author(engineer)
        try:
            return await self._write(lambda job: self._writer.begin(job, author, draft, target))
        except BaseException as error:
            if not isinstance(error, JournalError) or error.problem is JournalProblem.TIMEOUT:
                self._withdraw(author, draft)
            raise

    async def end_act(self, draft: Draft, *, engineer: Engineer | None = None) -> Ended:
        """Write how an act ended: to the journal, else to the spool beside it.

        `draft.act` is that of the begin, ``draft.data["outcome"]`` an `Outcome`. Raises JournalError only
        when neither could be written.
        """
        author = self._author(engineer)
        draft = replace(draft, kind=Kind.ACT_ENDED)
        try:
            return Ended(entry=await self._write(lambda job: self._writer.end(job, author, draft)))
        except JournalError as error:
            whole = await self._beside(lambda: self._writer.keep(author, draft))
            self._warn(f"the end of {draft.subject} waits beside the journal: {error}")
            self._deliver()
            return Ended(entry=None, error=error, shortened=not whole)

    async def settle(self, begin_id: int, text: str) -> Entry:
        """Close an interrupted act: a person has looked and says in `text` what became of it.

        Raises JournalError, and OpsError when that entry is no open act or its process still runs.
        """
        found = [act for act in await self.open_acts() if act.entry.id == begin_id]
        if not found:
            raise OpsError(
                f"entry {begin_id} is not an act without an end", next="muva journal open lists them"
            )
        act = found[0]
        if act.life in {Life.RUNNING, Life.SPOOLED}:
            raise OpsError(f"nothing to settle: {act.summary}")
        draft = Draft(
            kind=Kind.ACT_ENDED,
            subject=act.entry.subject,
            text=text,
            environment=act.entry.environment,
            data={"outcome": Outcome.UNKNOWN.value, "settled": True},
            act=act.entry.act,
        )
        author = self._author(None)
        return await self._write(lambda job: self._writer.end(job, author, draft))

    async def read(self, wanted: Filter | None = None) -> list[Entry]:
        """The newest entries that fit, oldest first; none without a journal. Raises JournalError."""
        return await self._read(lambda reader: reader.read(wanted or Filter()))

    async def open_acts(self, environment: str | None = None) -> list[OpenAct]:
        """Acts begun by any console and not ended, oldest first. Raises JournalError."""
        acts = await self._read(lambda reader: reader.open_acts())
        return [act for act in acts if environment is None or act.entry.environment == environment]

    async def follow(
        self, wanted: Filter | None = None, *, after: int | None = None, interval: float = 1.0
    ) -> AsyncGenerator[list[Entry], None]:
        """New entries as any console writes them, in batches, oldest first; never ends by itself.

        Begins after entry `after`, by default after the last one there is. Raises JournalError; call again
        with the last id seen to go on.
        """
        wanted = wanted or Filter()
        last = await self._read(lambda reader: reader.head()) if after is None else after
        loop, woken, version = asyncio.get_running_loop(), asyncio.Event(), -2

        def wake() -> None:
            with suppress(RuntimeError):  # that loop is closed: nobody follows there any more
                loop.call_soon_threadsafe(woken.set)

        def look(reader: Reader) -> tuple[int, int, list[Entry]]:
            now = reader.version()
            head = reader.head() if now != version else last
            if head <= last:
                return now, last, []
            return now, head, reader.read(replace(wanted, after=last, before=head + 1, limit=None))

        self._wakers.add(wake)
        try:
            while True:
                woken.clear()
                version, last, entries = await self._read(look)
                if entries:
                    yield entries
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        await woken.wait()
        finally:
            self._wakers.discard(wake)

    async def verify(self, *, expected: tuple[int, str] | None = None) -> Verification:
        """Walk the whole chain on a connection of its own. Raises JournalError when it cannot be read.

        `expected` is a head noted elsewhere earlier: the id and the hash, or the beginning of it.
        """

        def work(job: Job[Verification]) -> Verification:
            reader = Reader(self._folder)
            try:
                anchors = anchor_file.read(self._folder.anchors)  # before the snapshot: never ahead of it
                connection = reader.open()
                if connection is None:
                    return verify_nothing(anchors)
                return verify(connection, anchors, expected=expected, stop=lambda: job.abandoned)
            finally:
                reader.close()

        await self._freshen()
        return await self._scan(work)

    async def scan(self, work: Callable[[Reader], T], *, timeout: float = SCAN_TIMEOUT) -> T:
        """Run long reading (an export) on a thread and a connection of its own. Raises JournalError."""

        def run(_: Job[T]) -> T:
            reader = Reader(self._folder)
            try:
                return work(reader)
            finally:
                reader.close()

        await self._freshen()
        return await self._scan(run, timeout=timeout)

    async def status(self) -> JournalStatus:
        """Where the journal stands. Raises JournalError when it is there and cannot be read."""

        def look(reader: Reader) -> tuple[int, str, list[str], int]:
            connection = reader.open()
            cut = tail_warning(connection, self._folder) if connection is not None else ""
            waits = count_waiting(connection) if connection is not None and self._sharing is not None else 0
            return reader.head(), cut, self._folder.warnings(), waits

        head, cut, unsafe, waits = await self._read(look)
        told = [*unsafe, *([cut] if cut else [])]
        if self.out_of_reach is not None:
            told.append(f"the shared journal is out of reach, {waits} wait here: {self.out_of_reach}")
        return JournalStatus(
            directory=str(self._folder.path),
            exists=head > 0,
            head=head,
            shared=self._folder.is_shared(),
            warnings=tuple(dict.fromkeys([*self._warnings, *told])),
            waiting=waits,
        )

    async def close(self) -> None:
        """Write what waits, then close. A disk that hangs does not hold the console up. Final."""
        if self._sharing is not None:
            await self._sharing.close()
        with suppress(TimeoutError):
            await self._writing.stop(lambda _: self._writer.close(), timeout=self._write_timeout)
        with suppress(TimeoutError):
            await self._reading.stop(lambda _: self._reader.close(), timeout=self._write_timeout)

    def _author(self, engineer: Engineer | None) -> Author:
        return Author.of(engineer or self.engineer, self.session)

    def _withdraw(self, author: Author, draft: Draft) -> None:
        ended = replace(
            draft,
            kind=Kind.ACT_ENDED,
            text="given up before it began: its begin was not recorded in time",
            data={"outcome": Outcome.NOT_BEGUN.value},
        )
        with suppress(ClosedError):
            self._writing.post(lambda _: self._writer.withdraw(author, ended))

    async def _write(self, work: Callable[[Job[T]], T]) -> T:
        async def here() -> T:
            return await self._call(self._writing, work, self._write_timeout, "writing")

        outcome = await (here() if self._sharing is None else self._sharing.write(self._on_copy, here))
        for wake in tuple(self._wakers):
            wake()
        return outcome

    async def _on_copy(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._call(
            self._writing, lambda _: self._writer.on_copy(work), self._write_timeout, "writing"
        )

    async def _freshen(self) -> None:
        """Take in what other hosts have written; a folder that cannot be written to is read as it is."""
        if self._sharing is not None:
            with suppress(JournalError):
                await self._sharing.fresh(self._on_copy)

    async def _read(self, work: Callable[[Reader], T]) -> T:
        await self._freshen()

        def run(_: Job[T]) -> T:
            try:
                return work(self._reader)
            except BaseException:
                self._reader.close()
                raise

        return await self._call(self._reading, run, self._read_timeout, "reading")

    async def _scan(self, work: Callable[[Job[T]], T], *, timeout: float = SCAN_TIMEOUT) -> T:
        thread = DatabaseThread("journal scan")
        try:
            return await self._call(thread, work, timeout, "reading")
        finally:
            with suppress(TimeoutError, ClosedError):
                await thread.stop(lambda _: None, timeout=0.5)

    async def _beside(self, work: Callable[[], T]) -> T:
        thread = DatabaseThread("journal spool")
        try:
            return await self._call(thread, lambda _: work(), self._write_timeout, "writing")
        finally:
            with suppress(TimeoutError, ClosedError):
                await thread.stop(lambda _: None, timeout=0.5)

    async def _call(
        self, thread: DatabaseThread, work: Callable[[Job[T]], T], timeout: float, doing: str
    ) -> T:
        path = self._folder.database
        try:
            return await thread.run(work, timeout=timeout)
        except TimeoutError as error:
            hung = sqlite3.OperationalError(f"no answer within {timeout:g} s")
            hung.sqlite_errorcode = sqlite3.SQLITE_INTERRUPT
            raise explain(hung, path, doing=doing) from error
        except (sqlite3.Error, OSError) as error:
            raise explain(error, path, doing=doing) from error
        except ClosedError as error:
            raise JournalError(JournalProblem.OTHER, "the journal was closed", where=str(path)) from error
        finally:
            self._deliver()

    def _warn(self, text: str) -> None:
        """Keep a warning, from any thread; `_deliver` tells it in the event loop."""
        text = sanitise_line(self._redact(text))
        if text not in self._warnings:
            self._warnings.append(text)
            self._untold.append(text)

    def _deliver(self) -> None:
        while self._untold:
            text = self._untold.popleft()
            if self._on_warning is not None:
                self._on_warning(text)


def new_act() -> str:
    """A name for an act, unique among all consoles."""
    return uuid4().hex
