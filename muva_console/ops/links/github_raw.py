"""GitHub's answers as it writes them: the part that is read, named as in GitHub's OpenAPI description.

Nothing here is sanitised; `github_model` makes readings of it.
"""
# ruff: noqa: D101 - each is described by GitHub, under its own name

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field


class RawUser(Struct, frozen=True):
    login: str
    type: str = "User"


class RawRepository(Struct, frozen=True):
    full_name: str


class RawEnd(Struct, frozen=True):
    ref: str
    sha: str
    repo: RawRepository | None = None


class RawLabel(Struct, frozen=True):
    name: str = ""


class RawTeam(Struct, frozen=True):
    slug: str = ""


class RawPull(Struct, frozen=True):
    number: int
    title: str
    state: str
    base: RawEnd
    head: RawEnd
    created_at: datetime
    html_url: str
    user: RawUser | None = None
    merged_at: datetime | None = None
    merge_commit_sha: str | None = None
    draft: bool = False
    body: str | None = None
    mergeable: bool | None = None
    labels: list[RawLabel] = field(default_factory=list)
    requested_reviewers: list[RawUser] = field(default_factory=list)
    requested_teams: list[RawTeam] = field(default_factory=list)


class RawReview(Struct, frozen=True):
    state: str
    user: RawUser | None = None
    commit_id: str | None = None
    submitted_at: datetime | None = None


class RawParent(Struct, frozen=True):
    sha: str


class RawPerson(Struct, frozen=True):
    name: str = ""


class RawGitCommit(Struct, frozen=True):
    message: str
    tree: RawParent
    author: RawPerson | None = None


class RawCommit(Struct, frozen=True):
    sha: str
    commit: RawGitCommit
    parents: list[RawParent] = field(default_factory=list)


class RawComparison(Struct, frozen=True):
    status: str
    ahead_by: int
    behind_by: int
    base_commit: RawParent
    merge_base_commit: RawParent
    commits: list[RawCommit] = field(default_factory=list)


class RawRun(Struct, frozen=True):
    id: int
    run_number: int
    head_sha: str
    path: str
    event: str
    html_url: str
    created_at: datetime
    updated_at: datetime
    name: str | None = None
    run_attempt: int = 1
    head_branch: str | None = None
    display_title: str = ""
    actor: RawUser | None = None
    triggering_actor: RawUser | None = None
    status: str | None = None
    conclusion: str | None = None
    run_started_at: datetime | None = None
    previous_attempt_url: str | None = None


class RawRuns(Struct, frozen=True):
    workflow_runs: list[RawRun]


class RawStep(Struct, frozen=True):
    number: int
    name: str
    status: str
    conclusion: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class RawJob(Struct, frozen=True):
    id: int
    run_id: int
    name: str
    status: str
    run_attempt: int = 1
    conclusion: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    runner_name: str | None = None
    html_url: str | None = None
    steps: list[RawStep] = field(default_factory=list)


class RawJobs(Struct, frozen=True):
    jobs: list[RawJob]


class RawEnvironment(Struct, frozen=True):
    id: int = 0
    name: str = ""


class RawReviewing(Struct, frozen=True):
    login: str = ""
    slug: str = ""
    name: str | None = None


class RawReviewer(Struct, frozen=True):
    type: str = ""
    reviewer: RawReviewing | None = None


class RawPending(Struct, frozen=True):
    environment: RawEnvironment
    current_user_can_approve: bool = False
    wait_timer: int = 0
    wait_timer_started_at: datetime | None = None
    reviewers: list[RawReviewer] = field(default_factory=list)


class RawApproval(Struct, frozen=True):
    environments: list[RawEnvironment]
    state: str
    comment: str | None = None
    user: RawUser | None = None


class RawArtifactRun(Struct, frozen=True):
    id: int = 0


class RawArtifact(Struct, frozen=True):
    id: int
    name: str
    size_in_bytes: int
    expired: bool
    created_at: datetime | None = None
    expires_at: datetime | None = None
    digest: str | None = None
    workflow_run: RawArtifactRun | None = None


class RawArtifacts(Struct, frozen=True):
    artifacts: list[RawArtifact]


class RawRelease(Struct, frozen=True):
    id: int
    tag_name: str
    html_url: str
    draft: bool
    name: str | None = None


class RawCheckRun(Struct, frozen=True):
    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None


class RawCheckRuns(Struct, frozen=True):
    check_runs: list[RawCheckRun]


class RawStatus(Struct, frozen=True):
    context: str
    state: str
    target_url: str | None = None


class RawCombined(Struct, frozen=True):
    state: str
    statuses: list[RawStatus] = field(default_factory=list)


class RawDeployment(Struct, frozen=True):
    id: int
    sha: str
    ref: str
    environment: str
    created_at: datetime
    creator: RawUser | None = None


class RawDeploymentStatus(Struct, frozen=True):
    state: str
    created_at: datetime
    log_url: str | None = None
    target_url: str | None = None


class RawMerged(Struct, frozen=True):
    sha: str
    merged: bool = True


class RawIssue(Struct, frozen=True):
    number: int
    state: str
    title: str


class RawBranch(Struct, frozen=True):
    name: str
    commit: RawParent
    protected: bool = False
