"""Issues, comments, labels, and the people: who the token is of, who may be asked for a review."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github import shapes_releases as bodies
from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.asking import BELOW, Answers, body_of, page_of
from muva_console.drill.github.records import PEOPLE, READER, Comment, Issue, Pull, State, now

_STATES = ("open", "closed", "all")


class IssueAnswers(Answers):
    """A pull request answers as an issue too, for its labels and comments are an issue's."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        one = f"{BELOW}/issues/{{number:int}}"
        return [
            Route("/user", self.me, methods=["GET"]),
            Route(f"{BELOW}/collaborators", self.collaborators, methods=["GET"]),
            Route(f"{BELOW}/collaborators/{{login}}", self.collaborator, methods=["GET"]),
            Route(f"{BELOW}/labels", self.all_labels, methods=["GET"]),
            Route(f"{BELOW}/issues", self.issues, methods=["GET"]),
            Route(one, self.issue, methods=["GET"]),
            Route(one, self.change, methods=["PATCH"]),
            Route(f"{one}/comments", self.comments, methods=["GET"]),
            Route(f"{one}/comments", self.say, methods=["POST"]),
            Route(f"{one}/labels", self.labels, methods=["GET"]),
            Route(f"{one}/labels", self.add_labels, methods=["POST"]),
            Route(f"{one}/labels/{{name:path}}", self.remove_label, methods=["DELETE"]),
        ]

    async def me(self, request: Request) -> Response:
        """``GET /user``."""
        return JSONResponse(bodies.me(self.shapes(request), request.state.login))

    async def collaborators(self, request: Request) -> Response:
        """``GET /collaborators``."""
        shapes = self.shapes(request)
        return page_of(request, [shapes.user(login) for login in (*PEOPLE, READER)])

    async def collaborator(self, request: Request) -> Response:
        """204, or 404 for who is none."""
        if request.path_params["login"] not in (*PEOPLE, READER):
            raise Refusal(404, "Not Found")
        return Response(status_code=204)

    async def all_labels(self, request: Request) -> Response:
        """``GET /labels``."""
        state = self.state()
        both: list[Issue | Pull] = [*state.pulls.values(), *state.issues.values()]
        names = {name for one in both for name in one.labels}
        return page_of(request, [self.shapes(request, state).label(name) for name in sorted(names)])

    async def issues(self, request: Request) -> Response:
        """Issues and pull requests, the newest first."""
        state, wanted = self.state(), request.query_params.get("state", "open")
        if wanted not in _STATES:
            raise Refusal(422, "Validation Failed", resource="Issue", field="state")
        both: dict[int, Issue | Pull] = {**state.pulls, **state.issues}
        return page_of(request, [
            self._body(request, state, both[number])
            for number in sorted(both, reverse=True)
            if wanted in ("all", "open" if both[number].open else "closed")
        ])  # fmt: skip

    async def issue(self, request: Request) -> Response:
        """``GET /issues/{number}``."""
        state = self.state()
        return JSONResponse(self._body(request, state, _find(state, request)))

    async def change(self, request: Request) -> Response:
        """Close, open again, name anew. Closing what is closed already changes nothing."""
        told = await body_of(request)
        wanted = told.get("state")
        if wanted not in (None, "open", "closed"):
            raise Refusal(422, "Validation Failed", resource="Issue", field="state")
        with self.store.change() as state:
            one = _find(state, request)
            if isinstance(told.get("title"), str) and told["title"].strip():
                one.title = told["title"]
            if isinstance(told.get("body"), str):
                one.body = told["body"]
            if wanted == "closed" and one.open:
                one.closed_at = now()
                if isinstance(one, Issue):
                    one.closed_by = request.state.login
                    one.reason = str(told.get("state_reason") or "completed")
            elif wanted == "open" and not one.open:
                if isinstance(one, Pull) and one.merged_at is not None:
                    raise Refusal(422, "Validation Failed", resource="Issue", field="state")
                one.closed_at = None
                if isinstance(one, Issue):
                    one.closed_by, one.reason = None, "reopened"
            one.updated_at = now()
        return JSONResponse(self._body(request, state, one))

    async def comments(self, request: Request) -> Response:
        """``GET /issues/{number}/comments``."""
        state = self.state()
        number = _find(state, request).number
        shapes = self.shapes(request, state)
        return page_of(
            request, [bodies.comment(shapes, number, one) for one in state.comments.get(number, [])]
        )

    async def say(self, request: Request) -> Response:
        """``POST /issues/{number}/comments``."""
        told = await body_of(request)
        text = told.get("body")
        if not isinstance(text, str) or not text.strip():
            raise Refusal(
                422, "Validation Failed", resource="IssueComment", field="body", code="missing_field"
            )
        with self.store.change() as state:
            one = _find(state, request)
            made = Comment(id=state.new_id(), author=request.state.login, body=text, at=now())
            state.comments.setdefault(one.number, []).append(made)
            one.updated_at = now()
            if isinstance(one, Issue):
                one.comments += 1
        return JSONResponse(bodies.comment(self.shapes(request, state), one.number, made), status_code=201)

    async def labels(self, request: Request) -> Response:
        """``GET /issues/{number}/labels``."""
        state = self.state()
        return page_of(request, self._labels(request, state, _find(state, request)))

    async def add_labels(self, request: Request) -> Response:
        """``POST /issues/{number}/labels``."""
        told = await body_of(request)
        labels = [str(one["name"] if isinstance(one, dict) else one) for one in told.get("labels") or ()]
        with self.store.change() as state:
            one = _find(state, request)
            one.labels = list(dict.fromkeys((*one.labels, *labels)))
        return JSONResponse(self._labels(request, state, one))

    async def remove_label(self, request: Request) -> Response:
        """``DELETE /issues/{number}/labels/{name}``."""
        with self.store.change() as state:
            one = _find(state, request)
            if request.path_params["name"] not in one.labels:
                raise Refusal(404, "Label does not exist")
            one.labels.remove(request.path_params["name"])
        return JSONResponse(self._labels(request, state, one))

    def _labels(self, request: Request, state: State, one: Issue | Pull) -> list[dict[str, Any]]:
        return [self.shapes(request, state).label(name) for name in one.labels]

    def _body(self, request: Request, state: State, one: Issue | Pull) -> dict[str, Any]:
        shapes = self.shapes(request, state)
        if isinstance(one, Issue):
            return bodies.issue(shapes, one)
        return bodies.pull_as_issue(shapes, one, len(state.comments.get(one.number, ())))


def _find(state: State, request: Request) -> Issue | Pull:
    number = request.path_params["number"]
    found = state.issues.get(number) or state.pulls.get(number)
    if found is None:
        raise Refusal(404, "Not Found")
    return found
