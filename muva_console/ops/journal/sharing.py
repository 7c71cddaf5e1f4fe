"""The way from this host's copy of the journal to the one that several jump hosts share, on a Postgres.

A write takes the shared journal's lock, takes in what others wrote, writes here, sends it, and lets go: of
two hosts that say something of the same thing at once, the second sees what the first said before it says it.
Where the shared journal cannot be reached the write is made here and waits; it is sent with the next one
that gets through, by whichever console of this host. Source of the lock: PostgreSQL, "Advisory Locks".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from muva_console.ops.errors import Fault, OpsError
from muva_console.ops.journal import replica
from muva_console.ops.journal.chain import COLUMNS
from muva_console.ops.journal.replica import AnotherJournalError, Row, content_of
from muva_console.ops.links.pg_errors import DatabaseError

if TYPE_CHECKING:
    import sqlite3

    from muva_console.ops.links.postgres_session import PostgresSession

T = TypeVar("T")


class Local(Protocol):
    """Runs work on this host's copy, on the writer's thread."""

    async def __call__(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What the work returns. Raises JournalError, and what the work raises."""
        ...


LOCK = 0x6D7576616A
"""The key of the advisory lock: "muvaj"."""
REACH = 3.0
"""Seconds for connecting. Ours: whoever acts at three in the morning does not wait for a record."""
TAKE = 4.0
"""Seconds for the lock and each statement."""
FRESH = 1.0
"""Seconds for which what was read of the shared journal serves who reads next."""
BACK_OFF, LONGEST = 3.0, 60.0
"""Seconds until a shared journal that cannot be reached is tried again: doubled up to the longest."""
PAGE = 2000
"""Entries taken in at a time."""
_TABLE = "muva_journal.entry"
_TYPES = {"id": "bigint", "ref": "bigint"}
_ALL = (*COLUMNS, "hash", "content")
_SELECT = f"SELECT {', '.join(COLUMNS)}, hash FROM {_TABLE} WHERE id > $1 ORDER BY id LIMIT {PAGE}"  # noqa: S608
_SEND = (
    f"INSERT INTO {_TABLE} ({', '.join(_ALL)}) SELECT * FROM unnest("  # noqa: S608 - names of our own
    + ", ".join(f"${place}::{_TYPES.get(name, 'text')}[]" for place, name in enumerate(_ALL, 1))
    + ") ORDER BY 1"
)


class Sharing:
    """Of one opening of the journal. The session belongs to the event loop that uses it first, and is opened
    anew in another.
    """

    def __init__(
        self,
        session: Callable[[], PostgresSession],
        bring_up: Callable[[], Awaitable[None]],
        on_warning: Callable[[str], None],
    ) -> None:
        """`session` makes one; `bring_up` brings the schema to the database; `on_warning` is told once of
        each thing that a person should know.
        """
        self._make, self._bring_up, self._warn = session, bring_up, on_warning
        self._session: PostgresSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._name = ""
        self._failures = 0
        self._not_before = 0.0
        self._taken = float("-inf")
        self.error: OpsError | None = None
        """Why it could not be reached when it was last tried; None where it was."""

    async def write(self, local: Local, work: Callable[[], Awaitable[T]]) -> T:
        """Make a write: under the shared lock where that can be had, else here alone. Raises what `work`
        raises; never for a shared journal that cannot be reached.
        """
        async with self._alone():
            session = await self._locked(local)
            try:
                done = await work()
                if session is not None:
                    await self._give(session, local)
            except BaseException:
                await self._drop()  # the server rolls back, and gives the lock away
                raise
            return done

    async def _locked(self, local: Local) -> PostgresSession | None:
        """A transaction that has the lock, everything of others taken in; None where that cannot be had."""
        session = await self._reached()
        if session is None:
            return None
        try:
            await session.execute("BEGIN", timeout=TAKE)
            await session.fetch("SELECT pg_catalog.pg_advisory_xact_lock($1)", LOCK, timeout=TAKE)
            await self._take_in(session, local)
        except OpsError as error:
            await self._lost(error)
            return None
        except BaseException:
            await self._drop()
            raise
        return session

    async def _give(self, session: PostgresSession, local: Local) -> None:
        """Send what waits and end the transaction. What cannot be sent is written here, and waits."""
        try:
            last = await self._send(session, local)
            await session.execute("COMMIT", timeout=TAKE)
            if last:
                await local(lambda connection: replica.confirm(connection, self._name, last))
        except OpsError as error:
            await self._lost(error)
        else:
            self._well()

    async def fresh(self, local: Local) -> None:
        """Take in what others have written, unless that was done just now. Never raises for a shared journal
        that cannot be reached.
        """
        if time.monotonic() - self._taken < FRESH:
            return
        async with self._alone():
            if time.monotonic() - self._taken < FRESH:
                return
            session = await self._reached()
            if session is None:
                return
            try:
                await self._take_in(session, local)
                waits = await local(lambda connection: len(replica.waiting(connection, self._name)))
            except OpsError as error:
                await self._lost(error)
                return
            except BaseException:
                await self._drop()
                raise
        if waits:
            await self.write(local, _nothing)  # what waits is sent, and nothing new is written

    async def close(self) -> None:
        """End the session."""
        await self._drop()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock, self._session = loop, asyncio.Lock(), None
        async with self._lock:
            yield

    async def _reached(self) -> PostgresSession | None:
        """The session, open; None where the shared journal cannot be reached now."""
        if self._session is not None and self._session.usable:
            return self._session
        if time.monotonic() < self._not_before:
            return None
        session = self._make()
        try:
            async with asyncio.timeout(REACH):
                await session.open()
            self._name = await self._identity(session)
        except (OpsError, TimeoutError) as error:
            self._session = session
            await self._lost(error if isinstance(error, OpsError) else _silent(session.where))
            return None
        except BaseException:
            await session.close()
            raise
        self._session = session
        return session

    async def _identity(self, session: PostgresSession) -> str:
        """Which journal it is; its schema is brought there where it has none."""
        (there,) = await session.fetch("SELECT to_regclass('muva_journal.identity')::text", timeout=TAKE)
        if there[0] is None:
            await self._bring_up()
        ((name,),) = await session.fetch("SELECT name::text FROM muva_journal.identity", timeout=TAKE)
        return str(name)

    async def _take_in(self, session: PostgresSession, local: Local) -> None:
        """Everything that the shared journal has and this host has not. Raises OpsError."""
        name = self._name
        while True:
            last, told = await self._confirmed(local)
            if last and self._taken == float("-inf"):
                found = await session.fetch(f"SELECT hash FROM {_TABLE} WHERE id = $1", last, timeout=TAKE)  # noqa: S608
                if not found or found[0][0] != told:
                    raise _other(session.where, f"entry {last} is not the one that was sent")
            rows: Sequence[Row] = await session.fetch(_SELECT, last, timeout=TAKE)
            await local(partial(_take, name, rows))
            if len(rows) < PAGE:
                break
        self._taken = time.monotonic()
        self._well()

    async def _confirmed(self, local: Local) -> tuple[int, str]:
        try:
            return await local(lambda connection: replica.confirmed(connection, self._name))
        except AnotherJournalError as error:
            where = self._session.where if self._session is not None else ""
            raise _other(where, str(error)) from None

    async def _send(self, session: PostgresSession, local: Local) -> int:
        """Send what waits; the last one's id, 0 for none. Raises OpsError."""
        rows = await local(lambda connection: replica.waiting(connection, self._name))
        if not rows:
            return 0
        whole = [(*row, content_of(row)) for row in rows]
        columns = [list(column) for column in zip(*whole, strict=True)]
        await session.fetch(_SEND, *columns, timeout=TAKE)
        return int(rows[-1][0])

    def _well(self) -> None:
        if self.error is not None:
            self._warn("the shared journal is reached again; what waited here has been sent")
        self.error, self._failures, self._not_before = None, 0, 0.0

    async def _lost(self, error: OpsError) -> None:
        await self._drop()
        first = self.error is None
        self.error = error
        self._failures += 1
        pause = min(LONGEST, BACK_OFF * 2 ** min(self._failures - 1, 6))
        self._not_before = time.monotonic() + pause
        self._taken = float("-inf")
        if first:
            self._warn(f"the shared journal cannot be reached, what is written waits on this host: {error}")

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(OpsError, asyncio.TimeoutError):
                await session.close()


def _take(name: str, rows: Sequence[Row], connection: sqlite3.Connection) -> None:
    replica.take(connection, name, rows)


async def _nothing() -> None:
    """No write."""


def _silent(where: str) -> OpsError:
    return DatabaseError(Fault.TIMEOUT, f"no answer within {REACH:g} s", where=where)


def _other(where: str, why: str) -> OpsError:
    return OpsError(
        f"the shared journal is another than the one that this host has a copy of: {why}",
        where=where,
        means="nothing is sent and nothing taken in; what is written waits on this host",
        next="See where [journal] url leads. To begin a copy anew name another [journal] directory.",
    )
