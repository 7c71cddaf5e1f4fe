"""How a journal fails, and what to do about each way: SQLite's and the system's errors in plain words."""

from __future__ import annotations

import errno
import sqlite3
from enum import StrEnum
from pathlib import Path

from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise_line


class JournalProblem(StrEnum):
    """In which way the journal could not be used."""

    FULL = "disk full"
    LOCKED = "locked"
    READ_ONLY = "read-only"
    DENIED = "permission"
    MISSING = "missing"
    CORRUPT = "corrupt"
    NEWER = "newer schema"
    TIMEOUT = "timed out"
    OTHER = "error"


class JournalError(OpsError):
    """The journal could not be read or written. `problem` says in which way, `next` what to do."""

    def __init__(
        self, problem: JournalProblem, what: str, *, where: str = "", means: str = "", next: str = ""
    ) -> None:
        super().__init__(what, where=where, means=means, next=next)
        self.problem = problem


_SQLITE = {
    sqlite3.SQLITE_FULL: JournalProblem.FULL,
    sqlite3.SQLITE_BUSY: JournalProblem.LOCKED,
    sqlite3.SQLITE_LOCKED: JournalProblem.LOCKED,
    sqlite3.SQLITE_PROTOCOL: JournalProblem.LOCKED,
    sqlite3.SQLITE_READONLY: JournalProblem.READ_ONLY,
    sqlite3.SQLITE_PERM: JournalProblem.DENIED,
    sqlite3.SQLITE_AUTH: JournalProblem.DENIED,
    sqlite3.SQLITE_CANTOPEN: JournalProblem.DENIED,
    sqlite3.SQLITE_CORRUPT: JournalProblem.CORRUPT,
    sqlite3.SQLITE_NOTADB: JournalProblem.CORRUPT,
    sqlite3.SQLITE_INTERRUPT: JournalProblem.TIMEOUT,
}

_ERRNO = {
    errno.ENOSPC: JournalProblem.FULL,
    errno.EDQUOT: JournalProblem.FULL,
    errno.EFBIG: JournalProblem.FULL,
    errno.EROFS: JournalProblem.READ_ONLY,
    errno.EACCES: JournalProblem.DENIED,
    errno.EPERM: JournalProblem.DENIED,
    errno.ENOENT: JournalProblem.MISSING,
    errno.ENOTDIR: JournalProblem.MISSING,
}


def explain(error: sqlite3.Error | OSError, path: Path, *, doing: str) -> JournalError:
    """A JournalError for what SQLite or the system said while `doing` ("writing", "reading", "opening")."""
    if isinstance(error, OSError):
        problem = _ERRNO.get(error.errno or 0, JournalProblem.OTHER)
        detail = error.strerror or type(error).__name__
    else:
        code = getattr(error, "sqlite_errorcode", 0) or 0
        problem = _SQLITE.get(code & 0xFF, JournalProblem.OTHER)
        if problem is JournalProblem.OTHER and code & 0xFF == sqlite3.SQLITE_IOERR:
            # SQLite says FULL for ENOSPC alone; a file-size limit or a quota ends up here
            problem = JournalProblem.FULL if doing == "writing" else JournalProblem.OTHER
        detail = str(error)
    what, means, todo = _words(problem, path, doing)
    detail = sanitise_line(detail, cap=200)
    return JournalError(problem, f"{what} ({detail})", where=str(path), means=means, next=todo)


def _words(problem: JournalProblem, path: Path, doing: str) -> tuple[str, str, str]:
    """What happened, what it means, what to do."""
    try:
        folder = path if path.is_dir() else path.parent
    except OSError:  # below a folder that is closed to this account
        folder = path.parent
    match problem:
        case JournalProblem.FULL:
            return (
                "the journal cannot grow: no space, or a quota or size limit is reached",
                "nothing of this entry was written; what was written before is whole",
                f"free some space (df -h {folder}; df -i {folder}; quota), then try again",
            )
        case JournalProblem.LOCKED:
            return (
                "another program holds the journal",
                "the entry was not written",
                f"see who holds it (fuser -v {path}), let it finish, then try again",
            )
        case JournalProblem.READ_ONLY:
            return (
                "the journal may only be read",
                "nothing can be recorded",
                f"see whether the file system is read-only (findmnt -T {folder}) and who may write there "
                f"(ls -la {folder})",
            )
        case JournalProblem.DENIED:
            return (
                f"no permission for {doing} the journal",
                "this account cannot use the folder or the files in it",
                f"look at ls -la {folder}; for a shared journal: sudo install -d -m 2770 -g GROUP {folder}, "
                "and be a member of that group",
            )
        case JournalProblem.MISSING:
            return (
                "the journal's folder is not there and could not be made",
                "nothing can be recorded",
                f"make it (mkdir -p {folder}), or name another in muva.toml: [journal] directory",
            )
        case JournalProblem.CORRUPT:
            return (
                "the file is damaged or is no journal",
                "what it holds cannot be trusted; nothing is written to it",
                f"move {folder}/journal.* to another folder and keep them; the console then begins a new "
                "journal, and an export or a backup has the earlier entries",
            )
        case JournalProblem.TIMEOUT:
            return (
                f"{doing} the journal took too long",
                "the disk does not answer, or another program keeps it busy; whether the entry was written "
                "is not known",
                f"see whether the disk answers (ls -la {folder}; dmesg | tail), then try again",
            )
        case _:
            return (f"{doing} the journal failed", "", f"look at ls -la {folder} and dmesg | tail")
