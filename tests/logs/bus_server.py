"""PM2's `pub.sock` as its daemon serves it: AMP frames to whoever is connected."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from muva_console.ops.pm2 import amp


class BusServer:
    """Writes to a process's files and to its subscribers in the same pieces, as PM2 does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def subscribers(self) -> int:
        return len(self._writers)

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._connected, self.path)

    async def stop(self) -> None:
        """The daemon dies."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()
            self._writers.clear()
            self.path.unlink(missing_ok=True)
            self._server = None

    def log(self, text: str, *, name: str = "muva-production", pm_id: int = 0, stream: str = "out") -> None:
        self._send(f"log:{stream}", {"process": {"pm_id": pm_id, "name": name}, "at": _now(), "data": text})

    def event(self, event: str, *, name: str = "muva-production", pm_id: int = 0) -> None:
        who = {"pm_id": pm_id, "name": name}
        self._send("process:event", {"event": event, "manually": False, "at": _now(), "process": who})

    def _send(self, topic: str, payload: object) -> None:
        frame = amp.encode([b"s:" + topic.encode(), b"j:" + json.dumps(payload).encode()])
        for writer in self._writers:
            writer.write(frame)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def _now() -> int:
    return time.time_ns() // 1_000_000
