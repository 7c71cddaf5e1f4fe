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
