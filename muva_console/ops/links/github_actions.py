"""GitHub Actions of one repository: runs, jobs, logs, waiting deployments, artifacts.

No address of GitHub streams the log of a job that runs (cli/cli #3484): it can be had once the *job* is
completed, and the whole run's once the *run* is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import github_raw as raw
from muva_console.ops.links import github_runs as read
from muva_console.ops.links.github_http import PAGES, GitHubHttp
from muva_console.ops.links.github_model import Declined
from muva_console.ops.links.github_runs import Approval, Artifact, Job, PendingDeployment, WorkflowRun
from muva_console.ops.links.github_sinks import FileSink, TextSink
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

LOG_LIMIT = 64 * 1024 * 1024
"""Bytes of one job's log that are read. Ours: 50,000 lines have about five megabytes."""
ARCHIVE_LIMIT = 1024 * 1024 * 1024
"""Bytes of a run's log archive."""
_WORKFLOW = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)


class GitHubActions:
    """What runs in a repository. Every method raises LinkError and nothing else.

    A run, a job may be given by its id or as the reading that names it.
    """

    def __init__(self, http: GitHubHttp, repository: str) -> None:
        self._http = http
        self._below = f"/repos/{repository}/actions"

    async def runs(
        self,
        *,
        workflow: str = "",
        branch: str = "",
        sha: str = "",
        event: str = "",
        status: str = "",
        created: str = "",
        most: int = 1,
        size: int = 30,
    ) -> tuple[WorkflowRun, ...]:
        """Runs, the newest first; `most` pages of `size` (up to 100) of them.

        `workflow` is a file name (``deploy-staging.yml``), `sha` a whole hash, `status` a status or a
        conclusion, `created` a range as GitHub's search has it (``>=2026-01-31``). Declined(404) where GitHub
        knows no such workflow, e.g. since it was renamed.
        """
        narrowed = {"branch": branch, "head_sha": sha, "event": event, "status": status, "created": created}
        asked = {name: value for name, value in narrowed.items() if value}
        place = f"/workflows/{_workflow(workflow)}/runs" if workflow else "/runs"
        path = f"{self._below}{place}?{urlencode({**asked, 'per_page': min(size, 100)})}"
        try:
            found = await self._http.gather(path, raw.RawRuns, lambda page: page.workflow_runs, most=most)
        except Declined as error:
            raise _about_workflow(error, workflow) from None
        return tuple(read.workflow_run(one) for one in found)

    async def run(self, run: WorkflowRun | int) -> WorkflowRun:
        """A run as it is now. Declined(404) where there is none."""
        return read.workflow_run(await self._http.get(self._of(run), raw.RawRun))

    async def jobs(self, run: WorkflowRun | int, *, attempt: int | None = None) -> tuple[Job, ...]:
        """The jobs of an attempt, None for the latest; none at all while the run has not begun, and where it
        failed at its start.
        """
        place = "/jobs?filter=latest" if attempt is None else f"/attempts/{attempt:d}/jobs"
        found = await self._http.gather(self._of(run) + place, raw.RawJobs, lambda page: page.jobs)
        return tuple(read.job(one) for one in found)

    async def job_log(self, job: Job | int) -> str | None:
        """A job's log: each line with its time before it, its ANSI as it is (nothing is sanitised here).

        None while GitHub has it not yet, i.e. before the job is completed and sometimes shortly after. At
        most `LOG_LIMIT` bytes, which the end of the text tells. Declined(410) where it was deleted.
        """
        number = job if isinstance(job, int) else job.id
        sink = TextSink(LOG_LIMIT)
        try:
            await self._http.stream(f"{self._below}/jobs/{number:d}/logs", sink)
        except Declined as error:
            finished = isinstance(job, Job) and job.finished
            if error.status == 404 or (error.status == 410 and not finished):
                return None
            raise
        return sink.text()

    async def run_logs(self, run: WorkflowRun | int, into: Path) -> None:
        """All logs of a completed run, as a zip file. Declined(404) until the run is complete."""
        with FileSink(into, where=self._http.where, most=ARCHIVE_LIMIT) as sink:
            await self._http.stream(f"{self._of(run)}/logs", sink)
            await sink.finish()

    async def pending(self, run: WorkflowRun | int) -> tuple[PendingDeployment, ...]:
        """The environments that a run waits for."""
        found = await self._http.get(f"{self._of(run)}/pending_deployments", list[raw.RawPending])
        return tuple(read.pending_deployment(one) for one in found)

    async def decide(
        self, run: WorkflowRun | int, environments: Sequence[int], *, approve: bool, comment: str
    ) -> None:
        """Approve or reject waiting deployments by their environments' ids; for good."""
        word = "approved" if approve else "rejected"
        body = {"environment_ids": list(environments), "state": word, "comment": comment}
        await self._http.send(
            "POST", f"{self._of(run)}/pending_deployments", body, doing=f"the deployment was {word}"
        )

    async def approvals(self, run: WorkflowRun | int) -> tuple[Approval, ...]:
        """What reviewers said so far; the newest attempt's among older ones', as GitHub lists them."""
        found = await self._http.get(f"{self._of(run)}/approvals", list[raw.RawApproval])
        return tuple(read.approval(one) for one in found)

    async def artifacts(self, run: WorkflowRun | int) -> tuple[Artifact, ...]:
        """What a run left, expired ones too."""
        return await self._artifacts(f"{self._of(run)}/artifacts", PAGES)

    async def all_artifacts(self, name: str = "") -> tuple[Artifact, ...]:
        """What all runs left, the newest first, by name where one is given; 100 at most."""
        return await self._artifacts(
            f"{self._below}/artifacts?{urlencode({**({'name': name} if name else {}), 'per_page': 100})}", 1
        )

    async def _artifacts(self, path: str, most: int) -> tuple[Artifact, ...]:
        found = await self._http.gather(path, raw.RawArtifacts, lambda page: page.artifacts, most=most)
        return tuple(read.artifact(one) for one in found)

    async def fetch_artifact(self, artifact: Artifact, into: Path) -> None:
        """An artifact's zip file, under its name only once its size and its digest are GitHub's.

        Declined(410) where it has expired; LinkError(PROTOCOL) where what came is another.
        """
        if artifact.expired or (artifact.expires_at is not None and artifact.expires_at <= utc_now()):
            since = f" since {artifact.expires_at:%Y-%m-%d %H:%M} UTC" if artifact.expires_at else ""
            raise Declined(
                Fault.MISSING,
                f"the artifact {artifact.name} has expired{since}: GitHub keeps it no more",
                status=410,
                where=self._http.where,
            )
        digest = _SHA256.fullmatch(artifact.digest)
        with FileSink(
            into,
            where=self._http.where,
            most=artifact.size,
            size=artifact.size,
            sha256=digest[1] if digest else "",
        ) as sink:
            await self._http.stream(f"{self._below}/artifacts/{artifact.id:d}/zip", sink)
            await sink.finish()

    async def rerun(self, run: WorkflowRun | int, *, failed_only: bool = False) -> None:
        """Begin another attempt: all jobs, or those that failed and what needs them."""
        place = "rerun-failed-jobs" if failed_only else "rerun"
        await self._http.send("POST", f"{self._of(run)}/{place}", doing="the run was started again")

    async def cancel(self, run: WorkflowRun | int, *, force: bool = False) -> None:
        """Ask for a run's end; `force` passes over ``if: always()``. Declined(409) where it is over."""
        place = "force-cancel" if force else "cancel"
        await self._http.send("POST", f"{self._of(run)}/{place}", doing="the run was cancelled")

    async def dispatch(self, workflow: str, branch: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow that has ``on: workflow_dispatch``. GitHub does not tell the run: look for it."""
        body = {"ref": branch, "inputs": dict(inputs)}
        path = f"{self._below}/workflows/{_workflow(workflow)}/dispatches"
        try:
            await self._http.send("POST", path, body, doing=f"{sanitise_line(workflow, cap=80)} was started")
        except Declined as error:
            raise _about_workflow(error, workflow) from None

    def line(self, path: str) -> str:
        """What a person would type to see a path below ``actions``, e.g. ``/runs/12/jobs``."""
        return self._http.line(self._below + path)

    def _of(self, run: WorkflowRun | int) -> str:
        return f"{self._below}/runs/{run if isinstance(run, int) else run.id:d}"


def _workflow(name: str) -> str:
    file = name.rpartition("/")[2]
    if not _WORKFLOW.fullmatch(file):
        raise LinkError(Fault.CONFIG, "not the file name of a workflow", where="GitHub")
    return quote(file)


def _about_workflow(error: Declined, workflow: str) -> Declined:
    """A 404 of a workflow's address, told as one."""
    if error.status != 404 or not workflow:
        return error
    return Declined(
        error.fault,
        f"GitHub knows no workflow {sanitise_line(workflow, cap=80)}",
        status=404,
        said=error.said,
        where=error.where,
        means=f"it was renamed, is not on the default branch yet, or {error.means}",
        next="Look into .github/workflows, and at the token's right: Actions.",
    )
