"""What the stand-in remembers of its workflows' runs: one JSON file a run, logs and artifacts beside.

The runner writes how far it is; the server writes what people ask for (approvals, cancelling, another
attempt, a run started by hand) and wakes the runner. Both go through `Runs`, in different processes: under a
lock, each file whole.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct, field, structs

from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

_FIRST_RUN = 18_200_000_001
_FIRST_JOB = 52_000_000_001
_FIRST_ARTIFACT = 4_100_000_001
"""Beyond 32 bits, as GitHub's own have long been."""

RUNNER = "GitHub Actions 1"
"""The name of the runner that jobs tell of."""


class Environment(Struct, frozen=True, kw_only=True):
    """An environment that jobs deploy to, and who has to agree."""

    id: int
    name: str
    reviewers: tuple[str, ...] = ()
    """Logins, one of whom must approve; none: nobody needs to."""
    prevent_self_review: bool = False
    """Whether who started the run may not approve it."""

    def may_approve(self, login: str, actor: str) -> bool:
        """Whether somebody may let a job of a run that `actor` started go on."""
        return login in self.reviewers and not (self.prevent_self_review and login == actor)


ENVIRONMENTS = (
    Environment(id=7_300_001, name="staging"),
    Environment(
        id=7_300_002, name="production", reviewers=("eve-lindqvist", "oskar-weiss"), prevent_self_review=True
    ),
)
"""Those that the repository's settings have."""


class Step(Struct, kw_only=True):
    """A step of a job, as the API tells it."""

    number: int
    name: str
    status: str = "queued"
    """queued, in_progress or completed."""
    conclusion: str | None = None
    """success, failure, skipped, cancelled or timed_out."""
    started_at: datetime | None = None
    completed_at: datetime | None = None


class Job(Struct, kw_only=True):
    """A job of a run's attempt."""

    id: int
    key: str
    """Its key in the workflow's file, which `needs` names."""
    name: str
    needs: list[str] = field(default_factory=list)
    status: str = "queued"
    """queued, waiting (for an approval or for another run), in_progress or completed."""
    conclusion: str | None = None
    environment: str = ""
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    steps: list[Step] = field(default_factory=list)
    """Empty while it has not begun."""
    outputs: dict[str, str] = field(default_factory=dict)
    runner: str = ""
    waits_for_approval: bool = False
    """Whether it is an approval of its environment that it waits for."""


class Attempt(Struct, kw_only=True):
    """An attempt before the latest one, as it ended."""

    number: int
    status: str
    conclusion: str | None
    actor: str
    started_at: datetime
    updated_at: datetime
    jobs: list[Job] = field(default_factory=list)


class Approval(Struct, kw_only=True):
    """What somebody said when a job asked for an environment."""

    state: str
    """approved or rejected."""
    comment: str
    by: str
    at: datetime
    environments: list[str]
    attempt: int = 1


class Artifact(Struct, kw_only=True):
    """A file that a job left: ``artifacts/<id>.zip``."""

    id: int
    name: str
    size: int
    """Bytes of the zip."""
    digest: str
    """``sha256:`` and the zip's."""
    created_at: datetime
    expires_at: datetime
    expired: bool = False


class Run(Struct, kw_only=True):
    """A run of a workflow."""

    id: int
    number: int
    attempt: int = 1
    workflow: str
    """The file's name below .github/workflows."""
    name: str
    """The workflow's own name."""
    branch: str
    sha: str
    event: str
    """push or workflow_dispatch."""
    title: str
    actor: str
    """Whose push started it, or who started it by hand."""
    triggering: str = ""
    """Who asked for the latest attempt; "" is the actor."""
    status: str = "queued"
    """queued, waiting, in_progress or completed."""
    conclusion: str | None = None
    created_at: datetime
    started_at: datetime
    """Of the latest attempt."""
    updated_at: datetime
    jobs: list[Job] = field(default_factory=list)
    """Of the latest attempt; empty until the runner has read the workflow."""
    earlier: list[Attempt] = field(default_factory=list)
    """The attempts before, oldest first."""
    approvals: list[Approval] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    cancel_requested: bool = False
    cancel_forced: bool = False
    failed_only: bool = False
    """Whether the latest attempt takes over what succeeded in the one before."""
    pulls: list[int] = field(default_factory=list)
    """The open pull requests from its branch, when it started."""
    problem: str = ""
    """Of a startup_failure: what is wrong with the workflow's file."""

    @property
    def path(self) -> str:
        """The workflow's file in the repository."""
        return f".github/workflows/{self.workflow}"

    @property
    def finished(self) -> bool:
        """Whether its latest attempt has ended."""
        return self.status == "completed"

    def attempts(self, number: int | None = None) -> list[Job]:
        """The jobs of an attempt, of the latest where none is named. Raises KeyError."""
        if number in (None, self.attempt):
            return self.jobs
        for one in self.earlier:
            if one.number == number:
                return one.jobs
        raise KeyError(number)

    def awaited(self) -> list[Environment]:
        """The environments that an approval is waited for now."""
        names = {job.environment for job in self.jobs if job.waits_for_approval and job.status == "waiting"}
        return [one for one in ENVIRONMENTS if one.name in names]


class _Counters(Struct, kw_only=True):
    run: int = _FIRST_RUN
    job: int = _FIRST_JOB
    artifact: int = _FIRST_ARTIFACT
    numbers: dict[str, int] = field(default_factory=dict)


class Refused(Exception):
    """What cannot be done to a run as it is; the text is GitHub's."""


def now() -> datetime:
    """The time to the second, as GitHub tells it."""
    return datetime.now(UTC).replace(microsecond=0)


class Runs:
    """The runs of an estate. Every method raises OpsError where the files cannot be read or written."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.directory = estate.directory / "actions"

    def list(self) -> list[Run]:
        """Every run, the newest first."""
        try:
            names = [path for path in (self.directory / "runs").iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []
        found = [self._read(path) for path in names]
        return sorted((run for run in found if run is not None), key=lambda run: -run.id)

    def read(self, id: int) -> Run | None:
        """One run; None when there is none of that id."""
        return self._read(self._file(id))

    @contextmanager
    def change(self, id: int) -> Iterator[Run]:
        """Hold a run for oneself; it is written when the block ends well. Raises KeyError."""
        with self._alone():
            run = self.read(id)
            if run is None:
                raise KeyError(id)
            yield run
            run.updated_at = now()
            self._write(self._file(id), msgspec.json.encode(run))

    def new(
        self,
        *,
        workflow: str,
        name: str,
        branch: str,
        sha: str,
        event: str,
        title: str,
        actor: str,
        inputs: dict[str, str] | None = None,
        pulls: Sequence[int] = (),
    ) -> Run:
        """A run that waits for the runner, which is woken."""
        with self._alone():
            with self._counting() as counters:
                number_of_all, counters.run = counters.run, counters.run + 1
                number = counters.numbers.get(workflow, 0) + 1
                counters.numbers[workflow] = number
            at = now()
            run = Run(
                id=number_of_all, number=number, workflow=workflow, name=name, branch=branch, sha=sha,
                event=event, title=title, actor=actor, created_at=at, started_at=at, updated_at=at,
                inputs=inputs or {}, pulls=list(pulls),
            )  # fmt: skip
            self._write(self._file(run.id), msgspec.json.encode(run))
        self.wake()
        return run

    def keep(self, run: Run, logs: dict[int, str] | None = None) -> None:
        """Write a run of the past as it is, with its jobs' logs by id; its ids come from `take_id`."""
        with self._alone(), self._counting() as counters:
            counters.numbers[run.workflow] = max(counters.numbers.get(run.workflow, 0), run.number)
            self._write(self._file(run.id), msgspec.json.encode(run))
            for job, text in (logs or {}).items():
                self.log(job).write_text(text)

    def take_id(self, kind: str) -> int:
        """An id that nothing else has; `kind` is run, job or artifact."""
        with self._alone(), self._counting() as counters:
            value: int = getattr(counters, kind)
            setattr(counters, kind, value + 1)
            return value

    def decide(self, id: int, environments: Sequence[int], *, state: str, comment: str, login: str) -> Run:
        """Approve or reject what a run waits for. Raises KeyError and Refused."""
        with self.change(id) as run:
            waited = {one.id: one for one in run.awaited()}
            if not environments or not all(one in waited for one in environments):
                raise Refused("No pending deployment requests to approve or reject")
            chosen = [waited[one] for one in environments]
            if not all(one.may_approve(login, run.triggering or run.actor) for one in chosen):
                raise Refused("Current user is not allowed to approve or reject this deployment")
            run.approvals.append(
                Approval(
                    state=state, comment=comment, by=login, at=now(), attempt=run.attempt,
                    environments=[one.name for one in chosen],
                )
            )  # fmt: skip
        self.wake()
        return run

    def cancel(self, id: int, *, force: bool = False) -> None:
        """Ask for a run's end. Raises KeyError and Refused."""
        with self.change(id) as run:
            if run.finished:
                raise Refused("Cannot cancel a workflow run that is completed.")
            run.cancel_requested = True
            run.cancel_forced |= force
        self.wake()

    def again(self, id: int, *, login: str, failed_only: bool = False) -> Run:
        """Another attempt of a run that has ended. Raises KeyError and Refused."""
        with self.change(id) as run:
            if not run.finished:
                raise Refused("This workflow is already running")
            if run.conclusion == "startup_failure":
                raise Refused("Unable to retry this workflow run because it was created with a broken file")
            run.earlier.append(
                Attempt(
                    number=run.attempt, status=run.status, conclusion=run.conclusion, jobs=run.jobs,
                    actor=run.triggering or run.actor, started_at=run.started_at, updated_at=run.updated_at,
                )
            )  # fmt: skip
            run.attempt += 1
            run.status, run.conclusion, run.jobs, run.started_at = "queued", None, [], now()
            run.triggering, run.failed_only = login, failed_only
            run.cancel_requested = run.cancel_forced = False
        self.wake()
        return run

    def log(self, job: int) -> Path:
        """A job's log; the file is there once the job has ended."""
        return self._folder("logs") / f"{job}.txt"

    def artifact(self, id: int) -> Path:
        """An artifact's zip."""
        return self._folder("artifacts") / f"{id}.zip"

    def find_job(self, id: int) -> tuple[Run, Job, int] | None:
        """The run, the job and the number of the attempt that has the job."""
        for run in self.list():
            attempts = [*((one.number, one.jobs) for one in run.earlier), (run.attempt, run.jobs)]
            for number, jobs in attempts:
                for job in jobs:
                    if job.id == id:
                        return run, job, number
        return None

    def wake(self) -> None:
        """See that the runner runs: it is started when there is something to do. Raises OpsError."""
        from muva_console.drill.github import runner

        runner.start(self._estate)

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _file(self, id: int) -> Path:
        return self.directory / "runs" / f"{id}.json"

    def _read(self, path: Path) -> Run | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Run)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise OpsError(f"the record of a run cannot be read: {error}", where=str(path)) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder("runs")
        lock = os.open(self.directory / "runs.lock", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _counting(self) -> Iterator[_Counters]:
        path = self.directory / "counters.json"
        try:
            counters = msgspec.json.decode(path.read_bytes(), type=_Counters)
        except FileNotFoundError:
            counters = _Counters()
        before = msgspec.json.encode(counters)
        yield counters
        after = msgspec.json.encode(counters)
        if after != before:
            self._write(path, after)

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.with_suffix(".next")
        beside.write_bytes(data)
        beside.replace(path)


def copy(job: Job, *, id: int) -> Job:
    """A job taken over into another attempt, under an id of its own."""
    return structs.replace(job, id=id)
