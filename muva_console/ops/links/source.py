"""The application's repository as those who look at code need it, whoever fetches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from muva_console.ops.links.outgoing import Outgoing

if TYPE_CHECKING:
    from muva_console.ops.links.workshop_reading import Blob


class Source(Protocol):
    """The application's repository as checks need it: the console's own copy, never the engineer's.

    Every method raises `LinkError`. Commits are whole hashes; paths are as git has them.
    """

    async def outgoing(self, source: str, target: str, *, at: str = "") -> Outgoing:
        """Fetch, and tell what `source` has that `target` has not; `at` is a commit of `source` in the place
        of its head.
        """
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
