"""PostgreSQL's own programs: found, of a version that fits the server, run, and understood.

An older `pg_dump` refuses a newer server (PostgreSQL 18 documentation, pg_dump, notes); a newer one reads
an older server, and its `pg_restore` may then say what that server does not know. So of several versions
the server's own is taken, else the next newer.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from muva_console.ops.database.target import Libpq, inherited
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.local import LocalResult, run_local
from muva_console.ops.links.pg_statement_errors import without_values
from muva_console.ops.text import sanitise_line

VERSION_TIMEOUT = 5.0
"""Seconds for `pg_dump --version`."""
INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
"""Where Debian and the PGDG packages for Red Hat put each version's programs, which are not on the PATH."""

_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_SAID = re.compile(r"(?:pg_dump|pg_restore|psql): (?:error|fatal): (.*)|((?:ERROR|FATAL): .*)")
_ENTRY = re.compile(r"pg_restore: from TOC entry \d+; \d+ \d+ (.*)")
_DATA = re.compile(r"(syntax for type|out of range|value for|for type|value too long)", re.IGNORECASE)
"""What PostgreSQL says of a value, and then the value."""


class Programs(Struct, frozen=True, kw_only=True):
    """`pg_dump` and `pg_restore` of one version."""

    folder: Path
    major: int
    version: str
    """``18.3``."""

    @property
    def dump(self) -> str:
        """The path of pg_dump."""
        return str(self.folder / "pg_dump")

    @property
    def restore(self) -> str:
        """The path of pg_restore."""
        return str(self.folder / "pg_restore")


async def find_programs(configured: Path | None, server: int, *, log: CommandLog | None = None) -> Programs:
    """The programs for a server of major version `server`: in the folder `configured` ([backups] programs),
    else on the PATH or where distributions put them. Raises OpsError, which says what to install.
    """
    found = await _known([configured] if configured is not None else await asyncio.to_thread(_places), log)
    fitting = [one for one in found if one.major >= server]
    if fitting:
        return min(fitting, key=lambda one: one.major)
    package = f"Install them (Debian: postgresql-client-{server}), or name their folder: [backups] programs."
    if not found:
        place = f"in {configured}" if configured is not None else "on the PATH"
        raise OpsError(f"there are no pg_dump and pg_restore {place}", next=package)
    newest = max(found, key=lambda one: one.major)
    raise OpsError(
        f"pg_dump here is of PostgreSQL {newest.version}, the server of {server}",
        where=str(newest.folder),
        means="An older pg_dump refuses a newer server.",
        next=package,
    )


async def any_restore(configured: Path | None) -> str | None:
    """The newest pg_restore that is here, for looking into files; None where there is none."""
    found = await _known([configured] if configured is not None else await asyncio.to_thread(_places), None)
    return max(found, key=lambda one: one.major).restore if found else None


def _places() -> list[Path]:
    folders = [folder for folder in map(Path, os.get_exec_path()) if folder.is_absolute()]
    for pattern in INSTALLED:
        folders += sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)
    return list(dict.fromkeys(folders))


_remembered: dict[tuple[str, int, int], Programs] = {}


async def _known(folders: Sequence[Path], log: CommandLog | None) -> list[Programs]:
    found = []
    for folder in folders:
        dump = folder / "pg_dump"
        try:
            about = dump.stat()
        except OSError:
            continue
        if not (os.access(dump, os.X_OK) and os.access(folder / "pg_restore", os.X_OK)):
            continue
        key = (str(folder), about.st_mtime_ns, about.st_size)
        if key not in _remembered:
            try:
                result = await run_local(
                    [str(dump), "--version"], cwd=Path("/"), timeout=VERSION_TIMEOUT, log=log, leftovers=False
                )
            except LinkError:
                continue
            match = _VERSION.search(result.stdout)
            if match is None:
                continue
            major = int(match[1])
            version = f"{major}.{match[2].decode()}" if match[2] else str(major)
            _remembered[key] = Programs(folder=folder, major=major, version=version)
        found.append(_remembered[key])
    return found


async def run_program(
    words: Sequence[str],
    way: Libpq,
    *,
    cwd: Path,
    timeout: float,
    shown: str,
    log: CommandLog,
    on_line: Callable[[str], None] | None = None,
) -> LocalResult:
    """Run one of the programs against a server; `shown` is what the command log tells. Raises LinkError."""
    return await run_local(
        words,
        cwd=cwd,
        timeout=timeout,
        env=way.environment,
        without=inherited(),
        on_line=on_line,
        log=log,
        shown=shown,
        leftovers=False,
    )


def said(result: LocalResult, *, most: int = 2) -> str:
    """What a program complained of: its own lines of error alone, since those of detail and context hold
    rows; values in them masked.
    """
    lines, entry = [], ""
    for raw in result.output.splitlines():
        line = sanitise_line(raw, cap=400)
        if (about := _ENTRY.match(line)) is not None:
            entry = f" ({about[1]})"
        elif (match := _SAID.search(line)) is not None:
            text = match[1] or match[2]
            # the class of data exceptions, whose words quote data: no SQLSTATE is printed here
            lines.append(without_values(text, "22" if _DATA.search(text) else "") + entry)
            entry = ""
    if not lines:
        how = "it was ended" if result.exit_status > 128 else f"exit status {result.exit_status}"
        return f"{how}, without a word"
    return "; ".join(dict.fromkeys(lines[:most]))


def full(result: LocalResult) -> bool:
    """Whether it failed because there was no room to write: the disk, a quota or a limit of files is full."""
    words = (b"No space left on device", b"Disk quota exceeded", b"File too large")
    return any(word in result.output for word in words)


def lost(result: LocalResult) -> bool:
    """Whether it failed because the connection to the server ended."""
    words = (
        b"server closed the connection",
        b"connection to server",
        b"terminating connection",
        b"SSL SYSCALL",
    )
    return any(word in result.output for word in words)
