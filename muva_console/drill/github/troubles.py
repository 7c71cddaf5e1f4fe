"""Bad days of GitHub's, as tests and faults ask for them: slow, answering 500, half a body, a limit reached.

What is asked for stands in the store, so that it acts at once on the server that runs. Down is another thing:
then there is no server (`server.stop`, `server.begin`).
"""

from __future__ import annotations

import asyncio
import json
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muva_console.drill.github import protection
from muva_console.drill.github.records import Trouble, store
from muva_console.drill.state import Estate


def trouble(
    estate: Estate, *, slow: float = 0.0, failing: int = 0, status: int = 500, half: int = 0,
    secondary: int = 0, retry_after: int = 60, pondering: int = 0, only: str = "",
) -> None:  # fmt: skip
    """Let the stand-in have a bad day, in place of any it had: see `records.Trouble` for each of them."""
    with store(estate).change() as state:
        state.trouble = Trouble(
            slow=slow, failing=failing, status=status, half=half, secondary=secondary,
            retry_after=retry_after, pondering=pondering, only=only,
        )  # fmt: skip


def calm(estate: Estate) -> None:
    """Let the days be good again, the limit and everybody's rights as they were, no branch protected."""
    with store(estate).change() as state:
        state.trouble = Trouble()
        state.limit = 5000
        state.lacking = {}
    protection.protect(estate)


class Troubles:
    """An ASGI middleware, the outermost: nobody's token is looked at on a bad day. Slack has none."""

    def __init__(self, app: ASGIApp, estate: Estate) -> None:
        self._app = app
        self._store = store(estate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or spoil it."""
        if scope["type"] != "http" or scope["path"].startswith("/services/"):
            await self._app(scope, receive, send)
            return
        found = self._store.read().trouble
        if not found.any or (found.only and not re.search(found.only, scope["path"])):
            await self._app(scope, receive, send)
            return
        if found.slow:
            await asyncio.sleep(found.slow)
        kind = self._take()
        if kind == "failing":
            page = (
                b"<html><body>Unicorn!</body></html>" if found.status in (502, 503) else _said("Server Error")
            )
            await _answer(send, found.status, page, {})
        elif kind == "secondary":
            message = (
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
            )
            await _answer(send, 403, _said(message), {"retry-after": str(found.retry_after)})
        else:
            await self._app(scope, receive, _halved(send) if kind == "half" else send)

    def _take(self) -> str:
        """What befalls this request; it counts as one of those that were asked for."""
        with self._store.change() as state:
            for kind in ("failing", "secondary", "half"):
                left: int = getattr(state.trouble, kind)
                if left:
                    setattr(state.trouble, kind, left - 1)
                    return kind
        return ""


def _halved(send: Send) -> Send:
    """Sends the head, with the whole length, and half of the first part of the body; no more comes, and the
    server closes the connection.
    """
    over = False

    async def some(message: Message) -> None:
        nonlocal over
        if message["type"] != "http.response.body":
            await send(message)
        elif not over:
            body = message.get("body", b"")
            over = bool(body)
            await send({**message, "body": body[: len(body) // 2], "more_body": True})

    return some


def _said(message: str) -> bytes:
    return json.dumps({"message": message, "documentation_url": "https://docs.github.com/rest"}).encode()


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json; charset=utf-8"
    pairs = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    pairs += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
