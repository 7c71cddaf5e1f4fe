"""Applying, file by file: each with its record in one transaction, stopped at the first error.

A statement waits for a lock for a short time only, for whoever wants the table after it waits behind it; then
all is rolled back and tried again after a pause of chance length. Statements that cannot run in a transaction
run alone, and the record is written after them.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Sequence
from contextlib import suppress

from muva_console.ops.database.narrated import Tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.pg_statement_errors import StatementError
from muva_console.ops.migrations.apply_ground import Choice, Ground, Prepared, Step
from muva_console.ops.migrations.apply_lost import Point, find_out
from muva_console.ops.migrations.apply_record import WANTED, make_history, record
from muva_console.ops.migrations.files import LARGEST
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.migrations.locking import held_by, take, watching
from muva_console.ops.migrations.pieces import Piece
from muva_console.ops.operations import EventKind

PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a second attempt, doubling up to the longest; each is taken half to one and a half times
by chance, so that two who wait do not meet again."""
UNLIMITED = 24 * 3600.0
"""Seconds that the client waits for a statement whose file took the server's limit away."""
NOTICES = 40
"""Notices of the server that are told of one file. Ours."""
FRESH = "RESET SESSION AUTHORIZATION; RESET ALL; DISCARD TEMP"
"""Every file begins with the session as it was at first, as with the Supabase CLI (it says RESET ALL)."""
NOTICED = (
    "SELECT pg_catalog.set_config(name, $1, false) FROM pg_catalog.pg_settings"
    " WHERE name = 'client_connection_check_interval'"
)
"""So that the server gives up a transaction whose console is gone (PostgreSQL 14 and later know it, on
Linux). What runs alone goes on: given up, it would leave an invalid index."""


class ApplyFailed(OpsError):
    """An apply that stopped; the text says at what, and how the database is left."""


class Applying:
    """One apply, from the lock to the last file. Made for one `run`."""

    removes = False
    """Whether the row of the history is taken away, as a rollback does."""
    kept = "committed and recorded"
    """What is said of a file that is done."""

    def __init__(self, ground: Ground, choice: Choice, prepared: Prepared, tell: Tell) -> None:
        self._ground, self._choice, self._prepared, self._tell = ground, choice, prepared, tell
        self._session = ground.session()
        self._session.on_notice = self._noticed
        self._notices = 0
        self._columns = set(prepared.history.columns)
        self._point: Point | None = None
        self._limit = 0.0
        self.applied: list[Step] = []
        """What is committed and recorded."""

    async def run(self) -> None:
        """Apply everything. Raises OpsError: ApplyFailed, Lost, Refused, DatabaseError."""
        try:
            await self._session.open()
            await take(
                self._session,
                self._ground.link,
                wait=self._choice.wait,
                waiting=lambda line: self._tell(EventKind.WARNING, line),
            )
            await self._unchanged()
            await self._all()
        finally:
            await self._session.close()

    async def _all(self) -> None:
        for step in self._prepared.steps:
            await self._file(step)

    # --- one file

    async def _unchanged(self) -> None:
        """The history is still what the plan was made from. Raises ApplyFailed."""
        now = await read_history(self._ground.link, statements=False)
        then = self._prepared.history
        if set(now.applied) != set(then.applied):
            new = ", ".join(sorted(set(now.applied) ^ set(then.applied))[:5])
            raise ApplyFailed(
                f"the history changed since the plan was made: {new}",
                where=self._ground.link.where,
                means="Nothing was done.",
                next="Plan it again.",
            )

    async def _file(self, step: Step) -> None:
        began = time.monotonic()
        self._notices = 0
        self._point = Point(step=step, backend=self._session.backend, removes=self.removes)
        try:
            await self._reread(step)
            await self._session.execute(FRESH)
            if not await held_by(self._session):
                raise self._stopped(step, "the lock against a second apply was given back by a file before")
            await self._segments(step)
        except StatementError as error:
            raise self._failed(step, error) from None
        except DatabaseError as error:
            if self._session.usable:
                raise
            self._tell(
                EventKind.WARNING, f"the connection was lost {self._point.phase}; looking what is true"
            )
            told = await find_out(self._ground, self._point, error)
            if told.committed and self._point.records:
                self.applied.append(step)
            told.next = f"{told.next} {self._rest(step)}".strip()
            raise told from None
        self.applied.append(step)
        what = count(len(step.script.pieces), "statement")
        self._tell(
            EventKind.VERIFIED,
            f"{step.title}: {self.kept}, {what}, {_took(time.monotonic() - began)}",
        )

    async def _segments(self, step: Step) -> None:
        point = self._point
        assert point is not None
        segments = step.script.segments
        recorded = False
        for place, segment in enumerate(segments):
            if segment.alone:
                await self._alone(step, segment.pieces[0])
            else:
                recorded = place == len(segments) - 1
                await self._transaction(step, segment.pieces, records=recorded)
            point.before += len(segment.pieces)
        if not recorded:
            point.before = len(step.script.pieces) if segments else 0
            await self._transaction(step, (), records=True)

    async def _reread(self, step: Step) -> None:
        """The file is still what was planned. Raises ApplyFailed."""
        text = await self._ground.repository.read(self._prepared.files.sha, step.file.path, limit=LARGEST)
        if text is None or hashlib.sha256(text).hexdigest() != step.digest:
            what = "is gone" if text is None else "changed"
            raise self._stopped(step, f"the file {what} since the plan was made")

    # --- in a transaction

    async def _transaction(self, step: Step, pieces: Sequence[Piece], *, records: bool) -> None:
        retries = self._ground.settings.retries
        for attempt in range(retries + 1):
            try:
                await self._once(step, pieces, records=records)
            except StatementError as error:
                if self._session.in_transaction:  # a COMMIT that failed has ended it
                    await self._session.execute("ROLLBACK")
                if not error.waited_in_vain or attempt == retries:
                    raise
                await self._pause(step, error, attempt, "all of it rolled back")
            else:
                return

    async def _once(self, step: Step, pieces: Sequence[Piece], *, records: bool) -> None:
        point, session = self._point, self._session
        assert point is not None
        point.transaction, point.piece, point.records, point.phase = None, None, records, "before it began"
        await self._given_up_after("5s")
        await session.execute("BEGIN")
        ((point.transaction,),) = await session.fetch("SELECT pg_catalog.txid_current()")
        await self._set_limits()
        async with watching(self._ground.link, session.backend.pid, self._blocked):
            for piece in pieces:
                await self._piece(step, piece)
            point.piece, point.phase = None, "at its record"
            if records:
                await self._record(step)
            point.phase = "at COMMIT"
            await self._commit()
        point.transaction = None
        if records:
            self._columns |= WANTED

    async def _given_up_after(self, span: str) -> None:
        with suppress(StatementError):
            await self._session.fetch(NOTICED, span)

    async def _set_limits(self) -> None:
        """Of the transaction that is open."""
        settings = self._ground.settings
        await self._session.execute(
            f"SET LOCAL lock_timeout = {_ms(settings.lock_timeout)}; "
            f"SET LOCAL statement_timeout = {_ms(settings.statement_timeout)}"
        )
        self._limit = float(settings.statement_timeout)

    async def _record(self, step: Step) -> None:
        # a file may have taken another role
        await self._session.execute("RESET SESSION AUTHORIZATION; RESET ROLE")
        if not self._columns >= WANTED:
            await make_history(self._session)
        await record(self._session, step, self._columns | WANTED, self._ground.engineer)

    async def _commit(self) -> None:
        """Seen through even where the apply is given up: what is true is then known."""
        commit = asyncio.ensure_future(self._session.execute("COMMIT", timeout=self._limit))
        try:
            tag = await asyncio.shield(commit)
        except asyncio.CancelledError:
            await asyncio.wait({commit}, timeout=5.0)
            commit.cancel()
            raise
        if tag != "COMMIT":
            raise ApplyFailed(f"COMMIT was answered with {tag}: nothing was kept", where=self._session.where)

    async def _piece(self, step: Step, piece: Piece) -> None:
        point, total = self._point, len(step.script.pieces)
        assert point is not None
        point.piece, point.phase = piece, f"at statement {piece.number} (line {piece.line})"
        place = step.script.pieces.index(piece) + 1
        self._tell(EventKind.STEP, f"{step.title} {place}/{total}, line {piece.line}: {piece.about}")
        began = time.monotonic()
        tag = await self._session.execute(piece.text, timeout=self._limit)
        took = _took(time.monotonic() - began)
        seen = await self._seen(piece)
        self._tell(EventKind.OUTPUT, f"{place}/{total} done in {took}{_rows(tag)}{seen}")
        if piece.limits:
            ((limit,),) = await self._session.fetch(
                "SELECT setting::float8 FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'"
            )
            self._limit = limit / 1000 or UNLIMITED

    async def _seen(self, piece: Piece) -> str:
        """What else is told of a statement that was run."""
        return ""

    # --- outside of one

    async def _alone(self, step: Step, piece: Piece) -> None:
        point, session, settings = self._point, self._session, self._ground.settings
        assert point is not None
        point.transaction, point.piece, point.records = None, piece, False
        point.phase = f"at statement {piece.number} (line {piece.line})"
        await self._given_up_after("0")
        # Its lock hinders neither reads nor writes, and a wait that is given up leaves an invalid index.
        patient = " concurrently" in piece.text.lower()
        await session.execute(
            f"SET lock_timeout = {0 if patient else _ms(settings.lock_timeout)}; "
            f"SET statement_timeout = {_ms(settings.statement_timeout)}"
        )
        self._limit = float(settings.statement_timeout)
        for attempt in range(settings.retries + 1):
            try:
                async with watching(self._ground.link, session.backend.pid, self._blocked):
                    await self._piece(step, piece)
            except StatementError as error:
                if patient or not error.waited_in_vain or attempt == settings.retries:
                    raise
                await self._pause(step, error, attempt, "it was not run")
            else:
                return

    async def _pause(self, step: Step, error: StatementError, attempt: int, meanwhile: str) -> None:
        seconds = min(LONGEST_PAUSE, PAUSE * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        line = f"line {self._point.piece.line}" if self._point and self._point.piece else "its record"
        why = "a deadlock" if error.sqlstate == "40P01" else "the lock was not to be had in time"
        self._tell(
            EventKind.WARNING,
            f"{step.title}, {line}: {why}; {meanwhile}; attempt {attempt + 2} of "
            f"{self._ground.settings.retries + 1} in {seconds:.1f} s",
        )
        await asyncio.sleep(seconds)

    # --- what is told

    def _blocked(self, line: str) -> None:
        self._tell(EventKind.WARNING, line)

    def _noticed(self, line: str) -> None:
        self._notices += 1
        if self._notices <= NOTICES:
            kind = EventKind.WARNING if line.startswith("WARNING") else EventKind.OUTPUT
            self._tell(kind, line)

    def _failed(self, step: Step, error: StatementError) -> ApplyFailed:
        """What a statement failed with, where, and how the database is left."""
        point = self._point
        assert point is not None
        piece = point.piece
        where = f"{step.file.path} {point.phase}"
        if piece is not None:
            line, column = piece.place(error.position)
            what = f"statement {piece.number} ({piece.statement.kind})"
            where = f"{step.file.path} line {line}, column {column}: {what}"
        means = [one for one in (error.detail, error.inside) if one]
        if piece is not None and piece.statement.alone:
            means.append("It runs in no transaction; the file is not recorded.")
        else:
            means.append(f"Rolled back: nothing of {'this part' if point.before else 'this file'} was kept.")
        if point.before:
            means.append(
                f"The {point.before} statements before it are committed, and the file is not recorded."
            )
        return ApplyFailed(
            error.what, where=where, means=" ".join(means), next=f"{error.next} {self._rest(step)}".strip()
        )

    def _stopped(self, step: Step, why: str) -> ApplyFailed:
        return ApplyFailed(
            f"stopped before {step.title}: {why}",
            where=self._ground.link.where,
            means="Nothing of it was done.",
            next=self._rest(step),
        )

    def _rest(self, step: Step) -> str:
        """Which files were applied before, and which were not tried."""
        steps = self._prepared.steps
        after = len(steps) - 1 - steps.index(step)
        told = []
        if self.applied:
            told.append(f"Applied and kept: {', '.join(one.title for one in self.applied)}.")
        if after:
            told.append(f"{count(after, 'file')} after it {'was' if after == 1 else 'were'} not tried.")
        return " ".join(told)


async def invalid_now(ground: Ground, prepared: Prepared) -> list[str]:
    """Invalid indexes that were not there before, or that these files name: each with how to mend it.
    Raises DatabaseError.
    """
    names = {name for step in prepared.steps for piece in step.script.pieces for name in _named(piece)}
    return [
        f"{index}; mend: {index.mend} Then apply again."
        for index in await invalid_indexes(ground.link)
        if not index.building
        and (index.index not in prepared.invalid or index.index.rpartition(".")[2] in names)
    ]


def _named(piece: Piece) -> set[str]:
    words = piece.text.replace('"', " ").replace(".", " ").split() if "index" in piece.text.lower() else []
    return set(words)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _rows(tag: str) -> str:
    last = tag.rpartition(" ")[2]
    return f", {int(last):,} {'row' if last == '1' else 'rows'}" if last.isdecimal() else ""
