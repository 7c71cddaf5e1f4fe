"""Where a long answer of GitHub goes as it comes: a text in memory, or a file with its digest."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from muva_console.ops.errors import Fault, LinkError

if TYPE_CHECKING:
    import httpx

CHUNK = 1024 * 1024
"""Bytes that are written at a time."""


class Sink(Protocol):
    """Takes an answer's body. `begin` is called before each try: what an earlier one brought is void."""

    async def begin(self) -> None:
        """From the start."""
        ...

    async def take(self, chunk: bytes) -> bool:
        """Some more; whether yet more is wanted. Raises LinkError."""
        ...


class TextSink:
    """A text of bounded length, the rest not read; told at its end."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data = bytearray()
        self._cut = False

    async def begin(self) -> None:
        """From the start."""
        self._data.clear()
        self._cut = False

    async def take(self, chunk: bytes) -> bool:
        """Some more, until there are `limit` bytes."""
        self._data += chunk
        if len(self._data) > self.limit:
            self._cut = True
            del self._data[self.limit :]
        return not self._cut

    def text(self) -> str:
        """What came, as UTF-8; what is none as U+FFFD."""
        text = self._data.decode("utf-8", "replace")
        if self._cut:
            text += f"\n(more than {self.limit:,} bytes: the rest was not read)\n"
        return text


class FileSink:
    """A file that appears under its name only once it is whole and is what it should be.

    Use as a context manager; `finish` gives the file its name. It is for its owner alone (0600): an
    artifact may be a backup of production.
    """

    def __init__(
        self, into: Path, *, where: str, most: int, size: int | None = None, sha256: str = ""
    ) -> None:
        """`most` and `size` in bytes: the first is what is taken at all, the second what is expected."""
        self._into, self._where = into, where
        self._most, self._size, self._sha256 = most, size, sha256.lower()
        self._part = into.with_name(f".{into.name}.{os.getpid()}.part")
        self._file = -1
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self.taken = 0

    def __enter__(self) -> FileSink:
        try:
            self._file = os.open(self._part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._part.unlink(missing_ok=True)

    async def begin(self) -> None:
        """From the start."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._digest = hashlib.sha256()
        self._waiting.clear()
        self.taken = 0

    async def take(self, chunk: bytes) -> bool:
        """Some more. Raises LinkError(TOO_LARGE), and LinkError(OTHER) where the disk does not take it."""
        self.taken += len(chunk)
        if self.taken > self._most:
            raise LinkError(
                Fault.TOO_LARGE, f"more than {self._most:,} bytes came: it was not kept", where=self._where
            )
        self._waiting += chunk
        if len(self._waiting) >= CHUNK:
            await self._write()
        return True

    async def finish(self) -> None:
        """Check what came and give the file its name. Raises LinkError where it is not what it should be."""
        await self._write()
        if self._size is not None and self.taken != self._size:
            raise LinkError(
                Fault.PROTOCOL,
                f"{self.taken:,} bytes came, GitHub told of {self._size:,}: it was not kept",
                where=self._where,
            )
        found = self._digest.hexdigest()
        if self._sha256 and found != self._sha256:
            raise LinkError(
                Fault.PROTOCOL,
                f"its SHA-256 is {found[:12]}…, GitHub told {self._sha256[:12]}…: it was not kept",
                where=self._where,
                means="it was changed or spoilt on its way",
            )
        try:
            await asyncio.to_thread(self._publish)
        except OSError as error:
            raise self._unwritable(error) from None

    async def _write(self) -> None:
        data = bytes(self._waiting)
        self._waiting.clear()
        try:
            await asyncio.to_thread(self._put, data)
        except OSError as error:
            raise self._unwritable(error) from None

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def _publish(self) -> None:
        os.fsync(self._file)
        self._part.replace(self._into)

    def _unwritable(self, error: OSError) -> LinkError:
        return LinkError(
            Fault.OTHER, f"it cannot be written: {error.strerror or error}", where=str(self._into)
        )


async def pour(response: httpx.Response, sink: Sink) -> None:
    """An answer's body into a sink, until it has enough."""
    await sink.begin()
    async for chunk in response.aiter_bytes():
        if not await sink.take(chunk):
            break


async def body_of(response: httpx.Response, limit: int, where: str) -> bytes:
    """An answer's body. Raises LinkError(TOO_LARGE) beyond `limit` bytes."""
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            raise LinkError(Fault.TOO_LARGE, f"the answer has more than {limit:,} bytes", where=where)
    return bytes(data)
