"""A HostLink onto this machine, without SSH: subprocesses and UNIX sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandResult, LinkState, LinkStatus, StreamWriterLike
from muva_console.ops.readings import utc_now
from tests.patience import HANG


class LocalLink:
    """Runs commands with `env` alone; `forwarding` False is sshd's AllowStreamLocalForwarding no."""

    def __init__(self, env: dict[str, str], *, forwarding: bool = True) -> None:
        self.env = env
        self.forwarding = forwarding
        self.commands: list[str] = []
        self.opened = 0
        self.down: LinkError | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def host(self) -> str:
        return "vps"

    @property
    def state(self) -> LinkState:
        return LinkState(name="ssh vps", status=LinkStatus.UP, since=utc_now())

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        limit: int = 4 * 1024 * 1024,
        input: bytes | None = None,
    ) -> CommandResult:
        if self.down is not None:
            raise self.down
        self.commands.append(command)
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "-c",
            command,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout or HANG):
                stdout, stderr = await process.communicate(input)
        except TimeoutError:
            raise LinkError(Fault.TIMEOUT, "timed out", where="vps") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()  # or its pipes outlive the loop, and fail whichever test comes next
        assert process.returncode is not None
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
        return CommandResult(
            exit_status=status,
            stdout=stdout[:limit],
            stderr=stderr[:limit],
            truncated=len(stdout) > limit,
            took_ms=(time.monotonic() - began) * 1000,
        )

    def stream(
        self, command: str, *, stderr: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        raise NotImplementedError

    @asynccontextmanager
    async def open_unix(self, path: str) -> AsyncIterator[tuple[asyncio.StreamReader, StreamWriterLike]]:
        if self.down is not None:
            raise self.down
        if not self.forwarding:
            raise LinkError(Fault.REFUSED, "stream-local forwarding is not allowed", where="vps")
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except FileNotFoundError:
            raise LinkError(Fault.MISSING, f"no socket {path}", where="vps") from None
        except ConnectionRefusedError:
            raise LinkError(Fault.REFUSED, f"nobody listens on {path}", where="vps") from None
        self.opened += 1
        self._writers.add(writer)
        try:
            yield reader, writer
        finally:
            self._writers.discard(writer)
            writer.close()

    def open_tcp(self, address: str, port: int) -> AbstractAsyncContextManager[int]:
        raise NotImplementedError

    def cut(self) -> None:
        """Every open channel is lost now."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    @property
    def channels(self) -> int:
        """Channels open now."""
        return len(self._writers)

    async def close(self) -> None:
        self.cut()
