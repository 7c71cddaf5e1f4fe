"""Commits, branches and the repository as a whole, and the checks of a commit."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.asking import BELOW, Answers, links_of, number_of, page_of, size_of
from muva_console.drill.github.protection import protected
from muva_console.drill.github.shapes_actions import action_shapes

_COMPARED = 250
_FILES = 300
_ERROR = "##[error]"
_ANNOTATIONS = 10
"""As many as GitHub keeps of a step (docs.github.com, "Usage limits")."""


class CommitAnswers(Answers):
    """Below ``/commits``, ``/branches``, ``/compare`` and ``/check-runs``."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        commit = BELOW + "/commits/{ref:path}"
        return [
            Route(BELOW, self.repository, methods=["GET"]),
            Route(f"{commit}/pulls", self.commit_pulls, methods=["GET"]),
            Route(f"{commit}/check-runs", self.check_runs, methods=["GET"]),
            Route(f"{commit}/status", self.status, methods=["GET"]),
            Route(f"{BELOW}/check-runs/{{id:int}}/annotations", self.annotations, methods=["GET"]),
            Route(f"{BELOW}/branches/{{branch:path}}", self.branch, methods=["GET"]),
            Route(f"{BELOW}/compare/{{basehead:path}}", self.compare, methods=["GET"]),
        ]

    async def commit_pulls(self, request: Request) -> Response:
        """Those that were merged with the commit, and the open ones that would bring it."""
        sha = await self.commit(request.path_params["ref"])
        state = self.state()
        found = []
        for pull in sorted(state.pulls.values(), key=lambda one: one.number):
            if not pull.open and pull.merged_at is None:
                continue
            await self.github.see(pull)
            if sha == pull.merge_commit or sha in await self.github.commits_of(pull):
                found.append(pull)
        shapes = self.shapes(request, state)
        return page_of(request, [shapes.pull_simple(pull) for pull in found])

    async def check_runs(self, request: Request) -> Response:
        """The jobs of the commit's runs, each of the latest attempt, and what the drill has seeded."""
        sha = await self.commit(request.path_params["ref"])
        state = self.state()
        shapes = action_shapes(str(request.base_url).rstrip("/"), state)
        found = [
            shapes.check_run(run, job) for run in self.hub.runs.list() if run.sha == sha for job in run.jobs
        ]
        seeded = self.shapes(request, state)
        found += [seeded.check_run(one) for one in state.checks if one.sha == sha]
        name = request.query_params.get("check_name")
        return page_of(request, [one for one in found if name in (None, one["name"])], "check_runs")

    async def annotations(self, request: Request) -> Response:
        """What a job's log marks as an error, as GitHub shows it beside the job."""
        found = self.hub.runs.find_job(request.path_params["id"])
        if found is None:
            raise Refusal(404, "Not Found")
        _, job, _ = found
        log = self.hub.runs.log(job.id)
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        told = [line.partition(_ERROR)[2].strip() for line in lines if _ERROR in line]
        return page_of(request, [
            {
                "path": ".github", "blob_href": "", "start_line": 1, "start_column": None, "end_line": 1,
                "end_column": None, "annotation_level": "failure", "title": "", "message": message,
                "raw_details": "",
            }
            for message in told[:_ANNOTATIONS]
        ])  # fmt: skip

    async def status(self, request: Request) -> Response:
        """``GET /commits/{ref}/status``."""
        sha = await self.commit(request.path_params["ref"])
        return JSONResponse(self.shapes(request).combined_status(sha))

    async def branch(self, request: Request) -> Response:
        """``GET /branches/{branch}``."""
        name = request.path_params["branch"]
        sha = await self.git.resolve(f"refs/heads/{name}")
        if sha is None:
            raise Refusal(404, "Branch not found")
        (commit,) = await self.git.commits(sha, limit=1)
        return JSONResponse(
            self.shapes(request).branch(name, commit, protected=name in protected(self.hub.estate.repository))
        )

    async def compare(self, request: Request) -> Response:
        """``GET /compare/{basehead}``."""
        names = request.path_params["basehead"].split("...")
        hashes = [await self.git.resolve(name) for name in names]
        base, head = hashes if len(hashes) == 2 else (None, None)
        parted = await self.git.merge_base(base, head) if base and head else None
        if base is None or head is None or parted is None:
            raise Refusal(404, "Not Found")
        commits = await self.git.between(base, head)
        size, page = size_of(request, _COMPARED), number_of(request)
        files = (await self.git.files(parted, head))[:_FILES] if page == 1 else []
        (base_commit,), (parted_commit,) = (
            await self.git.commits(base, limit=1), await self.git.commits(parted, limit=1),
        )  # fmt: skip
        body = self.shapes(request).comparison(
            base_commit, parted_commit, head, await self.git.count(base, head),
            commits[(page - 1) * size : page * size], files,
        )  # fmt: skip
        return JSONResponse(body, headers=links_of(request, len(commits), size, page))

    async def repository(self, request: Request) -> Response:
        """``GET BELOW``."""
        return JSONResponse(self.shapes(request).repository())
