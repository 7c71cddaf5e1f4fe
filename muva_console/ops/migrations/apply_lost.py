"""After a connection was lost in the midst of an apply: what is true on the server, or how to find out.

A transaction's number, asked for when it began, tells afterwards whether it was committed (`txid_status`),
and the history row is in the same transaction as the file. A session of ours that is still at work on the
server, with nobody to hear its answer and the locks of an open transaction, is ended; no other one ever is.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import Backend
from muva_console.ops.migrations.apply_ground import Ground, Step
from muva_console.ops.migrations.history import SCHEMA, TABLE, read_history
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.migrations.pieces import Piece

LOOK_FOR = 30.0
"""Seconds for which the server is looked for again. Ours: a restart takes less."""
LOOK_EVERY = 0.5
LINGER = 3.0
"""Seconds that our own session may still be at a commit before it is ended. Ours."""
END_WITHIN = 10.0

_SESSION = """
SELECT pid FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2
"""
_END = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
 WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2
"""
_INDEX = """
SELECT i.indisvalid AND i.indisready
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname || '.' || c.relname = $1
"""


@dataclass(slots=True)
class Point:
    """Where an apply stands: all that is needed to find out what became of it."""

    step: Step
    backend: Backend
    piece: Piece | None = None
    """The statement that is being run."""
    transaction: int | None = None
    """Its number; None outside of one, and before it is known."""
    records: bool = False
    """Whether the row of the history is in this transaction."""
    phase: str = "before its first statement"
    """In words: ``at COMMIT``."""
    before: int = 0
    """Statements of the file that are committed already, of a file in parts."""
    removes: bool = False
    """Whether the row is taken away, for it is a way back; "recorded" then means that it is gone."""


class Lost(OpsError):
    """The connection was lost; the text says what is true. `committed` is None where it cannot be told."""

    def __init__(self, what: str, *, where: str, means: str, next: str, committed: bool | None) -> None:
        super().__init__(what, where=where, means=means, next=next)
        self.committed = committed


async def find_out(ground: Ground, point: Point, error: DatabaseError) -> Lost:
    """What became of the file that was being applied when the connection was lost."""
    step = point.step
    what = f"{step.file.path}: the connection was lost {point.phase} ({error.what})"
    question = _question(ground.link, point)

    def lost(means: str, committed: bool | None, next: str = "") -> Lost:
        return Lost(what, where=ground.link.where, means=means, next=next, committed=committed)

    try:
        ended = await _session_ended(ground.link, point)
        there = step.file.version in (await read_history(ground.link, statements=False)).applied
        recorded = there is not point.removes
        if point.transaction is None:
            return lost(*await _outside(ground.link, point, recorded, ended, question))
        status = await _status(ground.link, point.transaction)
    except LinkError as failed:
        return lost(
            f"Whether {_part(point)} is applied cannot be told: the server cannot be asked ({failed.what}).",
            None,
            f"As soon as it answers: {question}",
        )
    if status == "committed" and (recorded or not point.records):
        return lost(f"{_cap(_part(point))} was committed{_with_record(point)}.", True, _again(point))
    if status == "aborted" or (status is None and point.records and not recorded and ended):
        return lost(f"{_cap(_part(point))} was rolled back: nothing of it is applied.{_kept(point)}", False)
    if status is None and recorded and point.records:
        seen = "gone" if point.removes else "there"
        return lost(f"{_cap(_part(point))} was committed: its record is {seen}.", True)
    if status == "in progress":
        return lost(
            f"Whether {_part(point)} will be committed cannot be told yet: the server is still at it, as pid "
            f"{point.backend.pid}.",
            None,
            f"Look again: {question}",
        )
    seen = "recorded" if recorded else "not recorded"
    return lost(
        f"Whether {_part(point)} was committed cannot be told: the server says {status or 'nothing'} of "
        f"transaction {point.transaction}, and the file is {seen}.",
        None,
        f"Look: {question}",
    )


async def _outside(
    link: PostgresLink, point: Point, recorded: bool, ended: bool, question: str
) -> tuple[str, bool | None, str]:
    """Outside of a transaction: what the statement that runs alone has left."""
    piece = point.piece
    if piece is None or not piece.statement.alone:
        return f"Nothing of {_part(point)} was begun.{_kept(point)}", False, ""
    kind = piece.statement.kind
    if not ended:
        return (
            f"The server is still at line {piece.line} ({kind}), as pid {point.backend.pid}; it is let be.",
            None,
            f"Wait for its end, then look: {question}",
        )
    for name in piece.statement.makes:
        rows = await link.fetch(_INDEX, name)
        if not rows:
            return f"{name} is not there: line {piece.line} has not happened.{_kept(point)}", False, ""
        if rows[0][0]:
            return (
                f"{name} is there and valid; the file is {'' if recorded else 'not '}recorded.",
                True,
                "Applying again would fail, for it is there: drop it first, or record the file "
                f"(supabase migration repair --status applied {point.step.file.version}).",
            )
    for index in await invalid_indexes(link):
        if index.index in piece.statement.makes or index.table in piece.statement.touches:
            return f"{index}. The file is not recorded.", False, f"{index.mend} Then apply again."
    return (
        f"Whether line {piece.line} ({kind}) has happened cannot be told by the catalogs; the file is not "
        "recorded.",
        None,
        f"Look at what it changes, then apply again: {question}",
    )


async def _session_ended(link: PostgresLink, point: Point) -> bool:
    """Wait until our session is gone from the server; end it where it is in a transaction. False where it is
    still there. Raises LinkError when the server does not come back.
    """
    deadline = time.monotonic() + LOOK_FOR
    patience = time.monotonic() + LINGER
    asked = False
    while True:
        try:
            link.retry_now()
            if not await link.fetch(_SESSION, *point.backend):
                return True
            alone = point.transaction is None
            if time.monotonic() > patience and (alone or asked):
                return False
            if time.monotonic() > patience:
                await link.fetch(_END, *point.backend)
                asked, patience = True, time.monotonic() + END_WITHIN
        except LinkError as error:
            if time.monotonic() > deadline or (
                isinstance(error, DatabaseError) and error.sqlstate == "42501"
            ):
                raise
        await asyncio.sleep(LOOK_EVERY)


async def _status(link: PostgresLink, transaction: int) -> str | None:
    """``committed``, ``aborted``, ``in progress``; None where the server does not know it (any more)."""
    try:
        ((status,),) = await link.fetch("SELECT pg_catalog.txid_status($1)", transaction)
    except DatabaseError as error:
        if not error.sqlstate:
            raise
        return None  # "in the future": another server answers than before
    return None if status is None else str(status)


def _question(link: PostgresLink, point: Point) -> str:
    row = f"SELECT version FROM {SCHEMA}.{TABLE} WHERE version = '{point.step.file.version}'"  # noqa: S608
    if point.transaction is None:
        return link.psql(row)
    return link.psql(f"SELECT txid_status({point.transaction}); {row}")


def _part(point: Point) -> str:
    title = f"the way back of {point.step.title}" if point.removes else point.step.title
    return f"this part of {title}" if point.step.script.mixed else title


def _with_record(point: Point) -> str:
    if point.removes:
        return ", with the removal of its record" if point.records else "; its record is still there"
    return ", with its record" if point.records else "; the file is not recorded yet"


def _again(point: Point) -> str:
    if point.records:
        return f"What comes after it was not tried: {'roll back' if point.removes else 'apply'} again."
    return "The rest of the file has not run: apply its statements by hand, or undo what was done."


def _kept(point: Point) -> str:
    if not point.before:
        return ""
    return f" Its first {point.before} statements were committed before, and the file is not recorded."


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("this") else text
