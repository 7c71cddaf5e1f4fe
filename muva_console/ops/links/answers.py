"""What the web, database and repository links answer: frozen readings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from muva_console.ops.errors import Fault


class Timing(Struct, frozen=True, kw_only=True):
    """Where the time of one request went, in milliseconds; None for a phase that was not reached."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    """From the request sent to the first byte of the answer."""
    total: float = 0.0


class HttpAnswer(Struct, frozen=True, kw_only=True):
    """One request's outcome; a failed one is an answer too."""

    url: str
    at: datetime
    status: int | None = None
    """None when no HTTP answer came; then `fault` says why. Both are set when an answer began and did
    not end."""
    fault: Fault | None = None
    error: str = ""
    """One sanitised line about the fault."""
    own_side: bool = False
    """The fault looks like this machine's own (no route, a silent resolver, its proxy): then nothing is
    known of the server."""
    timing: Timing = Timing()
    body: str = ""
    """Sanitised, at most 64 KiB."""
    json: Any = None
    """The parsed body when it is JSON (strings within are NOT sanitised: sanitise before showing)."""
    body_truncated: bool = False
    content_type: str = ""
    location: str = ""
    """Where a redirect points, sanitised; redirects are not followed."""
    certificate_expires: datetime | None = None
    certificate_issuer: str = ""

    @property
    def answered(self) -> bool:
        """Whether any HTTP answer came."""
        return self.status is not None


class BlockedQuery(Struct, frozen=True, kw_only=True):
    """A query that waits on others."""

    pid: int
    query: str
    """Sanitised, literals masked (they may hold personal data or secrets)."""
    waiting: float
    """Seconds."""
    blockers: tuple[int, ...]
    blocker_queries: tuple[str, ...] = ()


class LongQuery(Struct, frozen=True, kw_only=True):
    """A query that has been running for long."""

    pid: int
    query: str
    running: float
    """Seconds."""
    state: str
    user: str = ""
    application: str = ""


class TableAnswer(Struct, frozen=True, kw_only=True):
    """Whether a critical table can be read."""

    name: str
    readable: bool
    error: str = ""
    estimated_rows: int | None = None


class DatabaseReading(Struct, frozen=True, kw_only=True):
    """One environment's database at a time."""

    at: datetime
    latency_ms: float
    """Median of a few `SELECT 1` round trips on the open connection."""
    version: str
    connections: int
    max_connections: int
    in_recovery: bool = False
    long_queries: tuple[LongQuery, ...] = ()
    blocked: tuple[BlockedQuery, ...] = ()
    tables: tuple[TableAnswer, ...] = ()
    took_ms: float = 0.0


class Commit(Struct, frozen=True, kw_only=True):
    """A commit of the local checkout; texts are sanitised."""

    sha: str
    subject: str
    author: str
    at: datetime
    """When it was committed, UTC."""


class Comparison(Struct, frozen=True, kw_only=True):
    """A branch against another one."""

    branch: str
    """The other: a local branch's name, or ``origin/NAME`` where the remote's is known."""
    ahead: int
    """Commits that the other does not have."""
    behind: int
    """Commits that the other has and this one does not."""


class RepositoryReading(Struct, frozen=True, kw_only=True):
    """One branch of the local checkout, as far as this machine knows: nothing is fetched for it."""

    at: datetime
    branch: str
    head: Commit | None = None
    """The local branch; None when only the remote's is known."""
    remote: Commit | None = None
    """The remote's branch as it was at the last fetch."""
    unpushed: int | None = None
    """Commits of the local branch that the remote's does not have; None when one of the two is missing."""
    unpulled: int | None = None
    """Commits of the remote's branch that the local one does not have."""
    comparisons: tuple[Comparison, ...] = ()
    current: str = ""
    """The branch that is checked out; empty when the head is detached."""
    dirty: bool = False
    """Files under version control are changed and not committed."""
    fetched_at: datetime | None = None
    """When the remote was last asked, UTC; None when it never was."""
    took_ms: float = 0.0
