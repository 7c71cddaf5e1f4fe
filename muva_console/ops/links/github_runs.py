"""What GitHub told of workflows, deployments and releases, as frozen readings: texts harmless, times in UTC.

Words for a status or a conclusion are kept as GitHub writes them: both are open sets (its description of
`conclusion` names neither ``startup_failure`` nor ``stale`` everywhere, and both are met).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from muva_console.ops.links import github_raw as raw
from muva_console.ops.links.github_model import Account, account
from muva_console.ops.text import sanitise, sanitise_line

GOOD = frozenset({"success", "neutral", "skipped"})
"""Conclusions that hold nothing up (docs.github.com, "About status checks")."""
BAD = frozenset({"failure", "error", "cancelled", "timed_out", "action_required", "startup_failure", "stale"})
"""Conclusions that do."""
_NAME_CAP = 255


class WorkflowRun(Struct, frozen=True, kw_only=True):
    """One run of a workflow, as of its newest attempt."""

    id: int
    number: int
    attempt: int
    """1 for the first; a re-run keeps the id and counts here."""
    workflow: str
    """The workflow's name; its file's where it has none."""
    path: str
    """``.github/workflows/deploy-staging.yml``."""
    branch: str
    """Empty where GitHub names none."""
    sha: str
    event: str
    """``push``, ``workflow_dispatch``, ``pull_request`` …"""
    title: str
    actor: Account
    """Who started this attempt."""
    status: str
    """``queued``, ``in_progress``, ``waiting`` …, ``completed``; an open set."""
    conclusion: str
    """``success``, ``failure``, ``cancelled``, ``timed_out``, ``startup_failure`` …; an open set. Empty while
    the run is not completed.
    """
    created_at: datetime
    started_at: datetime
    """When this attempt began."""
    updated_at: datetime
    url: str
    """For a browser."""

    @property
    def finished(self) -> bool:
        """Whether nothing more happens in this attempt."""
        return self.status == "completed"

    @property
    def file(self) -> str:
        """The workflow's file name, as `GitHubActions.runs` takes it."""
        return self.path.rpartition("/")[2]


class JobStep(Struct, frozen=True, kw_only=True):
    """A step of a job. Numbers may have gaps: a step that an action adds at the end counts after them."""

    number: int
    name: str
    status: str
    conclusion: str
    started_at: datetime | None
    completed_at: datetime | None


class Job(Struct, frozen=True, kw_only=True):
    """A job of one attempt of a run."""

    id: int
    run: int
    attempt: int
    name: str
    status: str
    """``queued``, ``waiting``, ``pending``, ``in_progress``, ``completed``; an open set."""
    conclusion: str
    """Empty while the job is not completed; an open set."""
    started_at: datetime | None
    completed_at: datetime | None
    steps: tuple[JobStep, ...]
    """Empty while the job is queued."""
    runner: str
    url: str

    @property
    def finished(self) -> bool:
        """Whether the job is over; its log can be had from then on."""
        return self.status == "completed"


class PendingDeployment(Struct, frozen=True, kw_only=True):
    """An environment that a run waits for."""

    environment_id: int
    environment: str
    can_approve: bool
    """Whether the token's owner may."""
    reviewers: tuple[str, ...]
    """Logins; a team as ``team SLUG``."""
    waiting_since: datetime | None
    """When its wait timer began; None where it has none."""


class Approval(Struct, frozen=True, kw_only=True):
    """What a reviewer said to a waiting deployment."""

    environments: tuple[str, ...]
    state: str
    """``approved``, ``rejected`` or ``pending``; an open set."""
    comment: str
    by: Account


class Artifact(Struct, frozen=True, kw_only=True):
    """A file that a run left."""

    id: int
    name: str
    size: int
    """Bytes, as its zip file has."""
    expired: bool
    created_at: datetime | None
    expires_at: datetime | None
    digest: str
    """``sha256:…`` of the zip file; empty where GitHub has none (from before 2025)."""
    run: int
    """The run's id; 0 where it is gone."""


class Release(Struct, frozen=True, kw_only=True):
    """A release on GitHub."""

    id: int
    tag: str
    name: str
    url: str
    draft: bool


class Check(Struct, frozen=True, kw_only=True):
    """One check of a commit, a check run or a commit status."""

    name: str
    status: str
    """``completed`` when it is over."""
    conclusion: str
    """Empty until then; an open set."""
    url: str

    @property
    def state(self) -> str:
        """``success``, ``failure``, ``pending``, or ``unknown`` for a word that is not known."""
        if self.status != "completed":
            return "pending"
        if self.conclusion in GOOD:
            return "success"
        return "failure" if self.conclusion in BAD else "unknown"


class Checks(Struct, frozen=True, kw_only=True):
    """All checks of a commit: check runs and commit statuses together."""

    ref: str
    checks: tuple[Check, ...]

    @property
    def state(self) -> str:
        """The worst of ``failure``, ``pending``, ``unknown``, ``success``; ``none`` without checks."""
        states = {check.state for check in self.checks}
        return next((one for one in ("failure", "pending", "unknown", "success") if one in states), "none")


class DeploymentRecord(Struct, frozen=True, kw_only=True):
    """GitHub's own record of a deployment, with its latest state."""

    id: int
    environment: str
    sha: str
    ref: str
    creator: Account
    created_at: datetime
    state: str
    """``success``, ``failure``, ``in_progress``, ``waiting``, ``inactive`` …; empty where none was told."""
    state_at: datetime | None
    url: str
    """Its log, for a browser; may be empty."""


def workflow_run(one: raw.RawRun) -> WorkflowRun:
    """A run, made harmless."""
    path = _name(one.path.partition("@")[0])  # GitHub's own example has "@main" after it
    started = _utc(one.run_started_at) or _sure(one.created_at)
    return WorkflowRun(
        id=one.id,
        number=one.run_number,
        attempt=one.run_attempt,
        workflow=_name(one.name or "") or path.rpartition("/")[2],
        path=path,
        branch=_name(one.head_branch or ""),
        sha=_name(one.head_sha),
        event=_name(one.event),
        title=sanitise_line(one.display_title, cap=400),
        actor=account(one.triggering_actor or one.actor),
        status=_name(one.status or ""),
        conclusion=_name(one.conclusion or ""),
        created_at=_sure(one.created_at),
        started_at=started,
        updated_at=_sure(one.updated_at),
        url=_url(one.html_url),
    )


def job(one: raw.RawJob) -> Job:
    """A job, made harmless."""
    return Job(
        id=one.id,
        run=one.run_id,
        attempt=one.run_attempt,
        name=_name(one.name),
        status=_name(one.status),
        conclusion=_name(one.conclusion or ""),
        started_at=_utc(one.started_at),
        completed_at=_utc(one.completed_at),
        steps=tuple(_step(step) for step in sorted(one.steps, key=lambda step: step.number)),
        runner=_name(one.runner_name or ""),
        url=_url(one.html_url),
    )


def _step(one: raw.RawStep) -> JobStep:
    return JobStep(
        number=one.number,
        name=_name(one.name),
        status=_name(one.status),
        conclusion=_name(one.conclusion or ""),
        started_at=_utc(one.started_at),
        completed_at=_utc(one.completed_at),
    )


def pending_deployment(one: raw.RawPending) -> PendingDeployment:
    """A waiting environment, made harmless."""
    return PendingDeployment(
        environment_id=one.environment.id,
        environment=_name(one.environment.name),
        can_approve=one.current_user_can_approve,
        reviewers=tuple(_reviewers(one.reviewers)),
        waiting_since=_utc(one.wait_timer_started_at),
    )


def _reviewers(told: Iterable[raw.RawReviewer]) -> Iterable[str]:
    for one in told:
        if one.reviewer is not None:
            who = one.reviewer
            yield _name(who.login) if who.login else f"team {_name(who.slug or who.name or '?')}"


def approval(one: raw.RawApproval) -> Approval:
    """An approval or a rejection, made harmless."""
    return Approval(
        environments=tuple(_name(each.name) for each in one.environments),
        state=_name(one.state),
        comment=sanitise((one.comment or "")[:4096]),
        by=account(one.user),
    )


def artifact(one: raw.RawArtifact) -> Artifact:
    """An artifact, made harmless."""
    return Artifact(
        id=one.id,
        name=_name(one.name),
        size=one.size_in_bytes,
        expired=one.expired,
        created_at=_utc(one.created_at),
        expires_at=_utc(one.expires_at),
        digest=_name(one.digest or ""),
        run=one.workflow_run.id if one.workflow_run is not None else 0,
    )


def release(one: raw.RawRelease) -> Release:
    """A release, made harmless."""
    return Release(
        id=one.id,
        tag=_name(one.tag_name),
        name=_name(one.name or ""),
        url=_url(one.html_url),
        draft=one.draft,
    )


def check_run(one: raw.RawCheckRun) -> Check:
    """A check run, made harmless."""
    return Check(
        name=_name(one.name),
        status=_name(one.status),
        conclusion=_name(one.conclusion or ""),
        url=_url(one.html_url),
    )


def commit_status(one: raw.RawStatus) -> Check:
    """A commit status as a check: ``pending`` goes on, each other state is a conclusion."""
    goes_on = one.state == "pending"
    return Check(
        name=_name(one.context),
        status="in_progress" if goes_on else "completed",
        conclusion="" if goes_on else _name(one.state),
        url=_url(one.target_url),
    )


def deployment(one: raw.RawDeployment, latest: raw.RawDeploymentStatus | None) -> DeploymentRecord:
    """GitHub's record of a deployment, made harmless."""
    return DeploymentRecord(
        id=one.id,
        environment=_name(one.environment),
        sha=_name(one.sha),
        ref=_name(one.ref),
        creator=account(one.creator),
        created_at=_sure(one.created_at),
        state=_name(latest.state) if latest is not None else "",
        state_at=_utc(latest.created_at) if latest is not None else None,
        url=_url(latest.log_url or latest.target_url) if latest is not None else "",
    )


def _name(text: str) -> str:
    return sanitise_line(text, cap=_NAME_CAP)


def _url(text: str | None) -> str:
    return sanitise_line(text or "", cap=2048)


def _utc(at: datetime | None) -> datetime | None:
    """In UTC; None for none, and for the year 1 that GitHub sends for a step that has not begun."""
    return _sure(at) if at is not None and at.year > 1970 else None


def _sure(at: datetime) -> datetime:
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    return at.astimezone(UTC) if 1 < at.year < 9999 else at.replace(tzinfo=UTC)
