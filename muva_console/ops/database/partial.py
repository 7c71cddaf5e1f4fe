"""A backup's file while it is written: under another name, locked, and gone unless it is kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path
from types import TracebackType

from muva_console.ops.errors import OpsError

SUFFIX = ".partial"
_LEFT = re.compile(r"(.+)-\d{8}T\d{6}Z-[0-9a-f]{7,40}\.(dump\.partial|json\.partial|json)")


class Partial:
    """``NAME.dump.partial`` as a block: removed on leaving, unless `keep` gave it its name.

    While it is written it is locked, so that nobody takes it for a leftover; a killed process drops the lock.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the backup's own."""
        self.final = path
        self.path = path.with_name(path.name + SUFFIX)
        self._descriptor = -1
        self._kept = False

    def __enter__(self) -> Partial:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise OpsError("another backup of this second is being made", where=str(self.path)) from None
        try:
            with contextlib.suppress(OSError):  # a file system without locks: then leftovers stay
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        if self.final.exists():
            self.__exit__(None, None, None)
            raise OpsError("there is a backup of this second already", where=str(self.final))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._descriptor).st_size

    def sync(self) -> None:
        """Have it on the disk. Raises OSError."""
        os.fsync(self._descriptor)

    def keep(self) -> None:
        """Give it its name. Raises OSError."""
        self.path.rename(self.final)
        self._kept = True


def sync_folder(folder: Path) -> None:
    """Have the names of a folder on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leftovers(folder: Path, environment: str) -> list[str]:
    """Remove what backups of the environment that did not end have left, and name it. What somebody still
    writes stays. Raises OSError where the folder cannot be read.
    """
    removed = []
    for path in sorted(folder.iterdir()):
        match = _LEFT.fullmatch(path.name)
        if match is None or match[1] != environment:
            continue
        dump = path.with_name(path.name.removesuffix(SUFFIX)).with_suffix(".dump")
        if "json" in match[2] and (dump.exists() or dump.with_name(dump.name + SUFFIX).exists()):
            continue  # the record of a backup, or of one that is being made
        if _abandoned(path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                removed.append(path.name)
    return removed


def _abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
