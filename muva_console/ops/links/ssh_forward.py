"""A local port that leads through SSH, open to this user alone.

A port on loopback is everybody's on a shared jump host: whoever connects to it would reach the
database under the console's name for the network. So each connection's owner is looked up in
/proc/net/tcp, where the kernel keeps the uid of every socket, and only our own are let in. (A UNIX
socket would need no such look, but asyncpg speaks no TLS over one.)
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.ops.errors import Fault, LinkError

if TYPE_CHECKING:
    from muva_console.ops.links.ssh_channel import ByteChannel

_TABLE = Path("/proc/net/tcp")
_CHUNK = 64 * 1024


def socket_owner(table: str, local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The uid that owns the IPv4 socket bound to `local` and connected to `remote`; None if not listed.

    `table` is the text of /proc/net/tcp (proc(5)): addresses are hexadecimal, in host byte order.
    """
    wanted = (_hexadecimal(*local), _hexadecimal(*remote))
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and (fields[1], fields[2]) == wanted:
            return int(fields[7])
    return None


def _hexadecimal(address: str, port: int) -> str:
    packed = ipaddress.IPv4Address(address).packed
    return f"{int.from_bytes(packed, sys.byteorder):08X}:{port:04X}"


class LocalPort:
    """Listens on 127.0.0.1 and passes each connection of ours to a channel of its own."""

    def __init__(self, dial: Callable[[], Awaitable[ByteChannel]], first: ByteChannel) -> None:
        """`first` is a channel that stands already: opening it showed that the way is free. It serves
        the first connection.
        """
        self._dial = dial
        self._first: ByteChannel | None = first
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.turned_away = 0
        """Connections of other users."""

    async def open(self) -> int:
        """Begin to listen and return the port. Raises LinkError where owners cannot be told."""
        if not os.access(_TABLE, os.R_OK):
            raise LinkError(
                Fault.OTHER,
                f"{_TABLE} cannot be read",
                means="Without it a local port would be open to every user of this machine.",
                next="Run the console on Linux with /proc mounted.",
            )
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        if self._first is not None:
            self._first.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            peer, here = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            owner = socket_owner(await asyncio.to_thread(_TABLE.read_text), peer, here)
            if owner != os.getuid():
                self.turned_away += 1
                return
            channel = await self._channel()
            try:
                await _pass(reader, writer, channel)
            finally:
                channel.close()
        except* (LinkError, OSError, asyncio.CancelledError):
            pass  # the client sees its connection end; the link's state and the log say why
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _channel(self) -> ByteChannel:
        first, self._first = self._first, None
        if first is not None and not first.gone:
            return first
        return await self._dial()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, channel: ByteChannel) -> None:
    async def up() -> None:
        while data := await reader.read(_CHUNK):
            channel.write(data)
            await channel.drain()
        channel.write_eof()

    async def down() -> None:
        while data := await channel.reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async with asyncio.TaskGroup() as both:
        both.create_task(up())
        both.create_task(down())
