"""What every request passes: whose token it bears, the rate limit, whether the answer is known already."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muva_console.drill.github.records import PEOPLE, READER, store, token_file
from muva_console.drill.github.rights import SCOPES, lacks, needed
from muva_console.drill.state import Estate

_HOUR = 3600
_BEARERS = (*PEOPLE, READER)
_OPEN = "/services/"
"""Below it is Slack, which knows a sender by the address alone."""


class Door:
    """An ASGI middleware. Answers are held until they are whole: they are short."""

    def __init__(self, app: ASGIApp, estate: Estate) -> None:
        self._app = app
        self._store = store(estate)
        self._tokens = {token_file(estate, login).read_text().strip(): login for login in _BEARERS}
        self._used: Counter[str] = Counter()
        self._reset = int(time.time()) + _HOUR

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["type"] != "http" or scope["path"].startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        login = self._who(request)
        if login is None:
            # a repository that is not public is not there for somebody without a token
            status, message = 404, "Not Found"
            if request.headers.get("authorization"):
                status, message = 401, "Bad credentials"
            await _send(send, status, _error(status, message), {})
            return
        if time.time() >= self._reset:
            self._used.clear()
            self._reset = int(time.time()) + _HOUR
        state = self._store.read()
        limit, wanted = state.limit, needed(request.method, scope["path"])
        if scope["path"] == "/rate_limit":
            await _send(send, 200, self._overview(login, limit), self._headers(login, limit))
            return
        if self._used[login] >= limit:
            message = f"API rate limit exceeded for user ID {_BEARERS.index(login)}."
            await _send(send, 403, _error(403, message), self._headers(login, limit))
            return
        scope.setdefault("state", {})["login"] = login
        if lacks(state, login, wanted):
            status = 403
            headers: dict[str, str] = {}
            body = _error(403, "Resource not accessible by personal access token")
        else:
            status, headers, body = await self._answer(scope, receive)
        headers["x-accepted-github-permissions"] = wanted
        if login != READER:
            headers["x-oauth-scopes"] = SCOPES
        if request.method in ("GET", "HEAD") and status == 200:
            etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
            headers["etag"] = etag
            if etag in request.headers.get("if-none-match", ""):
                status, body = 304, b""
        if status != 304:
            self._used[login] += 1
        await _send(send, status, body, {**headers, **self._headers(login, limit)})

    def _who(self, request: Request) -> str | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return self._tokens.get(token.strip()) if kind.lower() in ("bearer", "token") else None

    def _headers(self, login: str, limit: int) -> dict[str, str]:
        used = self._used[login]
        return {
            "x-ratelimit-limit": str(limit), "x-ratelimit-used": str(used),
            "x-ratelimit-remaining": str(max(0, limit - used)), "x-ratelimit-reset": str(self._reset),
            "x-ratelimit-resource": "core", "x-github-media-type": "github.v3; format=json",
        }  # fmt: skip

    def _overview(self, login: str, limit: int) -> bytes:
        used = self._used[login]
        rate = {"limit": limit, "used": used, "remaining": max(0, limit - used), "reset": self._reset}
        return json.dumps({"resources": {"core": rate, "search": rate}, "rate": rate}).encode()

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = 500, {}, bytearray()

        async def keep(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]
                }
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))

        await self._app(scope, receive, keep)
        return status, headers, bytes(body)


def _error(status: int, message: str) -> bytes:
    told = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return json.dumps(told).encode()


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    whole = {"content-type": "application/json; charset=utf-8", **headers}
    if status in (204, 304):
        whole.pop("content-length", None)
        whole.pop("content-type", None)
    else:
        whole["content-length"] = str(len(body))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
