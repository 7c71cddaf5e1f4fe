"""The bare repository as the stand-in reads it, and the merges that it makes there."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from muva_console.drill.run import run
from muva_console.ops.errors import OpsError

_FIELDS = ("%H", "%T", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%B")
_WHOLE = re.compile(r"[0-9a-f]{40}")
_STATUS = {"A": "added", "D": "removed", "M": "modified", "T": "changed"}


class Commit(Struct, frozen=True, kw_only=True):
    """A commit as git has it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: str
    author_email: str
    authored: str
    committer: str
    committer_email: str
    committed: str
    """Times in ISO 8601."""
    message: str


class File(Struct, frozen=True, kw_only=True):
    """A file that differs."""

    path: str
    status: str
    blob: str | None
    additions: int
    deletions: int


class Conflict(Exception):
    """The branches cannot be merged without a person."""


class Moved(Exception):
    """The branch is not where it was."""


class Repository:
    """One bare repository, at `path`. Every method raises OpsError where git fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def git(self, *words: str, check: bool = True, env: dict[str, str] | None = None) -> str:
        """Run git there, unaffected by anybody's configuration."""
        neutral = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **(env or {})}
        return (await run(["git", "-C", self.path, *words], env=neutral, check=check)).decode(
            "utf-8", "replace"
        )

    async def resolve(self, ref: str) -> str | None:
        """The commit that a branch or a hash stands for; None when there is none."""
        for name in (ref,) if _WHOLE.fullmatch(ref) else (f"refs/heads/{ref}", ref):
            words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            found = (await self.git(*words, check=False)).strip()
            if found:
                return found
        return None

    async def commits(self, *revisions: str, limit: int = 0, walk: bool = True) -> list[Commit]:
        """The commits that git log tells, newest first; without `walk` those named and no others."""
        words = ["log", "-z", f"--format={'%x00'.join(_FIELDS)}", *([] if walk else ["--no-walk"])]
        if limit:
            words.append(f"--max-count={limit}")
        parts = (await self.git(*words, "--end-of-options", *revisions, "--")).split("\0")
        size = len(_FIELDS)
        return [_commit(parts[at : at + size]) for at in range(0, len(parts) - size + 1, size)]

    async def between(self, base: str, head: str) -> list[Commit]:
        """What `head` has and `base` has not, oldest first."""
        return (await self.commits(f"{base}..{head}"))[::-1]

    async def merge_base(self, one: str, other: str) -> str | None:
        """Where the two parted; None when they never met."""
        return (await self.git("merge-base", one, other, check=False)).strip() or None

    async def count(self, base: str, head: str) -> tuple[int, int]:
        """How many commits `head` is ahead of `base`, and behind."""
        words = ("rev-list", "--left-right", "--count", f"{base}...{head}")
        behind, ahead = (await self.git(*words)).split()
        return int(ahead), int(behind)

    async def files(self, base: str, head: str) -> list[File]:
        """What differs between two commits."""
        raw = (await self.git("diff", "--raw", "-z", "--no-renames", "--abbrev=40", base, head)).split("\0")
        stat = (await self.git("diff", "--numstat", "-z", "--no-renames", base, head)).split("\0")
        lines = {}
        for entry in stat:
            if entry.count("\t") >= 2:
                added, removed, path = entry.split("\t", 2)
                lines[path] = (int(added) if added != "-" else 0, int(removed) if removed != "-" else 0)
        found = []
        for words, path in zip(raw[::2], raw[1::2], strict=False):
            parts = words.split()
            additions, deletions = lines.get(path, (0, 0))
            blob = parts[3] if parts[4] != "D" else None
            found.append(
                File(
                    path=path,
                    status=_STATUS.get(parts[4][:1], "changed"),
                    blob=blob,
                    additions=additions,
                    deletions=deletions,
                )
            )
        return found

    async def merges_cleanly(self, base: str, head: str) -> str | None:
        """The tree of the two merged; None on a conflict."""
        told = await self.git("merge-tree", "--write-tree", base, head, check=False)
        first = told.split("\n", 1)
        whole = len(first) > 1 and not first[1].strip()
        return first[0] if whole else None

    async def merge(
        self, branch: str, base: str, head: str, *, message: str, author: str, squash: bool = False
    ) -> str:
        """Merge `head` into `branch`, which must stand at `base`; the new commit.

        Raises Conflict, and Moved when another was faster.
        """
        tree = await self.merges_cleanly(base, head)
        if tree is None:
            raise Conflict
        person = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", author), ("EMAIL", f"{author}@users.noreply.github.com"))
        }
        parents = ["-p", base] if squash else ["-p", base, "-p", head]
        made = (await self.git("commit-tree", tree, *parents, "-m", message, env=person)).strip()
        try:
            await self.git("update-ref", f"refs/heads/{branch}", made, base)
        except OpsError as error:
            raise Moved from error
        return made


def _commit(parts: list[str]) -> Commit:
    sha, tree, parents, name, email, authored, committer, committer_email, committed, message = parts
    return Commit(
        sha=sha.strip(),
        tree=tree,
        parents=tuple(parents.split()),
        author=name,
        author_email=email,
        authored=_utc(authored),
        committer=committer,
        committer_email=committer_email,
        committed=_utc(committed),
        message=message.rstrip("\n"),
    )


def _utc(told: str) -> str:
    from datetime import UTC

    return datetime.fromisoformat(told).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
