"""A remote repository and a team that works with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(where: Path, *words: str, input: bytes | None = None) -> str:
    quiet = {
        **os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Dana", "GIT_AUTHOR_EMAIL": "d@example.com",
        "GIT_COMMITTER_NAME": "Dana", "GIT_COMMITTER_EMAIL": "d@example.com",
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", where, *words], env=quiet, check=True, capture_output=True, input=input
    )
    return done.stdout.decode("utf-8", "surrogateescape").strip()


class Team:
    """A remote, the engineer's checkout of it, and somebody else's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote, self.checkout, self.other = folder / "remote.git", folder / "checkout", folder / "other"

    def gather(self) -> None:
        """Make the three, with one commit."""
        git(self.folder, "init", "-q", "--bare", "--template=", "-b", "main", str(self.remote))
        git(self.folder, "init", "-q", "--template=", "-b", "main", str(self.other))
        git(self.other, "remote", "add", "origin", "../remote.git")
        self.commit("first", {"README.md": b"one\n" * 20, "src/app.js": b"1"})
        git(self.other, "push", "-q", "origin", "main", "main:staging")
        git(self.folder, "clone", "-q", "--template=", str(self.remote), str(self.checkout))
        git(self.checkout, "remote", "set-url", "origin", "../remote.git")
        git(self.other, "checkout", "-q", "-b", "staging")

    def commit(self, message: str, files: dict[str, bytes], *, remove: tuple[str, ...] = ()) -> str:
        for name, data in files.items():
            path = self.other / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in remove:
            (self.other / name).unlink()
        git(self.other, "add", "-A")
        git(self.other, "commit", "-q", "--allow-empty", "-m", message)
        return git(self.other, "rev-parse", "HEAD")

    def push(self, *words: str) -> None:
        git(self.other, "push", "-q", *(words or ("origin", "staging")))
