"""What all links share: their state in sight, and the record of what was run on whose behalf."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from muva_console.ops.errors import LinkError


class LinkStatus(StrEnum):
    """Where a link stands."""

    UNUSED = "not asked"
    OPENING = "asking"
    UP = "up"
    DOWN = "down"
    CLOSED = "closed"


class LinkState(Struct, frozen=True, kw_only=True):
    """A link as the status line shows it."""

    name: str
    """``ssh vps``, ``web production`` …"""
    status: LinkStatus
    since: datetime
    error: LinkError | None = None
    detail: str = ""
    """E.g. which of two ways is in use: "daemon socket" or "pm2 jlist"."""


class CommandRecord(Struct, frozen=True, kw_only=True):
    """One thing the console ran for the engineer: a line of the command log (`@`)."""

    at: datetime
    where: str
    """A host's name, "here", or an address."""
    line: str
    """What ran, redacted, or the closest thing a person could type."""
    took_ms: float
    outcome: str
    """``exit 0``, ``200``, ``timed out`` …"""
    environment: str = ""


class CommandLog:
    """The last commands and requests, newest last. Bounded; safe to read from another thread."""

    def __init__(self, size: int = 2000) -> None:
        self._records: deque[CommandRecord] = deque(maxlen=size)
        self.total = 0

    def add(self, record: CommandRecord) -> None:
        """Keep one record."""
        self._records.append(record)
        self.total += 1

    def records(self) -> list[CommandRecord]:
        """A copy, oldest first."""
        return list(self._records)


class CommandResult(Struct, frozen=True, kw_only=True):
    """What a remote command answered."""

    exit_status: int
    """The exit status; 128 + n when it was ended by signal n."""
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    """More than the limit was printed; the command was ended."""
    took_ms: float


class HostLink(Protocol):
    """One host: a connection that is opened on first use, kept open, mended by itself.

    Every method raises `LinkError` and nothing else when the host cannot be used. Output is raw bytes:
    the subject module that parses it sanitises what it keeps.
    """

    @property
    def host(self) -> str:
        """The host's name in muva.toml."""
        ...

    @property
    def state(self) -> LinkState:
        """Where the link stands now; never blocks."""
        ...

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        limit: int = 4 * 1024 * 1024,
        input: bytes | None = None,
    ) -> CommandResult:
        """Run a shell command line to its end.

        It is ended on the host, children included, at the time-out (seconds; the host's
        command_timeout when None), at `limit` bytes of output, and when the awaiting task is
        cancelled. A non-zero exit status is an answer, not an error.
        """
        ...

    def stream(
        self, command: str, *, stderr: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """A long-running command's output, chunk by chunk, until the block is left (which ends it).

        The iterator stops when the command ends and raises LinkError when the connection is lost.
        """
        ...

    def open_unix(
        self, path: str
    ) -> AbstractAsyncContextManager[tuple[asyncio.StreamReader, StreamWriterLike]]:
        """A channel to a UNIX socket on the host. LinkError(MISSING) where there is no such socket,
        LinkError(REFUSED) where the server forbids forwarding or nobody listens.
        """
        ...

    def open_tcp(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        """A local port on loopback that leads to address:port as seen from the host; gone on leaving."""
        ...

    async def close(self) -> None:
        """Close the connection; the link may be used again."""
        ...


class StreamWriterLike(Protocol):
    """The part of asyncio.StreamWriter that channels offer."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        ...

    async def drain(self) -> None:
        """Wait until the peer takes more."""
        ...

    def close(self) -> None:
        """Close this side."""
        ...


OnState = Callable[[LinkState], None]
