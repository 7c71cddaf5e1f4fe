"""Worktrees of the console's own repository: made for one piece of work, gone with it or with its console.

Beside each folder stands a lock that its console holds. The system lets go of it when the console ends,
however it ends: a worktree whose lock is free is nobody's, and the next console removes it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.local_tree import end_orphans
from muva_console.ops.links.workshop_git import Git, check_sha

CHECKOUT_TIMEOUT = 120.0
"""Seconds to write all files of a commit."""
LOCK_TIMEOUT = 90.0
"""Seconds to wait for another console: longer than its fetch may take (workshop.FETCH_TIMEOUT)."""


@asynccontextmanager
async def locked(path: Path, *, timeout: float = LOCK_TIMEOUT) -> AsyncGenerator[None]:
    """Hold a lock that one console has at a time. Raises LinkError(TIMEOUT)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + timeout
        while not _try_lock(descriptor):
            if time.monotonic() > until:
                what = f"another console has used this folder for {timeout:g} s"
                raise LinkError(Fault.TIMEOUT, what, where=str(path.parent))
            await asyncio.sleep(0.03)
        yield
    finally:
        os.close(descriptor)


def remove_git_locks(repository: Path) -> bool:
    """Remove the locks of a git that was killed at work, after that of a console that was killed itself;
    False when there were none. Only while the repository's own lock (`locked`) is held.
    """
    end_orphans()
    found = [*repository.glob("*.lock"), *repository.glob("refs/**/*.lock")]
    for lock in found:
        lock.unlink(missing_ok=True)
    return bool(found)


class Trees:
    """The worktrees of one repository, in a folder of theirs."""

    def __init__(self, git: Git, folder: Path, lock: Path) -> None:
        self._git = git
        self._folder = folder
        self._lock = lock

    @asynccontextmanager
    async def tree(self, sha: str) -> AsyncGenerator[Path]:
        """A clean worktree of a commit. Raises LinkError."""
        name = f"{check_sha(sha)[:12]}-{uuid4().hex[:8]}"
        path, owned = self._folder / name, self._folder / f"{name}.lock"
        descriptor = None
        try:
            async with locked(self._lock):
                if await asyncio.to_thread(self._remove_leftovers):
                    await self._git.run("worktree", "prune", "--expire=now")
                descriptor = os.open(owned, os.O_RDWR | os.O_CREAT, 0o600)
                _try_lock(descriptor)  # nobody else knows of it
                await self._git.run(
                    "worktree", "add", "--detach", "--quiet", str(path), sha, timeout=CHECKOUT_TIMEOUT
                )
            yield path
        finally:
            if descriptor is not None:
                # in a task of its own: whoever gives the work up must not leave the folder behind
                removal = asyncio.create_task(self._remove(path, owned, descriptor), name=f"remove {name}")
                with suppress(LinkError):
                    await asyncio.shield(removal)

    async def _remove(self, path: Path, owned: Path, descriptor: int) -> None:
        try:
            await asyncio.to_thread(_remove_folder, path)
            await asyncio.to_thread(owned.unlink, missing_ok=True)
        finally:
            os.close(descriptor)
        async with locked(self._lock):
            await self._git.run("worktree", "prune", "--expire=now")

    def _remove_leftovers(self) -> bool:
        """Remove what consoles that are gone have left, and end what still runs for them; whether there
        was anything.
        """
        found = False
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = {entry.name.removesuffix(".lock") for entry in self._folder.iterdir()}
        for name in names:
            lock = self._folder / f"{name}.lock"
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if _try_lock(descriptor):
                    found = True
                    end_orphans()
                    _remove_folder(self._folder / name)
                    lock.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return found


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_folder(path: Path) -> None:
    """Remove a folder with what a build made in it; what will not go is left for the next time."""

    def open_up(function: object, name: str, _: object) -> None:
        # packages come with folders that even their owner may not write to
        with suppress(OSError):
            parent = Path(name).parent
            parent.chmod(0o700)
            Path(name).chmod(0o700)
            Path(name).unlink() if not Path(name).is_dir() else shutil.rmtree(name, ignore_errors=True)

    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, onerror=open_up)
