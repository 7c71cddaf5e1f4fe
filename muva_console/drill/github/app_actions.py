"""Runs, jobs, logs and artifacts: read from the runner's records; rerun and cancel are asked of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.asking import BELOW, Answers, links_of, number_of, page_of, size_of
from muva_console.drill.github.gitdata import Commit
from muva_console.drill.github.runs import Artifact, Job, Refused, Run, now
from muva_console.drill.github.shapes_actions import ActionShapes, action_shapes, suite_id

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FAILED = frozenset({"failure", "cancelled", "timed_out"})


class ActionAnswers(Answers):
    """Below ``/actions``; what has an id and is not there is 404."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        run, job = f"{BELOW}/actions/runs/{{run:int}}", f"{BELOW}/actions/jobs/{{job:int}}"
        return [
            Route(f"{BELOW}/actions/runs", self.runs, methods=["GET"]),
            Route(run, self.run, methods=["GET"]),
            Route(f"{run}/attempts/{{attempt:int}}", self.attempt, methods=["GET"]),
            Route(f"{run}/jobs", self.jobs, methods=["GET"]),
            Route(f"{run}/attempts/{{attempt:int}}/jobs", self.attempt_jobs, methods=["GET"]),
            Route(f"{run}/logs", self.run_logs, methods=["GET"]),
            Route(f"{run}/artifacts", self.artifacts, methods=["GET"]),
            Route(f"{run}/rerun", self.rerun, methods=["POST"]),
            Route(f"{run}/rerun-failed-jobs", self.rerun_failed, methods=["POST"]),
            Route(f"{run}/cancel", self.cancel, methods=["POST"]),
            Route(f"{run}/force-cancel", self.force_cancel, methods=["POST"]),
            Route(job, self.job, methods=["GET"]),
            Route(f"{job}/logs", self.job_logs, methods=["GET"]),
            Route(f"{job}/rerun", self.rerun_job, methods=["POST"]),
            Route(f"{BELOW}/actions/artifacts", self.all_artifacts, methods=["GET"]),
            Route(f"{BELOW}/actions/artifacts/{{artifact:int}}", self.artifact, methods=["GET"]),
            Route(f"{BELOW}/actions/artifacts/{{artifact:int}}/{{kind}}", self.download, methods=["GET"]),
        ]

    async def runs(self, request: Request) -> Response:
        """Every run, the newest first, as the question narrows them."""
        return await self.some_runs(request, self.hub.runs.list())

    async def some_runs(self, request: Request, runs: list[Run]) -> Response:
        """A page of runs of which the question is held against each."""
        fits = _filter(request)
        found = [run for run in runs if fits(run)]
        size, page = size_of(request, 30), number_of(request)
        part = found[(page - 1) * size : page * size]
        hashes = list(dict.fromkeys(run.sha for run in part))
        commits = {sha: await self._head(sha) for sha in hashes}
        shapes = self._bodies(request)
        body = {
            "total_count": len(found),
            "workflow_runs": [shapes.run(run, commits[run.sha]) for run in part],
        }
        return JSONResponse(body, headers=links_of(request, len(found), size, page))

    async def run(self, request: Request) -> Response:
        """``GET run``."""
        run = self._run(request)
        return JSONResponse(self._bodies(request).run(run, await self._head(run.sha)))

    async def attempt(self, request: Request) -> Response:
        """``GET {run}/attempts/{attempt}``."""
        run = self._run(request)
        number = request.path_params["attempt"]
        _jobs(run, number)
        return JSONResponse(self._bodies(request).run(run, await self._head(run.sha), number))

    async def jobs(self, request: Request) -> Response:
        """Of the latest attempt, or with ``filter=all`` of every one, the newest first."""
        run = self._run(request)
        pairs = [(run.attempt, job) for job in run.jobs]
        if request.query_params.get("filter") == "all":
            pairs += [(past.number, job) for past in run.earlier[::-1] for job in past.jobs]
        shapes = self._bodies(request)
        return page_of(request, [shapes.job(run, job, number) for number, job in pairs], "jobs")

    async def attempt_jobs(self, request: Request) -> Response:
        """``GET {run}/attempts/{attempt}/jobs``."""
        run = self._run(request)
        number = request.path_params["attempt"]
        shapes = self._bodies(request)
        return page_of(request, [shapes.job(run, job, number) for job in _jobs(run, number)], "jobs")

    async def job(self, request: Request) -> Response:
        """``GET job``."""
        run, job, number = self._job(request)
        return JSONResponse(self._bodies(request).job(run, job, number))

    async def job_logs(self, request: Request) -> Response:
        """A link, as soon as the job has ended; a job that never began has no log at all."""
        _, job, _ = self._job(request)
        if job.status != "completed" or not self.hub.runs.log(job.id).is_file():
            raise Refusal(404, "Not Found")
        return RedirectResponse(self.hub.blobs.link(f"logs/{job.id}"), status_code=302)

    async def run_logs(self, request: Request) -> Response:
        """A link to the zip, once the run has ended."""
        run = self._run(request)
        if not run.finished or not any(self.hub.runs.log(job.id).is_file() for job in run.jobs):
            raise Refusal(404, "Not Found")
        return RedirectResponse(self.hub.blobs.link(f"runs/{run.id}/{run.attempt}"), status_code=302)

    async def artifacts(self, request: Request) -> Response:
        """``GET {run}/artifacts``."""
        run = self._run(request)
        return self._artifacts(request, [(run, one) for one in run.artifacts])

    async def all_artifacts(self, request: Request) -> Response:
        """``GET /actions/artifacts``."""
        found = [(run, one) for run in self.hub.runs.list() for one in run.artifacts]
        return self._artifacts(request, sorted(found, key=lambda pair: -pair[1].id))

    async def artifact(self, request: Request) -> Response:
        """``GET /actions/artifacts/{artifact}``."""
        run, artifact = self._artifact(request)
        return JSONResponse(self._bodies(request).artifact(run, artifact, expired=_expired(artifact)))

    async def download(self, request: Request) -> Response:
        """A link to an artifact's zip; 410 when its time is over."""
        _, artifact = self._artifact(request)
        if request.path_params["kind"] != "zip":
            raise Refusal(404, "Not Found")
        if _expired(artifact):
            raise Refusal(410, "Artifact has expired")
        return RedirectResponse(self.hub.blobs.link(f"artifacts/{artifact.id}"), status_code=302)

    async def rerun(self, request: Request) -> Response:
        """``POST {run}/rerun``."""
        return self._again(self._run(request), request)

    async def rerun_failed(self, request: Request) -> Response:
        """``POST {run}/rerun-failed-jobs``."""
        run = self._run(request)
        if run.finished and not any(job.conclusion in _FAILED for job in run.jobs):
            raise Refusal(403, "The workflow run has no failed jobs")
        return self._again(run, request, failed_only=True)

    async def rerun_job(self, request: Request) -> Response:
        """That job and those that need it. A job that failed takes the other failed ones with it here."""
        run, job, _ = self._job(request)
        return self._again(run, request, failed_only=job.conclusion in _FAILED)

    async def cancel(self, request: Request) -> Response:
        """``POST {run}/cancel``."""
        return self._cancel(request)

    async def force_cancel(self, request: Request) -> Response:
        """``POST {run}/force-cancel``."""
        return self._cancel(request, force=True)

    def _again(self, run: Run, request: Request, *, failed_only: bool = False) -> Response:
        try:
            self.hub.runs.again(run.id, login=request.state.login, failed_only=failed_only)
        except Refused as error:
            raise Refusal(403, str(error)) from error
        return JSONResponse({}, status_code=201)

    def _cancel(self, request: Request, *, force: bool = False) -> Response:
        try:
            self.hub.runs.cancel(self._run(request).id, force=force)
        except Refused as error:
            raise Refusal(409, str(error)) from error
        return JSONResponse({}, status_code=202)

    def _artifacts(self, request: Request, found: list[tuple[Run, Artifact]]) -> Response:
        name = request.query_params.get("name")
        shapes = self._bodies(request)
        bodies = [
            shapes.artifact(run, one, expired=_expired(one))
            for run, one in found
            if name is None or one.name == name
        ]
        return page_of(request, bodies, "artifacts")

    def _bodies(self, request: Request) -> ActionShapes:
        return action_shapes(str(request.base_url).rstrip("/"), self.state())

    def _run(self, request: Request) -> Run:
        run = self.hub.runs.read(request.path_params["run"])
        if run is None:
            raise Refusal(404, "Not Found")
        return run

    def _job(self, request: Request) -> tuple[Run, Job, int]:
        found = self.hub.runs.find_job(request.path_params["job"])
        if found is None:
            raise Refusal(404, "Not Found")
        return found

    def _artifact(self, request: Request) -> tuple[Run, Artifact]:
        for run in self.hub.runs.list():
            for one in run.artifacts:
                if one.id == request.path_params["artifact"]:
                    return run, one
        raise Refusal(404, "Not Found")

    async def _head(self, sha: str) -> Commit | None:
        """A run's commit; None where it is gone since."""
        if await self.git.resolve(sha) is None:
            return None
        return (await self.git.commits(sha, limit=1))[0]


def _jobs(run: Run, attempt: int) -> list[Job]:
    try:
        return run.attempts(attempt)
    except KeyError:
        raise Refusal(404, "Not Found") from None


def _expired(artifact: Artifact) -> bool:
    return artifact.expired or artifact.expires_at <= now()


def _filter(request: Request) -> Callable[[Run], bool]:
    """What the question's parameters ask of a run."""
    asked = request.query_params
    created = _span(asked.get("created", ""))

    def fits(run: Run) -> bool:
        return (
            asked.get("branch", run.branch) == run.branch
            and asked.get("event", run.event) == run.event
            and asked.get("head_sha", run.sha) == run.sha
            and asked.get("actor", run.actor) == run.actor
            and asked.get("status", run.status) in (run.status, run.conclusion)
            and asked.get("check_suite_id", "") in ("", str(suite_id(run)))
            and created(run.created_at)
        )

    return fits


def _span(text: str) -> Callable[[datetime], bool]:
    """GitHub's search syntax for dates: ``>=D``, ``>D``, ``<=D``, ``<D``, ``D..D``, ``D``; ``*`` is open."""
    if not text:
        return lambda at: True
    if ".." in text:
        first, _, last = text.partition("..")
        after, before = _time(first), _time(last, end=True)
        return lambda at: (after is None or at >= after) and (before is None or at <= before)
    sign = re.match(r"[<>]=?", text)
    if sign is None:
        after, before = _time(text), _time(text, end=True)
        return lambda at: (after is None or at >= after) and (before is None or at <= before)
    limit = _time(text[sign.end() :], end=sign[0] in (">", "<="))
    if limit is None:
        return lambda at: True
    tests: dict[str, Callable[[datetime], bool]] = {
        ">": lambda at: at > limit, ">=": lambda at: at >= limit,
        "<": lambda at: at < limit, "<=": lambda at: at <= limit,
    }  # fmt: skip
    return tests[sign[0]]


def _time(text: str, *, end: bool = False) -> datetime | None:
    """A moment of a search; a bare day is its beginning or its `end`. Raises Refusal(422)."""
    if text == "*":
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(422, "Validation Failed", resource="WorkflowRun", field="created") from None
    if _DAY.fullmatch(text) and end:
        at = at.replace(hour=23, minute=59, second=59)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
