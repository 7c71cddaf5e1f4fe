"""Opening the journal's database: its schema, its settings, its refusals."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from muva_console.ops.journal.errors import JournalError, JournalProblem

APPLICATION_ID = 0x6D757661
""""muva" in ASCII, in the header of the file (PRAGMA application_id), so that file(1) and we can tell."""

BUSY_TIMEOUT = 3.0
"""Seconds that a statement waits for another console's write. Ours: a write takes milliseconds; whoever
holds the file for longer is not a console at work."""

_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")


def migrations() -> list[tuple[int, str, str]]:
    """The journal's own schema: (version, file name, SQL), in order; versions are 1, 2, 3 …."""
    folder = files("muva_console").joinpath("migrations")
    found = sorted(
        (int(match[1]), file.name, file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if (match := _NAME.fullmatch(file.name))
    )
    assert [version for version, _, _ in found] == list(range(1, len(found) + 1)), "a gap in migrations/"
    return found


def connect_writer(path: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A connection that may append. The file must be there (empty, for a new journal).

    Raises sqlite3.Error, or JournalError for a schema newer than this program and for a foreign database.
    """
    connection = sqlite3.connect(
        _uri(path, "rw"), uri=True, isolation_level=None, timeout=busy_timeout, check_same_thread=False
    )
    try:
        _prepare(connection, path, busy_timeout)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """A connection that cannot write. Raises like `connect_writer`.

    Where this account may not write to the folder SQLite can still read, as long as a console keeps the
    `-shm` file alive; without any `-wal` file the database is complete by itself and is read as it is.
    """
    connection = _connect_reader(path, busy_timeout)
    try:
        connection.execute("PRAGMA query_only = ON")
        check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's version. Raises JournalError when this program is too old for it or it is no journal."""
    # the tables first: another console may make them now, and what makes them sets the other two with them
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if tables and application != APPLICATION_ID:
        raise JournalError(
            JournalProblem.CORRUPT,
            "this is another program's database, not a journal",
            where=str(path),
            next="name another folder in muva.toml: [journal] directory",
        )
    known = len(migrations())
    if version > known:
        raise JournalError(
            JournalProblem.NEWER,
            f"the journal has schema {version}; this program knows schemas up to {known}",
            where=str(path),
            means="a colleague's newer muva-console has been here; writing with this one would harm it",
            next="update muva-console on this machine (pipx upgrade muva-console)",
        )
    return version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK on any exception.

    A rollback that fails as well (the disk is gone) is left to closing the connection, which the caller
    does after every error.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout: float) -> None:
    version = check_version(connection, path)
    _write_ahead(connection, busy_timeout)
    # FULL: an entry is on the disk before its act begins. NORMAL could lose the last ones with the power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    if version < len(migrations()):
        _migrate(connection, path)


def _write_ahead(connection: sqlite3.Connection, busy_timeout: float) -> None:
    """WAL. Two consoles that make a journal at once meet here, where SQLite does not wait by itself."""
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            if mode == "wal" or time.monotonic() > deadline:
                return  # where WAL cannot be had (no shared memory) the rollback journal is as safe
        time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        version = check_version(connection, path)  # again: another console may have been faster
        for number, name, sql in migrations()[version:]:
            for statement in statements(sql):
                try:
                    connection.execute(statement)
                except sqlite3.OperationalError as error:
                    error.add_note(f"in migrations/{name}")
                    raise
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def statements(sql: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit, and a migration is one whole."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        if not statement and (not line.strip() or line.lstrip().startswith("--")):
            continue
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    assert not statement.strip(), f"an unfinished statement: {statement[:80]}"


def _connect_reader(path: Path, busy_timeout: float) -> sqlite3.Connection:
    for mode in ("rw", "ro"):
        with suppress(sqlite3.OperationalError):
            return _try(_uri(path, mode), busy_timeout)
    if not path.with_name(path.name + "-wal").exists():
        return _try(_uri(path, "ro") + "&immutable=1", busy_timeout)
    return _try(_uri(path, "ro"), busy_timeout)


def _try(uri: str, busy_timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=busy_timeout, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path.absolute()))}?mode={mode}"
