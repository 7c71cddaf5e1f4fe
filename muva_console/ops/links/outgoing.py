"""What is going out: the commits of one branch that another does not have yet."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class OutgoingCommit(Struct, frozen=True, kw_only=True):
    """A commit that goes out."""

    sha: str
    """40 hexadecimal digits."""
    subject: str
    author: str
    at: datetime
    merge: bool = False


class FileChange(Struct, frozen=True, kw_only=True):
    """A file that differs between the target's head and the outgoing commit."""

    status: str
    """``A`` added, ``M`` changed, ``D`` removed, ``R`` renamed, ``T`` another kind of file."""
    path: str
    """As git has it; sanitised only where it is shown, for it is looked up again."""
    before: str = ""
    """The old path of a renamed file."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """A reading of what is going out, after a fetch."""

    at: datetime
    source: str
    """The branch it comes from, e.g. ``staging``."""
    target: str
    """The branch it goes to, e.g. ``main``."""
    head: str
    """The commit that goes out: the remote's head of `source`."""
    base: str
    """The commit that `target` stands at in the remote."""
    commits: tuple[OutgoingCommit, ...]
    """Newest first: reachable from `head`, not from `base`."""
    behind: int = 0
    """Commits of `target` that `source` does not have."""
    files: tuple[FileChange, ...]
    """What differs between the merge base and `head`."""
    merge_base: str = ""
    fetched: bool = True
    """False when the remote could not be reached: this is what the last fetch knew."""
    fetch_error: str = ""

    @property
    def short(self) -> str:
        """The outgoing commit's first seven digits."""
        return self.head[:7]
