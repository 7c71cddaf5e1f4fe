"""The JSON of workflows, runs, jobs, environments, deployments and artifacts, as GitHub answers with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zlib import crc32

from muva_console.drill.github.gitdata import Commit
from muva_console.drill.github.records import REPOSITORY, State
from muva_console.drill.github.runs import (
    Approval,
    Artifact,
    Attempt,
    Environment,
    Job,
    Run,
    Step,
)
from muva_console.drill.github.shapes import REPOSITORY_ID, Json, Shapes, moment

_LABELS = ["ubuntu-latest"]


def workflow_id(file: str) -> int:
    """A workflow's id, of its file's name."""
    return 60_000_000 + crc32(file.encode()) % 9_000_000


def suite_id(run: Run) -> int:
    """The check suite of a run."""
    return run.id + 20_000_000_000


def deployment_id(job: Job) -> int:
    """The deployment that a job with an environment made."""
    return job.id - 49_000_000_000


class ActionShapes:
    """Beside `Shapes`, on the same addresses."""

    def __init__(self, shapes: Shapes, created_at: datetime) -> None:
        self._shapes = shapes
        self._created = created_at
        self._repo, self._html = shapes.repo, shapes.html

    def workflow(self, file: str, name: str, *, there: bool = True) -> Json:
        """A workflow; one whose file is gone is ``deleted``."""
        number = workflow_id(file)
        at = moment(self._created)
        return {
            "id": number, "node_id": f"W_{number}", "name": name, "path": f".github/workflows/{file}",
            "state": "active" if there else "deleted", "created_at": at, "updated_at": at,
            "url": f"{self._repo}/actions/workflows/{number}",
            "html_url": f"{self._html}/blob/main/.github/workflows/{quote(file)}",
            "badge_url": f"{self._html}/workflows/{quote(name)}/badge.svg",
        }  # fmt: skip

    def run(self, run: Run, commit: Commit | None, attempt: int | None = None) -> Json:
        """A run, as of an attempt; the latest where none is named."""
        url = f"{self._repo}/actions/runs/{run.id}"
        past = next((one for one in run.earlier if one.number == attempt), None)
        now = past or _latest(run)
        suite = suite_id(run)
        before = f"{url}/attempts/{now.number - 1}" if now.number > 1 else None
        return {
            "id": run.id, "name": run.name, "node_id": f"WFR_{run.id}", "head_branch": run.branch,
            "head_sha": run.sha, "path": run.path, "display_title": run.title, "run_number": run.number,
            "event": run.event, "status": now.status, "conclusion": now.conclusion,
            "workflow_id": workflow_id(run.workflow), "check_suite_id": suite,
            "check_suite_node_id": f"CS_{suite}", "url": url,
            "html_url": f"{self._html}/actions/runs/{run.id}", "pull_requests": self._pulls(run),
            "created_at": moment(run.created_at), "updated_at": moment(now.updated_at),
            "actor": self._shapes.user(run.actor), "run_attempt": now.number, "referenced_workflows": [],
            "run_started_at": moment(now.started_at), "triggering_actor": self._shapes.user(now.actor),
            "jobs_url": f"{url}/jobs" if past is None else f"{url}/attempts/{past.number}/jobs",
            "logs_url": f"{url}/logs", "check_suite_url": f"{self._repo}/check-suites/{suite}",
            "artifacts_url": f"{url}/artifacts", "cancel_url": f"{url}/cancel", "rerun_url": f"{url}/rerun",
            "previous_attempt_url": before,
            "workflow_url": f"{self._repo}/actions/workflows/{workflow_id(run.workflow)}",
            "head_commit": None if commit is None else {
                "id": commit.sha, "tree_id": commit.tree, "message": commit.message,
                "timestamp": commit.committed,
                "author": {"name": commit.author, "email": commit.author_email},
                "committer": {"name": commit.committer, "email": commit.committer_email},
            },
            "repository": self._shapes.minimal_repository(),
            "head_repository": self._shapes.minimal_repository(), "head_repository_id": REPOSITORY_ID,
        }  # fmt: skip

    def job(self, run: Run, job: Job, attempt: int) -> Json:
        """A job. GitHub gives a job that has not begun the time at which it was made as its start."""
        url = f"{self._repo}/actions/jobs/{job.id}"
        return {
            "id": job.id, "run_id": run.id, "workflow_name": run.name, "head_branch": run.branch,
            "run_url": f"{self._repo}/actions/runs/{run.id}", "run_attempt": attempt,
            "node_id": f"CR_{job.id}", "head_sha": run.sha, "url": url,
            "html_url": f"{self._html}/actions/runs/{run.id}/job/{job.id}", "status": job.status,
            "conclusion": job.conclusion, "created_at": moment(job.created_at),
            "started_at": moment(job.started_at or job.created_at), "completed_at": moment(job.completed_at),
            "name": job.name, "steps": [_step(step) for step in job.steps],
            "check_run_url": f"{self._repo}/check-runs/{job.id}", "labels": _LABELS,
            "runner_id": 1 if job.runner else None, "runner_name": job.runner or None,
            "runner_group_id": 0 if job.runner else None,
            "runner_group_name": "GitHub Actions" if job.runner else None,
        }  # fmt: skip

    def check_run(self, run: Run, job: Job) -> Json:
        """A job as the check of its commit."""
        url = f"{self._repo}/check-runs/{job.id}"
        html = f"{self._html}/actions/runs/{run.id}/job/{job.id}"
        return {
            "id": job.id, "node_id": f"CR_{job.id}", "head_sha": run.sha, "name": job.name, "url": url,
            "html_url": html, "details_url": html, "external_id": "", "status": job.status,
            "conclusion": job.conclusion, "started_at": moment(job.started_at),
            "completed_at": moment(job.completed_at), "check_suite": {"id": suite_id(run)}, "app": None,
            "pull_requests": [],
            "output": {
                "title": None, "summary": None, "text": None, "annotations_count": 0,
                "annotations_url": f"{url}/annotations",
            },
        }  # fmt: skip

    def environment(self, environment: Environment) -> Json:
        """An environment of the repository's settings."""
        rules = []
        if environment.reviewers:
            rules.append({
                "id": environment.id + 1, "node_id": f"GA_{environment.id}", "type": "required_reviewers",
                "prevent_self_review": environment.prevent_self_review,
                "reviewers": self._reviewers(environment),
            })  # fmt: skip
        at = moment(self._created)
        return {
            **self._named(environment), "created_at": at, "updated_at": at, "protection_rules": rules,
            "deployment_branch_policy": None, "can_admins_bypass": False,
        }  # fmt: skip

    def pending(self, environment: Environment, *, can_approve: bool) -> Json:
        """An environment that a run waits for."""
        named = self._named(environment)
        return {
            "environment": named, "wait_timer": 0, "wait_timer_started_at": None,
            "current_user_can_approve": can_approve, "reviewers": self._reviewers(environment),
        }  # fmt: skip

    def approval(self, approval: Approval, environments: list[Environment]) -> Json:
        """What a reviewer said."""
        at = moment(self._created)
        return {
            "state": approval.state, "comment": approval.comment, "user": self._shapes.user(approval.by),
            "environments": [
                {**self._named(one), "created_at": at, "updated_at": at} for one in environments
            ],
        }  # fmt: skip

    def artifact(self, run: Run, artifact: Artifact, *, expired: bool) -> Json:
        """An artifact."""
        url = f"{self._repo}/actions/artifacts/{artifact.id}"
        return {
            "id": artifact.id, "node_id": f"A_{artifact.id}", "name": artifact.name,
            "size_in_bytes": artifact.size, "url": url, "archive_download_url": f"{url}/zip",
            "expired": expired, "created_at": moment(artifact.created_at),
            "updated_at": moment(artifact.created_at), "expires_at": moment(artifact.expires_at),
            "digest": artifact.digest,
            "workflow_run": {
                "id": run.id, "repository_id": REPOSITORY_ID, "head_repository_id": REPOSITORY_ID,
                "head_branch": run.branch, "head_sha": run.sha,
            },
        }  # fmt: skip

    def deployment(self, run: Run, job: Job) -> Json:
        """The deployment that a job made of its environment."""
        made = deployment_id(job)
        url = f"{self._repo}/deployments/{made}"
        return {
            "id": made, "node_id": f"DE_{made}", "url": url, "sha": run.sha, "ref": run.branch,
            "task": "deploy",
            "payload": {}, "original_environment": job.environment, "environment": job.environment,
            "description": None, "creator": self._shapes.user(run.actor),
            "created_at": moment(job.created_at), "updated_at": moment(job.completed_at or job.created_at),
            "statuses_url": f"{url}/statuses", "repository_url": self._repo, "transient_environment": False,
            "production_environment": job.environment == "production", "performed_via_github_app": None,
        }  # fmt: skip

    def deployment_status(self, run: Run, job: Job, number: int, state: str, at: datetime) -> Json:
        """One of a deployment's states, the `number`-th since it was made."""
        made = deployment_id(job)
        url = f"{self._repo}/deployments/{made}"
        log = f"{self._html}/actions/runs/{run.id}/job/{job.id}"
        return {
            "id": made * 10 + number, "node_id": f"DES_{made * 10 + number}", "state": state,
            "url": f"{url}/statuses/{made * 10 + number}", "creator": self._shapes.user(run.actor),
            "description": "", "environment": job.environment, "target_url": log, "log_url": log,
            "environment_url": "", "created_at": moment(at), "updated_at": moment(at), "deployment_url": url,
            "repository_url": self._repo, "performed_via_github_app": None,
        }  # fmt: skip

    def _named(self, environment: Environment) -> Json:
        name = quote(environment.name)
        return {
            "id": environment.id, "node_id": f"EN_{environment.id}", "name": environment.name,
            "url": f"{self._repo}/environments/{name}",
            "html_url": f"{self._html}/deployments/activity_log?environments_filter={name}",
        }  # fmt: skip

    def _reviewers(self, environment: Environment) -> list[Json]:
        return [{"type": "User", "reviewer": self._shapes.user(login)} for login in environment.reviewers]

    def _pulls(self, run: Run) -> list[Json]:
        repo = {"id": REPOSITORY_ID, "url": self._repo, "name": REPOSITORY.split("/")[1]}
        found = []
        for number in run.pulls:
            pull = self._shapes.state.pulls.get(number)
            if pull is not None:
                found.append({
                    "id": 800_000 + number, "number": number, "url": f"{self._repo}/pulls/{number}",
                    "head": {"ref": pull.head, "sha": pull.head_sha, "repo": repo},
                    "base": {"ref": pull.base, "sha": pull.base_sha, "repo": repo},
                })  # fmt: skip
        return found


def action_shapes(api: str, state: State) -> ActionShapes:
    """Those of a server that answers at `api`."""
    return ActionShapes(Shapes(api, state), state.created_at)


def _latest(run: Run) -> Attempt:
    return Attempt(
        number=run.attempt, status=run.status, conclusion=run.conclusion, jobs=run.jobs,
        actor=run.triggering or run.actor, started_at=run.started_at, updated_at=run.updated_at,
    )  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name, "status": step.status, "conclusion": step.conclusion, "number": step.number,
        "started_at": _precise(step.started_at), "completed_at": _precise(step.completed_at),
    }  # fmt: skip


def _precise(at: datetime | None) -> str | None:
    """A step's time as GitHub writes it now: to the millisecond where it has them."""
    if at is None or at.microsecond == 0:
        return moment(at)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
