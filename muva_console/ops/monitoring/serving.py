"""A small HTTP server for one page: what Prometheus scrapes. It answers GET /metrics, and nothing else.

On h11, which is there for httpx; no framework for one page. It listens where it is told to: on loopback
unless an address is given, for what it tells names the parts of production.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import h11

from muva_console.ops.errors import OpsError

LONGEST = 10.0
"""Seconds that a request may take to come, and its answer to go."""


def read_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``:PORT`` or ``PORT``; the host is 127.0.0.1 where none is given. Raises ValueError."""
    host, _, port = text.strip().rpartition(":")
    if not port.isdecimal() or not port.isascii() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is no address: HOST:PORT, or PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


@asynccontextmanager
async def serving(
    host: str, port: int, page: Callable[[], Awaitable[tuple[str, str]]]
) -> AsyncIterator[tuple[str, int]]:
    """Serve until left; gives where. `page` tells content type and text at each request. Raises OpsError
    where the address cannot be listened on.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                await _answer(reader, writer, page)
        except (TimeoutError, OSError, h11.ProtocolError):
            pass  # whoever asked is gone, or speaks something else
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    try:
        server = await asyncio.start_server(answer, host, port, limit=64 * 1024)
    except OSError as error:
        raise OpsError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}",
            next="Give another address: --serve HOST:PORT.",
        ) from error
    async with server:
        where = server.sockets[0].getsockname()
        yield str(where[0]), int(where[1])


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, page: Callable[[], Awaitable[tuple[str, str]]]
) -> None:
    connection = h11.Connection(h11.SERVER)
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(4096))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage) or not isinstance(event, h11.Data):
            break
    if request is None:
        return
    path = request.target.split(b"?", 1)[0]
    if path != b"/metrics":
        status, kind, text = 404, "text/plain; charset=utf-8", "the figures are at /metrics\n"
    elif request.method not in (b"GET", b"HEAD"):
        status, kind, text = 405, "text/plain; charset=utf-8", "only GET\n"
    else:
        status, (kind, text) = 200, await page()
    body = text.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close")]
    writer.write(connection.send(h11.Response(status_code=status, headers=headers)) or b"")
    if request.method != b"HEAD":
        writer.write(connection.send(h11.Data(data=body)) or b"")
    await writer.drain()
