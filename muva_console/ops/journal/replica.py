"""A journal's file as the copy of a shared one: what it has, what waits, how others' entries come in.

Entries are written here first and wait until the shared journal has them. Where others were faster, those
that wait are put behind theirs, as a rebase does: the text of each stays as it is, its place, what it refers
to and its hash are made anew. One that was sent and whose answer was lost is found there with its own hash.
Everything here blocks and belongs on the writer's thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from muva_console.ops.journal.chain import COLUMNS, GENESIS, hash_of
from muva_console.ops.journal.clean import canonical
from muva_console.ops.journal.reader import SELECT
from muva_console.ops.journal.schema import transaction

Row = tuple[Any, ...]
"""COLUMNS and the hash."""
_ID, _HASH = 0, len(COLUMNS)
_PLACED = {"id", "ref", "prev_hash"}
_INSERT = f"INSERT INTO entry ({', '.join(COLUMNS)}, hash) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608
_GUARD = "entry_is_never_removed"


class AnotherJournalError(Exception):
    """The copy is of another journal, or the shared one is not what it was."""


def content_of(row: Row) -> str:
    """SHA-256 of what an entry says, wherever it stands in the chain: all columns but those of its place."""
    values = dict(zip(COLUMNS, row, strict=False))
    return hashlib.sha256(
        canonical({name: value for name, value in values.items() if name not in _PLACED}).encode("ascii")
    ).hexdigest()


def confirmed(connection: sqlite3.Connection, journal: str) -> tuple[int, str]:
    """The last entry that the shared journal of that identity has, and its hash; (0, GENESIS) for none.
    Raises AnotherJournalError where the file is a copy of another.
    """
    row = connection.execute("SELECT journal, confirmed FROM shared").fetchone()
    if row is None:
        return 0, GENESIS
    if row[0] != journal:
        raise AnotherJournalError("this folder's journal is a copy of another shared one")
    found = connection.execute("SELECT hash FROM entry WHERE id = ?", (row[1],)).fetchone()
    return row[1], found[0] if found else GENESIS


def waiting(connection: sqlite3.Connection, journal: str) -> list[Row]:
    """The entries that the shared journal does not have yet, in order."""
    last, _ = confirmed(connection, journal)
    return connection.execute(f"{SELECT} WHERE id > ? ORDER BY id", (last,)).fetchall()


def count_waiting(connection: sqlite3.Connection) -> int:
    """How many wait; all of them where nothing was ever sent."""
    row = connection.execute("SELECT confirmed FROM shared").fetchone()
    return int(
        connection.execute("SELECT count(*) FROM entry WHERE id > ?", (row[0] if row else 0,)).fetchone()[0]
    )


def confirm(connection: sqlite3.Connection, journal: str, last: int) -> None:
    """The shared journal has everything up to `last`. Going back is nothing new, and not done."""
    with transaction(connection):
        _confirm(connection, journal, last)


def take(connection: sqlite3.Connection, journal: str, rows: Sequence[Row]) -> None:
    """Take in what the shared journal has after the confirmed entry, in order; all or nothing."""
    if not rows:
        return
    with transaction(connection):
        last, _ = confirmed(connection, journal)
        new = [row for row in rows if row[_ID] > last]
        same = 0
        for row in new:
            found = connection.execute("SELECT hash FROM entry WHERE id = ?", (row[_ID],)).fetchone()
            if found is None or found[0] != row[_HASH]:
                break
            same += 1
        if new[same:]:
            _rebase(connection, new[same:])
        if new:
            _confirm(connection, journal, new[-1][_ID])


def _rebase(connection: sqlite3.Connection, others: Sequence[Row]) -> None:
    """Put what waits here behind what others wrote."""
    first = others[0][_ID]
    mine = connection.execute(f"{SELECT} WHERE id >= ? ORDER BY id", (first,)).fetchall()
    if mine:
        guard = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (_GUARD,)).fetchone()
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute(f"DROP TRIGGER IF EXISTS {_GUARD}")
        connection.execute("DELETE FROM entry WHERE id >= ?", (first,))
        if guard is not None:
            connection.execute(guard[0])
    connection.executemany(_INSERT, others)
    moved: dict[int, int] = {}
    seq, previous = others[-1][_ID], others[-1][_HASH]
    for row in mine:
        seq += 1
        values = dict(zip(COLUMNS, row, strict=False))
        ref = values["ref"]
        values |= {"id": seq, "prev_hash": previous, "ref": moved.get(ref, ref) if ref is not None else None}
        previous = hash_of(values)
        connection.execute(_INSERT, (*(values[name] for name in COLUMNS), previous))
        moved[row[_ID]] = seq


def _confirm(connection: sqlite3.Connection, journal: str, last: int) -> None:
    connection.execute(
        "INSERT INTO shared (one, journal, confirmed) VALUES (1, ?, ?)"
        " ON CONFLICT (one) DO UPDATE SET confirmed = max(confirmed, excluded.confirmed)",
        (journal, last),
    )
