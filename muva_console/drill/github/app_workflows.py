"""Workflows: which there are, their runs, and starting one by hand."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.app_actions import ActionAnswers
from muva_console.drill.github.asking import BELOW, body_of, page_of
from muva_console.drill.github.shapes_actions import action_shapes, workflow_id

_FOLDER = ".github/workflows"
_BRANCHES = ("main", "staging", "dev")
"""Where a workflow's file is looked for, the default branch first."""
_NAME = re.compile(r"^name:\s*(['\"]?)(.+?)\1\s*$", re.MULTILINE)
_BY_HAND = re.compile(r"^\s*(?:on:.*\b)?workflow_dispatch\b", re.MULTILINE)
_INPUTS = re.compile(r"^( +)workflow_dispatch:\s*\n\1( +)inputs:\s*\n((?:\1\2 +.*\n|\s*\n)*)", re.MULTILINE)


class _Workflow(Struct, frozen=True):
    file: str
    name: str
    there: bool


class WorkflowAnswers(ActionAnswers):
    """Below ``/actions/workflows``."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        one = f"{BELOW}/actions/workflows/{{workflow}}"
        return [
            Route(f"{BELOW}/actions/workflows", self.workflows, methods=["GET"]),
            Route(one, self.workflow, methods=["GET"]),
            Route(f"{one}/runs", self.workflow_runs, methods=["GET"]),
            Route(f"{one}/dispatches", self.dispatch, methods=["POST"]),
        ]

    async def workflows(self, request: Request) -> Response:
        """``GET /actions/workflows``."""
        shapes = action_shapes(str(request.base_url).rstrip("/"), self.state())
        found = [shapes.workflow(one.file, one.name, there=one.there) for one in await self._known()]
        return page_of(request, found, "workflows")

    async def workflow(self, request: Request) -> Response:
        """``GET /actions/workflows/{workflow}``."""
        found = await self._workflow(request)
        shapes = action_shapes(str(request.base_url).rstrip("/"), self.state())
        return JSONResponse(shapes.workflow(found.file, found.name, there=found.there))

    async def workflow_runs(self, request: Request) -> Response:
        """``GET /actions/workflows/{workflow}/runs``."""
        found = await self._workflow(request)
        return await self.some_runs(
            request, [run for run in self.hub.runs.list() if run.workflow == found.file]
        )

    async def dispatch(self, request: Request) -> Response:
        """Start a run by hand on a branch, where the file there allows that."""
        found = await self._workflow(request)
        told = await body_of(request)
        branch = str(told.get("ref") or "").removeprefix("refs/heads/")
        sha = await self.git.resolve(f"refs/heads/{branch}") if branch else None
        if sha is None:
            raise Refusal(422, f"No ref found for: {branch}")
        text = await self._file(sha, found.file)
        if text is None or not _BY_HAND.search(text):
            raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
        inputs = told.get("inputs") or {}
        if not isinstance(inputs, dict):
            raise Refusal(422, "Invalid request.")
        unexpected = sorted(set(inputs) - set(_inputs(text)))
        if unexpected:
            raise Refusal(422, f"Unexpected inputs provided: {unexpected!r}".replace("'", '"'))
        name = _name(text, found.file)
        run = self.hub.runs.new(
            workflow=found.file, name=name, branch=branch, sha=sha, event="workflow_dispatch", title=name,
            actor=request.state.login,
            inputs={str(key): _written(value) for key, value in inputs.items()},
            pulls=[pull.number for pull in self.state().pulls.values() if pull.open and pull.head == branch],
        )  # fmt: skip
        if not told.get("return_run_details"):
            return Response(status_code=204)
        body = action_shapes(str(request.base_url).rstrip("/"), self.state()).run(run, None)
        details = {"workflow_run_id": run.id, "run_url": body["url"], "html_url": body["html_url"]}
        return JSONResponse(details)

    async def _known(self) -> list[_Workflow]:
        """Those of the branches' files, and those that have run and whose file is gone, by file name."""
        found: dict[str, _Workflow] = {}
        for branch in _BRANCHES:
            if await self.git.resolve(f"refs/heads/{branch}") is None:
                continue
            listed = await self.git.git("ls-tree", "--name-only", f"refs/heads/{branch}", f"{_FOLDER}/")
            for path in listed.splitlines():
                file = path.rpartition("/")[2]
                if file.endswith((".yml", ".yaml")) and file not in found:
                    text = await self._file(f"refs/heads/{branch}", file) or ""
                    found[file] = _Workflow(file, _name(text, file), True)
        for run in self.hub.runs.list():
            found.setdefault(run.workflow, _Workflow(run.workflow, run.name, False))
        return [found[file] for file in sorted(found)]

    async def _workflow(self, request: Request) -> _Workflow:
        """By its id, or by its file's name while the file is there. Raises Refusal(404)."""
        asked = request.path_params["workflow"]
        for one in await self._known():
            if asked == str(workflow_id(one.file)) or (one.there and asked == one.file):
                return one
        raise Refusal(404, "Not Found")

    async def _file(self, revision: str, file: str) -> str | None:
        path = f"{revision}:{_FOLDER}/{file}"
        if not (await self.git.git("rev-parse", "--verify", "--quiet", path, check=False)).strip():
            return None
        return await self.git.git("show", path)


def _name(text: str, file: str) -> str:
    told = _NAME.search(text)
    return told[2] if told else f"{_FOLDER}/{file}"


def _inputs(text: str) -> list[str]:
    """The inputs that a workflow's file declares, as block YAML."""
    told = _INPUTS.search(text)
    if told is None:
        return []
    lines = [line for line in told[3].splitlines() if line.strip()]
    depth = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return [line.strip().partition(":")[0].strip("'\"") for line in lines if line[: depth + 1].strip()]


def _written(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
