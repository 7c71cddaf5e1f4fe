"""A HostLink to this machine: real shells, real files, real sockets, and a plug that can be pulled."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandResult, LinkState, LinkStatus, StreamWriterLike
from muva_console.ops.readings import utc_now
from tests.patience import HANG


class LocalLink:
    """`pull` drops every stream and refuses everything until `plug_in`."""

    def __init__(self, host: str = "here") -> None:
        self._host = host
        self._plugged = True
        self._running: set[asyncio.subprocess.Process] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.commands: list[str] = []

    @property
    def host(self) -> str:
        return self._host

    @property
    def state(self) -> LinkState:
        status = LinkStatus.UP if self._plugged else LinkStatus.DOWN
        return LinkState(name=f"ssh {self._host}", status=status, since=utc_now())

    def pull(self) -> None:
        self._plugged = False
        for process in tuple(self._running):
            self._kill(process)
        for writer in tuple(self._writers):
            writer.transport.abort()

    def plug_in(self) -> None:
        self._plugged = True

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        limit: int = 4 * 1024 * 1024,
        input: bytes | None = None,
    ) -> CommandResult:
        began = time.monotonic()
        process = await self._start(command, asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(timeout or HANG):
                out, err = await process.communicate(input)
        except TimeoutError:
            raise LinkError(Fault.TIMEOUT, "no answer", where=self._host) from None
        finally:
            self._kill(process)
            await process.wait()  # or its pipes outlive the loop, and fail whichever test comes next
        if not self._plugged:
            raise LinkError(Fault.CLOSED, "connection lost", where=self._host)
        assert process.returncode is not None
        return CommandResult(
            exit_status=process.returncode if process.returncode >= 0 else 128 - process.returncode,
            stdout=out[:limit],
            stderr=err,
            truncated=len(out) > limit,
            took_ms=(time.monotonic() - began) * 1000,
        )

    @asynccontextmanager
    async def stream(self, command: str, *, stderr: bool = False) -> AsyncIterator[AsyncIterator[bytes]]:
        process = await self._start(
            command, asyncio.subprocess.STDOUT if stderr else asyncio.subprocess.DEVNULL
        )

        async def chunks() -> AsyncIterator[bytes]:
            assert process.stdout is not None
            while data := await process.stdout.read(65536):
                yield data
            if not self._plugged:
                raise LinkError(Fault.CLOSED, "connection lost", where=self._host)

        try:
            yield chunks()
        finally:
            self._kill(process)
            await process.wait()

    @asynccontextmanager
    async def open_unix(self, path: str) -> AsyncIterator[tuple[asyncio.StreamReader, StreamWriterLike]]:
        self._check()
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except FileNotFoundError:
            raise LinkError(Fault.MISSING, "no such socket", where=self._host) from None
        except OSError as error:
            raise LinkError(Fault.REFUSED, str(error), where=self._host) from None
        self._writers.add(writer)
        try:
            yield reader, writer
        finally:
            self._writers.discard(writer)
            writer.close()

    @asynccontextmanager
    async def open_tcp(self, address: str, port: int) -> AsyncIterator[int]:
        self._check()
        yield port

    async def close(self) -> None:
        self.pull()

    def _check(self) -> None:
        if not self._plugged:
            raise LinkError(Fault.REFUSED, "connection refused", where=self._host)

    async def _start(self, command: str, stderr: int) -> asyncio.subprocess.Process:
        self._check()
        self.commands.append(command)
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        self._running.add(process)
        if not self._plugged:
            self._kill(process)
        return process

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        self._running.discard(process)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
