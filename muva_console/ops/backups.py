"""Backups of databases: files of `pg_dump` in custom format in one folder, told apart by their names.

``ENVIRONMENT-YYYYMMDDTHHMMSSZ-COMMIT.dump``: of which database, from when (UTC), and which commit the
application served then. The format begins with ``PGDMP`` (PostgreSQL's sources, pg_backup_archiver.c).
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

MAGIC = b"PGDMP"
TOLERANCE = timedelta(minutes=5)
"""By how much a clock may be ahead. Ours."""
LIST_TIMEOUT = 8.0
"""Seconds for `pg_restore --list`, which reads the beginning alone."""

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)-(\d{8}T\d{6}Z)-([0-9a-f]{7,40})\.dump")
_STAMP = "%Y%m%dT%H%M%SZ"


class Backup(Struct, frozen=True, kw_only=True):
    """A backup, by its name."""

    path: Path
    environment: str
    at: datetime
    commit: str
    size: int
    """Bytes."""

    @property
    def future(self) -> bool:
        """Whether it is dated later than now."""
        return self.at > utc_now() + TOLERANCE

    @property
    def age(self) -> timedelta:
        """How old it is; never less than nothing."""
        return max(timedelta(), utc_now() - self.at)


class Backups(Struct, frozen=True, kw_only=True):
    """What is in the folder for one environment."""

    directory: Path
    found: tuple[Backup, ...]
    """Newest first; without those dated in the future."""
    odd: tuple[str, ...] = ()
    """What is wrong with other files there, a line each: sanitised."""


class Verification(Struct, frozen=True, kw_only=True):
    """Whether a backup can be read."""

    good: bool
    why: str
    """What was looked at, or what is wrong."""
    command: str = ""
    """What a person would have typed."""


def backup_name(environment: str, at: datetime, commit: str) -> str:
    """The name of a backup's file. `at` with its zone."""
    return f"{environment}-{at.astimezone(UTC).strftime(_STAMP)}-{commit}.dump"


def named(path: Path) -> Backup | None:
    """A backup by its file's name; None where it is not named as one, or is not there."""
    match = _NAME.fullmatch(path.name)
    try:
        at = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC) if match else None
        size = path.stat().st_size
    except (ValueError, OSError):
        return None
    if match is None or at is None:
        return None
    return Backup(path=path, environment=match[1], at=at, commit=match[3], size=size)


async def find_backups(directory: Path, environment: str) -> Backups:
    """The backups of an environment. Raises OpsError when the folder cannot be read."""
    return await asyncio.to_thread(_find, directory, environment)


def _find(directory: Path, environment: str) -> Backups:
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        raise OpsError(
            f"the folder of backups cannot be read: {error.strerror}",
            where=str(directory),
            next="Point [backups] directory at it.",
        ) from error
    found, odd = [], []
    for path in entries:
        shown = sanitise_line(path.name, cap=120)
        match = _NAME.fullmatch(path.name)
        if match is None:
            if path.suffix == ".dump":
                odd.append(f"{shown} is not named ENVIRONMENT-YYYYMMDDTHHMMSSZ-COMMIT.dump")
            continue
        if match[1] != environment:
            continue
        try:
            at = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC)
            size = path.stat().st_size
        except (ValueError, OSError) as error:
            odd.append(f"{shown}: {getattr(error, 'strerror', None) or 'its date is none'}")
            continue
        backup = Backup(path=path, environment=environment, at=at, commit=match[3], size=size)
        if backup.future:
            odd.append(f"{shown} is dated in the future")
        else:
            found.append(backup)
    found.sort(key=lambda one: one.at, reverse=True)
    return Backups(directory=directory, found=tuple(found), odd=tuple(odd))


async def verify(backup: Backup, programs: Path | None = None) -> Verification:
    """Whether a backup is one that can be read: its first bytes, and its table of contents where there is a
    `pg_restore` in the folder `programs`, or on the PATH. That its data is whole only a restore can tell.
    """
    problem = await asyncio.to_thread(_head, backup.path)
    if problem:
        return Verification(good=False, why=problem)
    program = shutil.which("pg_restore", path=None if programs is None else str(programs))
    command = f"pg_restore --list {shlex.quote(str(backup.path))}"
    if program is None:
        return Verification(
            good=True,
            why="begins as a dump in custom format; no pg_restore is here to look further",
            command=command,
        )
    from muva_console.ops.links.local import run_local

    result = await run_local(
        [program, "--list", str(backup.path)], cwd=backup.path.parent, timeout=LIST_TIMEOUT
    )
    said = [sanitise_line(line, cap=200) for line in result.output.splitlines() if line.strip()]
    if result.exit_status == 0 and not result.timed_out:
        tables = sum(b" TABLE DATA " in line for line in result.stdout.splitlines())
        return Verification(good=True, why=f"pg_restore lists {tables} tables with data", command=command)
    if any("unsupported version" in line for line in said):
        return Verification(
            good=True,
            why="begins as a dump in custom format; the pg_restore here is too old to look further",
            command=command,
        )
    why = f"no answer within {LIST_TIMEOUT:g} s" if result.timed_out else said[-1] if said else "it failed"
    return Verification(good=False, why=f"pg_restore cannot read it: {why}", command=command)


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head:
        return "is empty"
    return "" if head == MAGIC else "is no dump in pg_dump's custom format"


def spell_size(size: int) -> str:
    """``46 KiB``, ``1.2 GiB``."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1000 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 9.95 or unit == "B" else f"{value:.1f} {unit}"
