"""The journal's folder: where it is, who may write there, and how its files are made.

Two kinds of folder. A *private* one (the user's state folder) is 0700 with files 0600. A *shared* one is
for the team on one jump host: set-group-id and group-writable (2770), with files 0660. An existing folder
is taken as it is found; what is made in it follows it. The umask is never touched (it is the whole
process's): a file gets its mode by fchmod before it gets its name. SQLite gives `-wal` and `-shm` the
mode and group of the database (findCreateFileMode in os_unix.c).
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from muva_console.config.model import Journal as JournalTable
from muva_console.ops.journal.errors import JournalError, JournalProblem, explain

DATABASE = "journal.db"
ANCHORS = "journal.anchors"
SPOOL = "journal.spool"

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
SHARED_FOLDER, SHARED_FILE = 0o2770, 0o660

_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "lustre"}


def journal_directory(table: JournalTable, *, beside: Path | None = None) -> Path:
    """The folder that the configuration means; a relative one is relative to `beside`, its own folder.

    Without one it is the user's state folder (``~/.local/state/muva-console`` or $XDG_STATE_HOME).
    """
    if table.directory is None:
        from platformdirs import user_state_path

        return user_state_path("muva-console", appauthor=False)
    directory = Path(table.directory).expanduser()
    return directory if beside is None or directory.is_absolute() else beside / directory


class Folder:
    """One journal's folder. Methods block and belong on the database's thread."""

    def __init__(self, path: Path, *, shared: bool | None = None) -> None:
        """`shared` says how to make the folder when it is not there; an existing one speaks for itself."""
        self.path = path
        self._shared_wish = bool(shared)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / DATABASE

    @property
    def anchors(self) -> Path:
        """The anchor file."""
        return self.path / ANCHORS

    @property
    def spool(self) -> Path:
        """The folder of outcomes that could not be written to the database."""
        return self.path / SPOOL

    def is_shared(self) -> bool:
        """Whether a group may write here; False when the folder is not there."""
        try:
            return bool(self.path.stat().st_mode & stat.S_IWGRP)
        except OSError:
            return False

    def make(self) -> None:
        """Make the folder if it is not there. Raises JournalError."""
        try:
            if self.path.is_dir():
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            make_folder(self.path, SHARED_FOLDER if self._shared_wish else PRIVATE_FOLDER)
        except OSError as error:
            problem = explain(error, self.path, doing="making")
            if problem.problem is JournalProblem.OTHER:
                raise JournalError(
                    JournalProblem.MISSING,
                    problem.what,
                    where=str(self.path),
                    next="name another folder in muva.toml: [journal] directory",
                ) from error
            raise problem from error

    @property
    def file_mode(self) -> int:
        """The mode of files made here."""
        return SHARED_FILE if self.is_shared() else PRIVATE_FILE

    def make_file(self, path: Path) -> None:
        """Make an empty file with the folder's mode if it is not there; atomically, with no moment at
        which another member of the group could not open it. Raises OSError.
        """
        if path.exists():
            return
        if not _make_nameless(path, self.file_mode):
            _make_renamed(path, self.file_mode)

    def make_spool(self) -> None:
        """Make the spool folder with the mode of this one. Raises OSError."""
        if not self.spool.is_dir():
            with suppress(FileExistsError):
                make_folder(self.spool, SHARED_FOLDER if self.is_shared() else PRIVATE_FOLDER)

    def warnings(self) -> list[str]:
        """What is unsafe about where the journal lies."""
        told = []
        with suppress(OSError):
            mode = self.path.stat().st_mode
            if mode & stat.S_IWOTH:
                told.append(f"anybody on this host may replace the journal: chmod o-w {self.path}")
            elif mode & stat.S_IWGRP and not mode & stat.S_ISGID:
                told.append(
                    f"the group may write to {self.path}, but files made there belong to each one's own "
                    f"group: chmod g+s {self.path}"
                )
        kind = file_system(self.path)
        if kind in _NETWORK:
            told.append(
                f"{self.path} is on a network file system ({kind}): SQLite's locks and shared memory hold "
                "among the programs of one host only; use a local disk of the jump host"
            )
        return told


def _make_nameless(path: Path, mode: int) -> bool:
    """A file without a name gets its mode, then its name: a kill in between leaves nothing behind.

    False where the file system has no such files (O_TMPFILE, open(2)) or there is no /proc.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        os.close(folder)
        if error.errno in _NO_NAMELESS:
            return False
        raise
    try:
        os.fchmod(handle, mode)
        # with a folder given, os.link follows the symbolic link of /proc, as linkat(2) wants it here
        os.link(f"/proc/self/fd/{handle}", path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        return True  # somebody else was faster: theirs is as good
    except FileNotFoundError:
        return False
    finally:
        os.close(handle)
        os.close(folder)
    return True


def _make_renamed(path: Path, mode: int) -> None:
    beginning = path.with_name(f".{path.name}.{uuid4().hex}")
    handle = os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(handle, mode)
        with suppress(FileExistsError):
            os.link(beginning, path)
    finally:
        os.close(handle)
        beginning.unlink()


def make_folder(path: Path, mode: int) -> None:
    """Make a folder with exactly this mode, whatever the umask. An existing folder is left as it is."""
    try:
        path.mkdir(mode=mode & 0o700)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(20, os.strerror(20), str(path)) from None
        return
    path.chmod(mode)


def file_system(path: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that `path` lies on (proc(5), mountinfo); empty where it cannot be told."""
    try:
        target = path.resolve()
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 5 or not kinds[0]:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if (target == point or point in target.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), kinds[0]
    return kind
