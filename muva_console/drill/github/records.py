"""What the stand-in remembers beside the git repository: pull requests, issues, releases, as one JSON file.

The server and the drill's own functions both write it, in different processes: under a lock, whole.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct, field

from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

REPOSITORY = "muva/muva-chat"
"""OWNER/NAME, as the estate's configuration has it."""
PEOPLE = ("dana-castillo", "eve-lindqvist", "oskar-weiss")
"""The team's logins; each has a token of their own."""
READER = "petra-holm"
"""Who may read everything and change nothing: her token is of the fine-grained kind."""
ENGINEER = "dana-castillo"
"""Whose token the estate's configuration refers to."""
FIRST_FREE = 53
"""The number of the next pull request: the history and the faults have those below."""


class Review(Struct, kw_only=True):
    """What somebody said of a pull request."""

    id: int
    author: str
    state: str
    """APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED."""
    commit: str
    """The head that was looked at."""
    at: datetime
    body: str = ""


class Pull(Struct, kw_only=True):
    """A pull request."""

    number: int
    title: str
    author: str
    base: str
    head: str
    """Branches."""
    base_sha: str
    head_sha: str
    """As it was last seen; an open one's follows its branch."""
    created_at: datetime
    updated_at: datetime
    body: str = ""
    draft: bool = False
    commits: list[str] = field(default_factory=list)
    """Of one that was merged: the commits it brought, oldest first."""
    merged_at: datetime | None = None
    merged_by: str | None = None
    merge_commit: str | None = None
    closed_at: datetime | None = None
    reviews: list[Review] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    """Who was asked and has not answered."""
    labels: list[str] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether it is neither merged nor closed."""
        return self.closed_at is None


class CheckRun(Struct, kw_only=True):
    """A check of a commit, as a workflow's job is one."""

    id: int
    sha: str
    name: str
    status: str = "completed"
    conclusion: str | None = "success"
    started_at: datetime
    completed_at: datetime | None = None


class Comment(Struct, kw_only=True):
    """What somebody said below an issue or a pull request."""

    id: int
    author: str
    body: str
    at: datetime


class Issue(Struct, kw_only=True):
    """An issue. Pull requests are numbered with them and answer as issues too."""

    number: int
    title: str
    author: str
    created_at: datetime
    updated_at: datetime
    body: str = ""
    labels: list[str] = field(default_factory=list)
    comments: int = 0
    closed_at: datetime | None = None
    closed_by: str | None = None
    reason: str | None = None
    """completed, not_planned or reopened."""

    @property
    def open(self) -> bool:
        """Whether it is not closed."""
        return self.closed_at is None


class Release(Struct, kw_only=True):
    """A release."""

    id: int
    tag: str
    target: str
    """The branch or the commit that the tag was to be made at."""
    name: str
    body: str
    author: str
    created_at: datetime
    published_at: datetime | None
    draft: bool = False
    prerelease: bool = False


class Trouble(Struct, kw_only=True):
    """A bad day of GitHub's; each count goes down with every request that it spoilt."""

    slow: float = 0.0
    """Seconds that every answer takes longer."""
    failing: int = 0
    """Requests to be answered with `status`."""
    status: int = 500
    """500 in JSON; 502 and 503 are pages of HTML."""
    half: int = 0
    """Answers to break off in the middle of the body."""
    secondary: int = 0
    """Requests to be refused for the secondary limit, with `retry_after` seconds."""
    retry_after: int = 60
    pondering: int = 0
    """Times that a pull request asked for is not known yet to be mergeable or not."""
    only: str = ""
    """A regular expression that a path must hold to be meant; "" means each, of both servers."""

    @property
    def any(self) -> bool:
        """Whether there is trouble at all."""
        return bool(self.slow or self.failing or self.half or self.secondary)


class State(Struct, kw_only=True):
    """All of it."""

    created_at: datetime
    pulls: dict[int, Pull] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, list[Comment]] = field(default_factory=dict)
    """By the number of the issue or the pull request."""
    releases: list[Release] = field(default_factory=list)
    """In the order in which they were made."""
    checks: list[CheckRun] = field(default_factory=list)
    next_number: int = FIRST_FREE
    next_id: int = 9001
    limit: int = 5000
    """Requests an hour for each token; lowered by whoever wants to see the limit reached."""
    trouble: Trouble = field(default_factory=Trouble)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    """By login: rights that the token has not, ``actions=write`` (`rights.needed`); ``*`` is every write."""

    def new_id(self) -> int:
        """A number that nothing else has."""
        self.next_id += 1
        return self.next_id

    def new_number(self, wanted: int | None = None) -> int:
        """The number of a new pull request or issue: the one wanted where it is free."""
        if wanted is not None and 0 < wanted < FIRST_FREE and wanted not in {*self.pulls, *self.issues}:
            return wanted
        self.next_number += 1
        return self.next_number - 1


def now() -> datetime:
    """The time to the second, as GitHub tells it."""
    return datetime.now(UTC).replace(microsecond=0)


class Store:
    """The file. `read` is a snapshot; `change` is a turn of one's own that is written when it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> State:
        """What is known now. Raises OpsError."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return State(created_at=now())
        except (OSError, msgspec.DecodeError) as error:
            raise OpsError(f"the stand-in's memory cannot be read: {error}", where=str(self._path)) from error

    @contextmanager
    def change(self) -> Iterator[State]:
        """Hold the state for oneself; what was changed is written when the block ends well."""
        lock = os.open(self._path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            yield state
            beside = self._path.with_suffix(".next")
            beside.write_bytes(msgspec.json.encode(state))
            beside.replace(self._path)
        finally:
            os.close(lock)


def store(estate: Estate) -> Store:
    """An estate's."""
    return Store(estate.directory / "github.json")


def token_file(estate: Estate, login: str = ENGINEER) -> Path:
    """Where somebody's token stands."""
    return estate.secrets / f"github.{login}.token"


def webhook_file(estate: Estate) -> Path:
    """Where the address of Slack's webhook stands."""
    return estate.secrets / "slack.webhook"


def messages_file(estate: Estate) -> Path:
    """Where the messages posted to Slack are kept, one JSON text a line."""
    return estate.directory / "slack.jsonl"


def make_secrets(estate: Estate) -> None:
    """A token for each of the team, in the form that GitHub's have, and the webhook's address."""
    for login in PEOPLE:
        _write(token_file(estate, login), f"ghp_{secrets.token_hex(18)}")
    _write(token_file(estate, READER), f"github_pat_{secrets.token_hex(11)}_{secrets.token_hex(29)}")
    path = f"/services/TDRILL/BDRILL/{secrets.token_hex(12)}"
    _write(webhook_file(estate), f"http://127.0.0.1:{estate.github_port}{path}")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
