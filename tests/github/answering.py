"""A server that answers as it is told, for what GitHub does and a stand-in cannot be brought to do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.github import GitHubLink

TOKEN = "ghp_0123456789abcdef0123456789abcdef0123"

Respond = Callable[[str], bytes]
"""From a request's head to the whole response; nothing for a connection that is lost."""


def response(status: int, body: str | bytes = "[]", **headers: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(data)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def told(body: Any, status: int = 200, **headers: str) -> bytes:
    return response(status, json.dumps(body), **headers)


class Server:
    """Answers each request as it is told, and keeps the requests."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.url = ""

    @property
    def lines(self) -> list[str]:
        """``GET /path?query`` of each request."""
        return [head.partition(" HTTP/")[0] for head in self.heads]

    @property
    def sent(self) -> list[Any]:
        """What came with the requests that brought something."""
        return [json.loads(body) for body in self.bodies if body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?i)content-length: (\d+)", head)
                self.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
                self.heads.append(head)
                data = self.respond(head)
                writer.write(data)
                await writer.drain()
                if not data or b"content-length" not in data or b"connection: close" in data:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client is done, or the test is
        finally:
            writer.close()


@asynccontextmanager
async def standing(respond: Respond) -> AsyncIterator[Server]:
    made = Server(respond)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


async def token() -> str:
    return TOKEN


def link_to(
    url: str, *, timeout: float = 20, log: CommandLog | None = None,
    token: Callable[[], Awaitable[str | None]] = token,
) -> GitHubLink:  # fmt: skip
    return GitHubLink(url, "muva/muva-chat", token, timeout=timeout, log=log)


@asynccontextmanager
async def asking(respond: Respond, *, timeout: float = 20) -> AsyncIterator[tuple[GitHubLink, Server]]:
    async with standing(respond) as server:
        link = link_to(server.url, timeout=timeout)
        try:
            yield link, server
        finally:
            await link.close()
