"""What every handler needs: the question's parts, the answer's pages and links, GitHub's errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from muva_console.drill.github.actions import Github, Refusal
from muva_console.drill.github.blobs import Blobs
from muva_console.drill.github.records import REPOSITORY, State
from muva_console.drill.github.runs import Runs
from muva_console.drill.github.shapes import Shapes
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

BELOW = f"/repos/{REPOSITORY}"
"""Where every address of the repository begins."""
_DOCUMENTATION = "https://docs.github.com/rest"
_MOST = 100


class Hub(Struct, frozen=True):
    """What the handlers work on."""

    estate: Estate
    github: Github
    runs: Runs
    blobs: Blobs


class Answers:
    """Handlers of one subject; the subject's class adds one method an address, and `routes`."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.github = hub.github
        self.git = hub.github.repository
        self.store = hub.github.store

    def state(self) -> State:
        """What is remembered now."""
        return self.store.read()

    def shapes(self, request: Request, state: State | None = None) -> Shapes:
        """Bodies with the addresses that the client used."""
        return Shapes(str(request.base_url).rstrip("/"), state or self.state())

    async def commit(self, ref: str) -> str:
        """The commit that a branch, a tag or a hash stands for. Raises Refusal(422)."""
        sha = await self.git.resolve(ref)
        if sha is None:
            raise Refusal(422, f"No commit found for SHA: {ref}")
        return sha


def error_body(status: int, message: str) -> dict[str, Any]:
    """What GitHub says of an error."""
    return {"message": message, "documentation_url": _DOCUMENTATION, "status": str(status)}


async def refused(request: Request, error: Exception) -> Response:
    """The answer to what is not done: a refusal, or 500 where git or a file failed."""
    if not isinstance(error, Refusal):
        told = str(error) if isinstance(error, OpsError) else type(error).__name__
        return JSONResponse(error_body(500, f"Server Error: {told}"), status_code=500)
    body = error_body(error.status, error.message)
    if error.field:
        body["errors"] = [{"resource": error.resource, "field": error.field, "code": error.code}]
    return JSONResponse(body, status_code=error.status)


async def nothing_there(request: Request, error: Exception) -> Response:
    """GitHub's 404."""
    return JSONResponse(error_body(404, "Not Found"), status_code=404)


async def body_of(request: Request) -> dict[str, Any]:
    """A request's body; an empty one asks for nothing. Raises Refusal(400)."""
    data = await request.body()
    try:
        told = json.loads(data) if data else {}
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None
    if not isinstance(told, dict):
        raise Refusal(400, "Body should be a JSON object")
    return told


def page_of(request: Request, items: Sequence[Any], name: str = "") -> Response:
    """The page asked for; with a name, beside the count of all, as newer lists of GitHub's are."""
    size, page = size_of(request, 30), number_of(request)
    part = list(items[(page - 1) * size : page * size])
    body: Any = {"total_count": len(items), name: part} if name else part
    return JSONResponse(body, headers=links_of(request, len(items), size, page))


def size_of(request: Request, usual: int) -> int:
    """How many things a page holds."""
    asked = request.query_params.get("per_page", "")
    return min(int(asked), _MOST) if asked.isdigit() and int(asked) else usual


def number_of(request: Request) -> int:
    """Which page, from 1."""
    asked = request.query_params.get("page", "")
    return max(1, int(asked)) if asked.isdigit() else 1


def links_of(request: Request, total: int, size: int, page: int) -> dict[str, str]:
    """The `Link` header."""
    last = max(1, -(-total // size))
    places = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    told = []
    for name, number in places.items():
        if 1 <= number <= last and number != page:
            query = urlencode({**request.query_params, "page": number})
            told.append(f'<{request.url.replace(query=query)}>; rel="{name}"')
    return {"link": ", ".join(told)} if told else {}
