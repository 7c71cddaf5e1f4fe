"""Reading the journal. Everything here blocks and belongs on a database thread."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from muva_console.ops.journal import anchors, spool
from muva_console.ops.journal.chain import COLUMNS
from muva_console.ops.journal.folder import Folder
from muva_console.ops.journal.liveness import life_of, owner_of
from muva_console.ops.journal.model import Entry, Filter, Kind, Life, OpenAct, parse_timestamp, timestamp
from muva_console.ops.journal.schema import connect_reader
from muva_console.ops.text import sanitise, sanitise_line

SELECT = f"SELECT {', '.join(COLUMNS)}, hash FROM entry"  # noqa: S608  # constants of ours
OPEN = f"""{SELECT} AS begin
    WHERE begin.kind = '{Kind.ACT_BEGUN}' AND begin.act <> '' AND NOT EXISTS (
        SELECT 1 FROM entry AS fin WHERE fin.act = begin.act AND fin.kind = '{Kind.ACT_ENDED}'
    ) ORDER BY begin.id"""  # noqa: S608

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that cannot be read: somebody wrote to the file."""


class Reader:
    """A connection that cannot write, opened on first use and anew when the file was replaced."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def open(self) -> sqlite3.Connection | None:
        """The connection; None when there is no journal yet. Raises sqlite3.Error, OSError, JournalError."""
        here = file_id(self._folder)
        if here is None:
            self.close()
            return None
        if self.connection is None or here != self._file:
            self.close()
            if self._folder.database.stat().st_size == 0:
                return None  # at this very moment a console makes it
            self.connection = connect_reader(self._folder.database)
            self.connection.create_function("fits", 5, _Fits(), deterministic=True)
            self._file = here
            if not _has_schema(self.connection):
                self.close()
        return self.connection

    def close(self) -> None:
        """Close the connection; `open` opens it again."""
        connection, self.connection, self._file = self.connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def read(self, wanted: Filter) -> list[Entry]:
        """The newest entries that fit, oldest first."""
        return [entry_of(row) for row in self.rows(wanted)]

    def rows(self, wanted: Filter) -> list[tuple[Any, ...]]:
        """The same as stored (COLUMNS and the hash): what an export keeps, so that it can be verified."""
        connection = self.open()
        if connection is None:
            return []
        where, values = _conditions(wanted)
        limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
        found = connection.execute(f"{SELECT}{where} ORDER BY id DESC{limit}", values).fetchall()
        found.reverse()
        return found

    def head(self) -> int:
        """The last entry's id, 0 when there is none."""
        connection = self.open()
        if connection is None:
            return 0
        return int(connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0])

    def version(self) -> int:
        """A number that changes when any connection but this one has written; costs next to nothing."""
        connection = self.open()
        return -1 if connection is None else int(connection.execute("PRAGMA data_version").fetchone()[0])

    def open_acts(self) -> list[OpenAct]:
        """Acts without an end, oldest first."""
        connection = self.open()
        return [] if connection is None else open_acts(connection, self._folder)


def open_acts(connection: sqlite3.Connection, folder: Folder) -> list[OpenAct]:
    """Acts without an end, on any connection."""
    begun = [entry_of(row) for row in connection.execute(OPEN)]
    if not begun:
        return []
    kept = {found.act for found in spool.waiting(folder) if found.outcome is not None}
    acts = []
    for entry in begun:
        owner = owner_of(entry.data)
        life = Life.SPOOLED if entry.act in kept else life_of(owner)
        acts.append(OpenAct(entry=entry, life=life, owner=owner))
    return acts


def file_id(folder: Folder) -> tuple[int, int] | None:
    """Which file the database is now; None when there is none. Raises OSError."""
    try:
        told = folder.database.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return told.st_dev, told.st_ino


def tail_warning(connection: sqlite3.Connection, folder: Folder) -> str:
    """What a quick look at the newest anchor says about a cut end; empty when nothing. Raises OSError."""
    newest = anchors.last(folder.anchors)
    if newest is None:
        return ""
    seq, told = newest
    row = connection.execute("SELECT hash FROM entry WHERE id = ?", (seq,)).fetchone()
    if row is None:
        return f"the end of the journal was cut off: entry {seq} is gone (muva journal verify)"
    if row[0] != told:
        return f"the journal was changed: entry {seq} is not the one that was written (muva journal verify)"
    return ""


def entry_of(row: tuple[Any, ...]) -> Entry:
    """An entry of a row. Whoever may write to the folder may have put anything there, so it is made
    harmless again, and what cannot be read is shown as it is.
    """
    values = dict(zip((*COLUMNS, "hash"), row, strict=True))
    line = {name: sanitise_line(_text(values[name]), cap=1024) for name in _LINES}
    data = _data(_text(values["data"]))
    try:
        at = parse_timestamp(line["at"])
    except ValueError:
        at, data = LONG_AGO, {**data, "unreadable time": line["at"]}
    ref = values["ref"]
    return Entry(
        id=values["id"] if isinstance(values["id"], int) else 0,
        at=at,
        text=sanitise(_text(values["text"])),
        data=data,
        ref=ref if isinstance(ref, int) else None,
        **{name: line[name] for name in _LINES if name != "at"},
    )


_LINES = ("at", "engineer", "origin", "session", "environment", "kind", "subject", "act", "prev_hash", "hash")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _data(text: str) -> dict[str, Any]:
    try:
        told = _harmless(json.loads(text))
    except (ValueError, RecursionError):
        return {"unreadable": sanitise_line(text)}
    return told if isinstance(told, dict) else {"unreadable": told}


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return sanitise(value)
    if isinstance(value, dict):
        return {sanitise_line(key): _harmless(item) for key, item in value.items()}
    return [_harmless(item) for item in value] if isinstance(value, list) else value


def _conditions(wanted: Filter) -> tuple[str, list[Any]]:
    where: list[tuple[str, list[Any]]] = []
    if wanted.environment is not None:
        where.append(("environment = ?", [wanted.environment]))
    if wanted.since is not None:
        where.append(("at >= ?", [timestamp(wanted.since)]))
    if wanted.until is not None:
        where.append(("at < ?", [timestamp(wanted.until)]))
    if wanted.kinds:
        where.append((f"kind IN ({', '.join('?' * len(wanted.kinds))})", list(wanted.kinds)))
    if wanted.act:
        where.append(("act = ?", [wanted.act]))
    if wanted.before is not None:
        where.append(("id < ?", [wanted.before]))
    if wanted.after is not None:
        where.append(("id > ?", [wanted.after]))
    if wanted.engineer:
        where.append(("instr(lower(engineer), ?)", [wanted.engineer.lower()]))
    if wanted.text or wanted.pattern:
        where.append(("fits(?, ?, subject, text, data)", [wanted.text, wanted.pattern]))
    clause = " AND ".join(condition for condition, _ in where)
    return f" WHERE {clause}" if clause else "", [value for _, values in where for value in values]


class _Fits:
    """The SQL function ``fits(text, pattern, subject, text, data)``."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None

    def __call__(self, text: str, pattern: str, *told: object) -> bool:
        whole = "\n".join(str(part) for part in told)
        if text and text.casefold() not in whole.casefold():
            return False
        if not pattern:
            return True
        if self._pattern is None or self._pattern.pattern != pattern:
            self._pattern = re.compile(pattern, re.IGNORECASE)
        return self._pattern.search(whole) is not None


def _has_schema(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry'").fetchone())


def pages(reader: Reader, wanted: Filter, *, size: int = 500) -> Iterator[list[tuple[Any, ...]]]:
    """All rows that fit, oldest first, a page at a time, whatever `wanted.limit` says of one page."""
    from msgspec.structs import replace

    after = wanted.after or 0
    connection = reader.open()
    while connection is not None:
        where, values = _conditions(replace(wanted, after=after))
        page = connection.execute(f"{SELECT}{where} ORDER BY id LIMIT {int(size)}", values).fetchall()
        if not page:
            return
        yield page
        after = page[-1][0]
