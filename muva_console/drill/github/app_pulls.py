"""Pull requests: opened, reviewed, merged, and the commits they bring."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.asking import BELOW, Answers, body_of, page_of
from muva_console.drill.github.records import Pull, now


class PullAnswers(Answers):
    """Below ``/pulls``."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        pull = BELOW + "/pulls/{number:int}"
        return [
            Route(f"{BELOW}/pulls", self.pulls, methods=["GET"]),
            Route(f"{BELOW}/pulls", self.open_pull, methods=["POST"]),
            Route(pull, self.pull, methods=["GET"]),
            Route(pull, self.change, methods=["PATCH"]),
            Route(f"{pull}/commits", self.pull_commits, methods=["GET"]),
            Route(f"{pull}/reviews", self.reviews, methods=["GET"]),
            Route(f"{pull}/reviews", self.add_review, methods=["POST"]),
            Route(f"{pull}/merge", self.is_merged, methods=["GET"]),
            Route(f"{pull}/merge", self.merge, methods=["PUT"]),
            Route(f"{pull}/requested_reviewers", self.request_reviewers, methods=["POST"]),
        ]

    async def pulls(self, request: Request) -> Response:
        """``GET /pulls``."""
        state = self.state()
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
                await self.github.see(pull)
                found.append(pull)
        shapes = self.shapes(request, state)
        return page_of(request, [shapes.pull_simple(pull) for pull in found])

    async def open_pull(self, request: Request) -> Response:
        """``POST /pulls``."""
        told = await body_of(request)
        try:
            pull = await self.github.open(
                author=request.state.login, title=str(told.get("title") or ""), head=str(told["head"]),
                base=str(told["base"]), body=str(told.get("body") or ""), draft=bool(told.get("draft")),
            )  # fmt: skip
        except KeyError as missing:
            raise Refusal(422, "Validation Failed", field=str(missing.args[0])) from None
        return JSONResponse(await self._whole(request, pull), status_code=201)

    async def pull(self, request: Request) -> Response:
        """``GET /pulls/{number}``."""
        pull = self._pull(request)
        await self.github.see(pull)
        return JSONResponse(await self._whole(request, pull))

    async def pull_commits(self, request: Request) -> Response:
        """``GET /pulls/{number}/commits``."""
        pull = self._pull(request)
        await self.github.see(pull)
        hashes = await self.github.commits_of(pull)
        known = {one.sha: one for one in await self.git.commits(*hashes, walk=False)} if hashes else {}
        shapes = self.shapes(request)
        return page_of(request, [shapes.commit(known[sha]) for sha in hashes if sha in known])

    async def reviews(self, request: Request) -> Response:
        """``GET /pulls/{number}/reviews``."""
        pull = self._pull(request)
        shapes = self.shapes(request)
        return page_of(request, [shapes.review(pull, review) for review in pull.reviews])

    async def add_review(self, request: Request) -> Response:
        """``POST /pulls/{number}/reviews``."""
        told = await body_of(request)
        number = request.path_params["number"]
        review = await self.github.review(
            number, author=request.state.login, event=str(told.get("event") or ""),
            body=str(told.get("body") or ""), commit=str(told.get("commit_id") or ""),
        )  # fmt: skip
        state = self.state()
        return JSONResponse(self.shapes(request, state).review(state.pulls[number], review))

    async def is_merged(self, request: Request) -> Response:
        """``GET /pulls/{number}/merge``."""
        if self._pull(request).merged_at is None:
            raise Refusal(404, "Not Found")
        return Response(status_code=204)

    async def merge(self, request: Request) -> Response:
        """``PUT /pulls/{number}/merge``."""
        told = await body_of(request)
        made = await self.github.merge(
            request.path_params["number"], author=request.state.login, sha=str(told.get("sha") or ""),
            method=str(told.get("merge_method") or "merge"), title=str(told.get("commit_title") or ""),
            message=str(told.get("commit_message") or ""),
        )  # fmt: skip
        return JSONResponse({"sha": made, "merged": True, "message": "Pull Request successfully merged"})

    async def request_reviewers(self, request: Request) -> Response:
        """``POST /pulls/{number}/requested_reviewers``."""
        told = await body_of(request)
        logins = [str(one) for one in told.get("reviewers") or ()]
        pull = await self.github.request_reviewers(request.path_params["number"], logins)
        return JSONResponse(self.shapes(request).pull_simple(pull), status_code=201)

    async def change(self, request: Request) -> Response:
        """Another title or body, or closed without being merged."""
        told = await body_of(request)
        with self.store.change() as state:
            pull = self.github.pull_of(state, request.path_params["number"])
            if isinstance(told.get("title"), str) and told["title"].strip():
                pull.title = told["title"]
            if isinstance(told.get("body"), str):
                pull.body = told["body"]
            if told.get("state") == "closed" and pull.open:
                pull.closed_at = now()
            elif told.get("state") == "open" and not pull.open:
                if pull.merged_at is not None:
                    raise Refusal(422, "Validation Failed", field="state")
                pull.closed_at = None
            pull.updated_at = now()
        await self.github.see(pull)
        return JSONResponse(await self._whole(request, pull))

    def _ponders(self) -> bool:
        """Whether it is not said yet, as it is on GitHub for a while after each push."""
        if not self.state().trouble.pondering:
            return False
        with self.store.change() as state:
            state.trouble.pondering -= 1
        return True

    def _pull(self, request: Request) -> Pull:
        return self.github.pull_of(self.state(), request.path_params["number"])

    async def _whole(self, request: Request, pull: Pull) -> dict[str, Any]:
        commits = await self.github.commits_of(pull)
        if pull.merge_commit is None:
            head, parted = pull.head_sha, await self.git.merge_base(pull.base_sha, pull.head_sha)
        else:
            head, parted = pull.merge_commit, await self.git.resolve(f"{pull.merge_commit}^1")
        files = await self.git.files(parted, head) if parted else []
        mergeable = None
        if pull.open and not self._ponders():
            mergeable = await self.git.merges_cleanly(pull.base_sha, pull.head_sha) is not None
        return self.shapes(request).pull(pull, len(commits), files, mergeable)
