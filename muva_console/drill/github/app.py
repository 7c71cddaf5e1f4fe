"""The stand-in's addresses: what each of them answers, from the repository and the records."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github.actions import Github, Refusal
from muva_console.drill.github.door import Door
from muva_console.drill.github.gitdata import Repository
from muva_console.drill.github.records import REPOSITORY, Pull, State, messages_file, store, webhook_file
from muva_console.drill.github.shapes import Shapes
from muva_console.drill.github.slack import Slack
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

_DOCUMENTATION = "https://docs.github.com/rest"
_MOST = 100
_COMPARED = 250
_FILES = 300

Handler = Callable[[Request], Awaitable[Response]]


def make(estate: Estate) -> Starlette:
    """The application for an estate; it reads everything anew with every request."""
    answers = _Answers(Github(Repository(estate.repository), store(estate)))
    slack = Slack(webhook_file(estate), messages_file(estate))
    app = Starlette(routes=[*routes(answers), Route("/services/{path:path}", slack.take, methods=["POST"])])
    for kind in (Refusal, OpsError):
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(404, _nothing_there)
    app.add_middleware(Door, estate=estate)
    return app


def routes(answers: _Answers) -> list[Route]:
    """Every address of the API."""
    below = f"/repos/{REPOSITORY}"
    pull = below + "/pulls/{number:int}"
    commit = below + "/commits/{ref:path}"
    return [
        Route("/rate_limit", answers.nothing, methods=["GET"]),  # the door answers it
        Route(below, answers.repository, methods=["GET"]),
        Route(f"{below}/pulls", answers.pulls, methods=["GET"]),
        Route(f"{below}/pulls", answers.open_pull, methods=["POST"]),
        Route(pull, answers.pull, methods=["GET"]),
        Route(f"{pull}/commits", answers.pull_commits, methods=["GET"]),
        Route(f"{pull}/reviews", answers.reviews, methods=["GET"]),
        Route(f"{pull}/reviews", answers.add_review, methods=["POST"]),
        Route(f"{pull}/merge", answers.is_merged, methods=["GET"]),
        Route(f"{pull}/merge", answers.merge, methods=["PUT"]),
        Route(f"{pull}/requested_reviewers", answers.request_reviewers, methods=["POST"]),
        Route(f"{below}/issues/{{number:int}}/labels", answers.add_labels, methods=["POST"]),
        Route(f"{commit}/pulls", answers.commit_pulls, methods=["GET"]),
        Route(f"{commit}/check-runs", answers.check_runs, methods=["GET"]),
        Route(f"{commit}/status", answers.status, methods=["GET"]),
        Route(f"{below}/branches/{{branch:path}}", answers.branch, methods=["GET"]),
        Route(f"{below}/compare/{{basehead:path}}", answers.compare, methods=["GET"]),
    ]


class _Answers:
    """One method an address."""

    def __init__(self, github: Github) -> None:
        self._github = github
        self._git = github.repository

    async def nothing(self, request: Request) -> Response:
        """What the door answers itself."""
        raise Refusal(404, "Not Found")

    async def repository(self, request: Request) -> Response:
        return JSONResponse(self._shapes(request).repository())

    async def pulls(self, request: Request) -> Response:
        state = self._state()
        wanted = request.query_params
        kind = wanted.get("state", "open")
        if kind not in ("open", "closed", "all"):
            raise Refusal(422, "Validation Failed", field="state")
        found = []
        for pull in sorted(state.pulls.values(), key=lambda one: -one.number):
            head = wanted.get("head", "").rpartition(":")[2]
            if (
                kind in ("all", "open" if pull.open else "closed")
                and wanted.get("base", pull.base) == pull.base
                and head in ("", pull.head)
            ):
                await self._github.see(pull)
                found.append(pull)
        shapes = self._shapes(request, state)
        return _page(request, [shapes.pull_simple(pull) for pull in found])

    async def open_pull(self, request: Request) -> Response:
        told = await _body(request)
        try:
            pull = await self._github.open(
                author=request.state.login, title=str(told.get("title") or ""), head=str(told["head"]),
                base=str(told["base"]), body=str(told.get("body") or ""), draft=bool(told.get("draft")),
            )  # fmt: skip
        except KeyError as missing:
            raise Refusal(422, "Validation Failed", field=str(missing.args[0])) from None
        return JSONResponse(await self._whole(request, pull), status_code=201)

    async def pull(self, request: Request) -> Response:
        pull = self._pull(request)
        await self._github.see(pull)
        return JSONResponse(await self._whole(request, pull))

    async def pull_commits(self, request: Request) -> Response:
        pull = self._pull(request)
        await self._github.see(pull)
        hashes = await self._github.commits_of(pull)
        known = {one.sha: one for one in await self._git.commits(*hashes, walk=False)} if hashes else {}
        shapes = self._shapes(request)
        return _page(request, [shapes.commit(known[sha]) for sha in hashes if sha in known])

    async def reviews(self, request: Request) -> Response:
        pull = self._pull(request)
        shapes = self._shapes(request)
        return _page(request, [shapes.review(pull, review) for review in pull.reviews])

    async def add_review(self, request: Request) -> Response:
        told = await _body(request)
        number = request.path_params["number"]
        review = await self._github.review(
            number, author=request.state.login, event=str(told.get("event") or ""),
            body=str(told.get("body") or ""), commit=str(told.get("commit_id") or ""),
        )  # fmt: skip
        state = self._state()
        return JSONResponse(self._shapes(request, state).review(state.pulls[number], review))

    async def is_merged(self, request: Request) -> Response:
        if self._pull(request).merged_at is None:
            raise Refusal(404, "Not Found")
        return Response(status_code=204)

    async def merge(self, request: Request) -> Response:
        told = await _body(request)
        made = await self._github.merge(
            request.path_params["number"], author=request.state.login, sha=str(told.get("sha") or ""),
            method=str(told.get("merge_method") or "merge"), title=str(told.get("commit_title") or ""),
            message=str(told.get("commit_message") or ""),
        )  # fmt: skip
        return JSONResponse({"sha": made, "merged": True, "message": "Pull Request successfully merged"})

    async def request_reviewers(self, request: Request) -> Response:
        told = await _body(request)
        logins = [str(one) for one in told.get("reviewers") or ()]
        pull = await self._github.request_reviewers(request.path_params["number"], logins)
        return JSONResponse(self._shapes(request).pull_simple(pull), status_code=201)

    async def add_labels(self, request: Request) -> Response:
        told = await _body(request)
        labels = [str(one["name"] if isinstance(one, dict) else one) for one in told.get("labels") or ()]
        with self._github.store.change() as state:
            pull = self._github.pull_of(state, request.path_params["number"])
            pull.labels = list(dict.fromkeys((*pull.labels, *labels)))
        shapes = self._shapes(request)
        return JSONResponse([shapes.label(name) for name in pull.labels])

    async def commit_pulls(self, request: Request) -> Response:
        """Those that were merged with the commit, and the open ones that would bring it."""
        sha = await self._commit(request)
        state = self._state()
        found = []
        for pull in sorted(state.pulls.values(), key=lambda one: one.number):
            if not pull.open and pull.merged_at is None:
                continue
            await self._github.see(pull)
            if sha == pull.merge_commit or sha in await self._github.commits_of(pull):
                found.append(pull)
        shapes = self._shapes(request, state)
        return _page(request, [shapes.pull_simple(pull) for pull in found])

    async def check_runs(self, request: Request) -> Response:
        sha = await self._commit(request)
        state = self._state()
        return JSONResponse(
            self._shapes(request, state).check_runs(run for run in state.checks if run.sha == sha)
        )

    async def status(self, request: Request) -> Response:
        sha = await self._commit(request)
        return JSONResponse(self._shapes(request).combined_status(sha))

    async def branch(self, request: Request) -> Response:
        name = request.path_params["branch"]
        sha = await self._git.resolve(f"refs/heads/{name}")
        if sha is None:
            raise Refusal(404, "Branch not found")
        (commit,) = await self._git.commits(sha, limit=1)
        return JSONResponse(self._shapes(request).branch(name, commit))

    async def compare(self, request: Request) -> Response:
        names = request.path_params["basehead"].split("...")
        hashes = [await self._git.resolve(name) for name in names]
        base, head = hashes if len(hashes) == 2 else (None, None)
        parted = await self._git.merge_base(base, head) if base and head else None
        if base is None or head is None or parted is None:
            raise Refusal(404, "Not Found")
        commits = await self._git.between(base, head)
        size, page = _size(request, _COMPARED), _number(request)
        files = (await self._git.files(parted, head))[:_FILES] if page == 1 else []
        (base_commit,), (parted_commit,) = (
            await self._git.commits(base, limit=1), await self._git.commits(parted, limit=1),
        )  # fmt: skip
        body = self._shapes(request).comparison(
            base_commit, parted_commit, head, await self._git.count(base, head),
            commits[(page - 1) * size : page * size], files,
        )  # fmt: skip
        return JSONResponse(body, headers=_links(request, len(commits), size, page))

    def _state(self) -> State:
        return self._github.store.read()

    def _shapes(self, request: Request, state: State | None = None) -> Shapes:
        return Shapes(str(request.base_url).rstrip("/"), state or self._state())

    def _pull(self, request: Request) -> Pull:
        return self._github.pull_of(self._state(), request.path_params["number"])

    async def _commit(self, request: Request) -> str:
        ref = request.path_params["ref"]
        sha = await self._git.resolve(ref)
        if sha is None:
            raise Refusal(422, f"No commit found for SHA: {ref}")
        return sha

    async def _whole(self, request: Request, pull: Pull) -> dict[str, Any]:
        commits = await self._github.commits_of(pull)
        if pull.merge_commit is None:
            head, parted = pull.head_sha, await self._git.merge_base(pull.base_sha, pull.head_sha)
        else:
            head, parted = pull.merge_commit, await self._git.resolve(f"{pull.merge_commit}^1")
        files = await self._git.files(parted, head) if parted else []
        mergeable = None
        if pull.open:
            mergeable = await self._git.merges_cleanly(pull.base_sha, pull.head_sha) is not None
        return self._shapes(request).pull(pull, len(commits), files, mergeable)


def error_body(status: int, message: str) -> dict[str, Any]:
    """What GitHub says of an error."""
    return {"message": message, "documentation_url": _DOCUMENTATION, "status": str(status)}


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        return JSONResponse(error_body(500, f"Server Error: {error}"), status_code=500)
    body = error_body(error.status, error.message)
    if error.field:
        body["errors"] = [{"resource": error.resource, "field": error.field, "code": "invalid"}]
    return JSONResponse(body, status_code=error.status)


async def _nothing_there(request: Request, error: Exception) -> Response:
    return JSONResponse(error_body(404, "Not Found"), status_code=404)


async def _body(request: Request) -> dict[str, Any]:
    data = await request.body()
    try:
        told = json.loads(data) if data else {}
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None
    if not isinstance(told, dict):
        raise Refusal(400, "Body should be a JSON object")
    return told


def _page(request: Request, items: list[Any]) -> Response:
    size, page = _size(request, 30), _number(request)
    part = items[(page - 1) * size : page * size]
    return JSONResponse(part, headers=_links(request, len(items), size, page))


def _size(request: Request, usual: int) -> int:
    asked = request.query_params.get("per_page", "")
    return min(int(asked), _MOST) if asked.isdigit() and int(asked) else usual


def _number(request: Request) -> int:
    asked = request.query_params.get("page", "")
    return max(1, int(asked)) if asked.isdigit() else 1


def _links(request: Request, total: int, size: int, page: int) -> dict[str, str]:
    last = max(1, -(-total // size))
    places = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    told = []
    for name, number in places.items():
        if 1 <= number <= last and number != page:
            query = urlencode({**request.query_params, "page": number})
            told.append(f'<{request.url.replace(query=query)}>; rel="{name}"')
    return {"link": ", ".join(told)} if told else {}
