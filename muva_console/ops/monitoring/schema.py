"""The file that history is kept in: SQLite, beside the journal, shared by the consoles of a jump host."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from muva_console.ops.errors import OpsError

FILE = "history.db"
APPLICATION_ID = 0x6D757668
""""muvh" in ASCII."""
VERSION = 1
_TABLES = """
CREATE TABLE series (
    id          INTEGER PRIMARY KEY,
    environment TEXT NOT NULL,
    name        TEXT NOT NULL,
    UNIQUE (environment, name)
);
CREATE TABLE sample (      -- one for each slot of 30 seconds, however many consoles look
    series INTEGER NOT NULL REFERENCES series (id),
    slot   INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    value  REAL,
    PRIMARY KEY (series, slot)
) WITHOUT ROWID;
"""
_ROLLED = """
CREATE TABLE {table} (
    series   INTEGER NOT NULL REFERENCES series (id),
    slot     INTEGER NOT NULL,
    known    INTEGER NOT NULL DEFAULT 0,
    failed   INTEGER NOT NULL DEFAULT 0,
    slow     INTEGER NOT NULL DEFAULT 0,
    blind    INTEGER NOT NULL DEFAULT 0,
    restarts INTEGER NOT NULL DEFAULT 0,
    spread   BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (series, slot)
) WITHOUT ROWID;
"""


def connect(path: Path, *, busy_timeout: float = 2.0) -> sqlite3.Connection:
    """A connection to the history, made where there is none. Raises sqlite3.Error, OSError, and OpsError for
    another program's file and for a newer console's.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=busy_timeout, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL: with the power the last samples may go, and nothing else
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA trusted_schema = OFF")
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        _refuse_others(path, has_tables=bool(tables), application=application, version=version)
        if not tables:
            for statement in (
                *_TABLES.split(";"),
                *(_ROLLED.format(table=table) for table in ("hour", "day")),
            ):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_others(path: Path, *, has_tables: bool, application: int, version: int) -> None:
    if has_tables and application != APPLICATION_ID:
        raise OpsError("this is another program's database, not the console's history", where=str(path))
    if version > VERSION:
        raise OpsError(
            f"the history has schema {version}; this program knows schemas up to {VERSION}",
            where=str(path),
            next="Update muva-console on this machine.",
        )
