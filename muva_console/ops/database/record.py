"""What is known of a backup beside its name: written when it is made, looked at before it is used."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from muva_console.ops.backups import MAGIC
from muva_console.ops.database.programs import said
from muva_console.ops.errors import OpsError
from muva_console.ops.links.local import run_local
from muva_console.ops.text import sanitise_line

LIST_TIMEOUT = 30.0
"""Seconds for `pg_restore --list`, which reads the beginning alone."""
READ_TIMEOUT = 2 * 3600.0
"""Seconds for reading a whole backup. Ours: 700 GB at the 100 MB/s of unpacking."""
LARGEST = 256 * 1024
"""Bytes of a record that is still read."""
_CHUNK = 1024 * 1024

_HEAD = re.compile(r";\s+(dbname|Dumped from database version|Dumped by pg_dump version):\s*(.*)")
_ENTRY = re.compile(
    r"\d+; \d+ \d+ (TABLE DATA|TABLE ATTACH|FOREIGN TABLE|TABLE|MATERIALIZED VIEW|VIEW)"
    r" (\S+) (.*) (\S+)"
)


class Record(Struct, frozen=True, kw_only=True):
    """A backup as it was made. Beside ``NAME.dump`` it is ``NAME.json``."""

    environment: str
    database: str
    at: datetime
    commit: str
    commit_from: str
    """``served``, ``branch`` or ``unknown``."""
    size: int
    """Bytes."""
    sha256: str
    server: str
    """The server's version."""
    program: str
    """pg_dump's version."""
    rows: Mapping[str, int]
    """Rows of the critical tables (of all, where none are configured), counted in the dump's own snapshot."""
    history: str = ""
    """The highest version of the history of migrations."""
    took_s: float = 0.0


class Contents(Struct, frozen=True, kw_only=True):
    """What a backup says of itself (`pg_restore --list`)."""

    database: str
    server: str
    tables: frozenset[str]
    """``schema.table`` of each table with data."""
    relations: frozenset[str]
    """``schema.name`` of each table and view."""
    command: str
    """What a person would have typed."""


def record_path(dump: Path) -> Path:
    """Where a backup's record is."""
    return dump.with_suffix(".json")


async def read_record(dump: Path) -> Record | None:
    """The record; None where there is none. Raises OpsError for one that cannot be understood."""
    return await asyncio.to_thread(_read, record_path(dump))


def _read(path: Path) -> Record | None:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        return msgspec.json.decode(data, type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no record of a backup"
        raise OpsError(f"the record of a backup cannot be read: {why}", where=str(path)) from None


def write_record(dump: Path, record: Record) -> None:
    """Write it, whole or not at all. Raises OSError."""
    path = record_path(dump)
    beside = path.with_name(path.name + ".partial")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


async def digest(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal. Raises OpsError. Cancelled, it ends soon."""
    stop = False

    def read() -> str:
        summed = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while not stop and (chunk := file.read(_CHUNK)):
                    summed.update(chunk)
        except OSError as error:
            raise OpsError(f"the backup cannot be read: {error.strerror}", where=str(path)) from None
        return summed.hexdigest()

    try:
        return await asyncio.to_thread(read)
    finally:
        stop = True


async def contents(path: Path, restore: str) -> Contents:
    """What a backup holds, by the pg_restore at `restore`. Raises OpsError where it cannot be read."""
    _begins(path)
    command = f"pg_restore --list {shlex.quote(str(path))}"
    result = await run_local(
        [restore, "--list", str(path)], cwd=path.parent, timeout=LIST_TIMEOUT, leftovers=False
    )
    if not result.ok:
        why = f"no answer within {LIST_TIMEOUT:g} s" if result.timed_out else said(result)
        raise OpsError(f"pg_restore cannot read the backup: {why}", where=str(path))
    head: dict[str, str] = {}
    tables: set[str] = set()
    relations: set[str] = set()
    for raw in result.stdout.splitlines():
        line = sanitise_line(raw)
        if (match := _HEAD.match(line)) is not None:
            head[match[1]] = match[2]
        elif (match := _ENTRY.match(line)) is not None:
            (tables if match[1] == "TABLE DATA" else relations).add(f"{match[2]}.{match[3]}")
    return Contents(
        database=head.get("dbname", ""),
        server=head.get("Dumped from database version", ""),
        tables=frozenset(tables),
        relations=frozenset(relations),
        command=command,
    )


async def read_through(path: Path, restore: str) -> None:
    """Unpack a whole backup to nowhere: the table of contents stands at the beginning, so that a file which
    was cut passes for whole until its data are read. Raises OpsError.
    """
    words = [restore, f"--file={os.devnull}", str(path)]
    result = await run_local(words, cwd=path.parent, timeout=READ_TIMEOUT, leftovers=False)
    if not result.ok:
        why = f"it took longer than {READ_TIMEOUT:g} s" if result.timed_out else said(result)
        raise OpsError(f"the backup is not whole: {why}", where=str(path))


async def recognised(path: Path, record: Record) -> None:
    """Raise OpsError where a backup is not the file that its record was written for."""
    try:
        size = (await asyncio.to_thread(path.stat)).st_size
    except OSError as error:
        raise OpsError(f"the backup cannot be read: {error.strerror}", where=str(path)) from None
    if size != record.size:
        raise OpsError(
            f"the backup has {size:,} bytes, its record says {record.size:,}",
            where=str(path),
            means="It was cut or changed since it was made.",
        )
    if await digest(path) != record.sha256:
        raise OpsError(
            "the backup's SHA-256 is not the one of its record",
            where=str(path),
            means="It was changed since it was made.",
        )


def _begins(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise OpsError(f"the backup cannot be read: {error.strerror}", where=str(path)) from None
    if head != MAGIC:
        what = "is empty" if not head else "is no dump in pg_dump's custom format"
        raise OpsError(f"the file {what}", where=str(path))
