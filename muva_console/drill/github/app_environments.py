"""Environments, what waits for an approval there, who approved, and the deployments that jobs made."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muva_console.drill.github.actions import Refusal
from muva_console.drill.github.asking import BELOW, Answers, body_of, page_of
from muva_console.drill.github.runs import ENVIRONMENTS, Job, Refused, Run
from muva_console.drill.github.shapes_actions import ActionShapes, action_shapes, deployment_id

_ENDS = {"success": "success", "cancelled": "error", "skipped": "inactive"}
"""A deployment's last state by its job's conclusion; any other is failure."""


class EnvironmentAnswers(Answers):
    """Deployments are made of the jobs that name an environment; nothing else is remembered of them."""

    def routes(self) -> list[Route]:
        """Its addresses."""
        run = f"{BELOW}/actions/runs/{{run:int}}"
        one = f"{BELOW}/deployments/{{deployment:int}}"
        return [
            Route(f"{run}/pending_deployments", self.pending, methods=["GET"]),
            Route(f"{run}/pending_deployments", self.decide, methods=["POST"]),
            Route(f"{run}/approvals", self.approvals, methods=["GET"]),
            Route(f"{BELOW}/environments", self.environments, methods=["GET"]),
            Route(f"{BELOW}/environments/{{name}}", self.environment, methods=["GET"]),
            Route(f"{BELOW}/deployments", self.deployments, methods=["GET"]),
            Route(one, self.deployment, methods=["GET"]),
            Route(f"{one}/statuses", self.statuses, methods=["GET"]),
        ]

    async def pending(self, request: Request) -> Response:
        """``GET /actions/runs/{run}/pending_deployments``."""
        run = self._run(request)
        shapes = self._bodies(request)
        who = run.triggering or run.actor
        return JSONResponse([
            shapes.pending(one, can_approve=one.may_approve(request.state.login, who))
            for one in run.awaited()
        ])  # fmt: skip

    async def decide(self, request: Request) -> Response:
        """Approve or reject; the answer is the deployments that it was about."""
        run = self._run(request)
        told = await body_of(request)
        ids, state = told.get("environment_ids"), told.get("state")
        for field, good in (
            ("environment_ids", isinstance(ids, list) and all(isinstance(one, int) for one in ids)),
            ("state", state in ("approved", "rejected")), ("comment", isinstance(told.get("comment"), str)),
        ):  # fmt: skip
            if not good:
                raise Refusal(422, "Validation Failed", resource="Deployment", field=field)
        assert isinstance(ids, list) and isinstance(state, str)
        about = [one.name for one in run.awaited() if one.id in ids]
        jobs = [job for job in run.jobs if job.environment in about and job.waits_for_approval]
        try:
            self.hub.runs.decide(
                run.id, ids, state=state, comment=told["comment"], login=request.state.login
            )  # fmt: skip
        except Refused as error:
            raise Refusal(422, str(error)) from error
        shapes = self._bodies(request)
        return JSONResponse([shapes.deployment(run, job) for job in jobs])

    async def approvals(self, request: Request) -> Response:
        """``GET /actions/runs/{run}/approvals``."""
        run = self._run(request)
        shapes = self._bodies(request)
        return JSONResponse([
            shapes.approval(one, [each for each in ENVIRONMENTS if each.name in one.environments])
            for one in run.approvals
        ])  # fmt: skip

    async def environments(self, request: Request) -> Response:
        """``GET /environments``."""
        shapes = self._bodies(request)
        return page_of(request, [shapes.environment(one) for one in ENVIRONMENTS], "environments")

    async def environment(self, request: Request) -> Response:
        """``GET /environments/{name}``."""
        for one in ENVIRONMENTS:
            if one.name == request.path_params["name"]:
                return JSONResponse(self._bodies(request).environment(one))
        raise Refusal(404, "Not Found")

    async def deployments(self, request: Request) -> Response:
        """``GET /deployments``."""
        asked = request.query_params
        shapes = self._bodies(request)
        return page_of(request, [
            shapes.deployment(run, job)
            for run, job in self._made()
            if asked.get("environment", job.environment) == job.environment
            and asked.get("sha", run.sha) == run.sha
            and asked.get("ref", run.branch) == run.branch
            and asked.get("task", "deploy") == "deploy"
        ])  # fmt: skip

    async def deployment(self, request: Request) -> Response:
        """``GET /deployments/{deployment}``."""
        run, job = self._one(request)
        return JSONResponse(self._bodies(request).deployment(run, job))

    async def statuses(self, request: Request) -> Response:
        """A deployment's states, the newest first."""
        run, job = self._one(request)
        states = _states(job)
        later = [
            other.completed_at
            for _, other in self._made()
            if other.environment == job.environment and other.id != job.id and other.conclusion == "success"
            and other.completed_at is not None and job.completed_at is not None
            and other.completed_at > job.completed_at
        ]  # fmt: skip
        if later and job.conclusion == "success":
            states.append(("inactive", min(later)))
        shapes = self._bodies(request)
        bodies = [
            shapes.deployment_status(run, job, number, state, at)
            for number, (state, at) in enumerate(states, 1)
        ]
        return page_of(request, bodies[::-1])

    def _made(self) -> list[tuple[Run, Job]]:
        """The jobs that reached their environment, the newest first."""
        found = []
        for run in self.hub.runs.list():
            for jobs in (run.jobs, *(past.jobs for past in run.earlier)):
                found += [(run, job) for job in jobs if job.environment and _states(job)]
        return sorted(found, key=lambda pair: -pair[1].id)

    def _one(self, request: Request) -> tuple[Run, Job]:
        for run, job in self._made():
            if deployment_id(job) == request.path_params["deployment"]:
                return run, job
        raise Refusal(404, "Not Found")

    def _run(self, request: Request) -> Run:
        run = self.hub.runs.read(request.path_params["run"])
        if run is None:
            raise Refusal(404, "Not Found")
        return run

    def _bodies(self, request: Request) -> ActionShapes:
        return action_shapes(str(request.base_url).rstrip("/"), self.state())


def _states(job: Job) -> list[tuple[str, datetime]]:
    """The states that a job's deployment went through; none while the job's turn has not come."""
    found = []
    if job.waits_for_approval:
        found.append(("pending", job.created_at))
    if job.started_at is not None:
        found.append(("in_progress", job.started_at))
    if found and job.completed_at is not None:
        found.append((_ENDS.get(job.conclusion or "", "failure"), job.completed_at))
    return found
