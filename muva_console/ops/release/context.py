"""What checks of a release may look at beside one environment: the code that goes out, and its way there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from muva_console.config.model import Secret
    from muva_console.ops.checks import CheckContext
    from muva_console.ops.journal.store import Journal
    from muva_console.ops.links.base import CommandLog
    from muva_console.ops.links.github import GitHubLink
    from muva_console.ops.links.workshop_reading import Blob
    from muva_console.ops.release.outgoing import Outgoing


class Source(Protocol):
    """The application's repository as checks need it: the console's own copy, never the engineer's.

    Every method raises `LinkError`. Commits are whole hashes; paths are as git has them.
    """

    async def outgoing(self, source: str, target: str) -> Outgoing:
        """Fetch, and tell what `source` has that `target` has not."""
        ...

    async def read(self, sha: str, path: str, *, limit: int = 4 * 1024 * 1024) -> bytes | None:
        """A file of a commit; None where there is none. LinkError(TOO_LARGE) beyond `limit` bytes."""
        ...

    async def files(self, sha: str, folder: str = "") -> tuple[str, ...]:
        """The paths of all files of a commit below a folder."""
        ...

    async def read_all(self, sha: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Several files of a commit at once, by path; those that are not there are left out, those over
        1 MiB too.
        """
        ...

    async def tree(self, sha: str, folder: str = "") -> Mapping[str, Blob]:
        """All files of a commit below a folder by path, with the ids of their contents."""
        ...

    async def contents(self, blobs: Iterable[Blob], *, limit: int = 1024 * 1024) -> Mapping[str, bytes]:
        """What files hold, by the id of the content; those over `limit` bytes are left out."""
        ...

    async def known_heads(self) -> tuple[Mapping[str, str], str]:
        """Every branch and the commit it stands at, after a fetch; where that failed, what is known from
        before, and why.
        """
        ...

    async def diff(self, base: str, head: str) -> str:
        """The unified difference of the two, binary files left out; at most 64 MiB."""
        ...

    def worktree(self, sha: str) -> AbstractAsyncContextManager[Path]:
        """A clean worktree of a commit, gone on leaving."""
        ...


@dataclass(slots=True)
class Release:
    """What is going to an environment, for the checks of one run."""

    source_branch: str
    target_branch: str
    repository: Source
    journal: Journal
    secret: Callable[[Secret], Awaitable[str]]
    """A secret's value by its reference. Raises SecretError."""
    source: CheckContext | None = None
    """The environment that the code comes from (staging for production); None where there is none."""
    github: GitHubLink | None = None
    """None when no repository on GitHub is configured."""
    commands: CommandLog | None = None
    """Where what is run here is told."""
    folder: Path | None = None
    """Where outputs of commands are kept; None to keep none."""
