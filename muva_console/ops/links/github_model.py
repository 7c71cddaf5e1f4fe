"""What GitHub told, as frozen readings: every text harmless, every time in UTC."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.github_raw import RawCommit, RawPull, RawReview, RawUser
from muva_console.ops.text import sanitise, sanitise_line

_NAME_CAP = 255
_BODY_CAP = 16 * 1024


class Account(Struct, frozen=True, kw_only=True):
    """Somebody on GitHub."""

    login: str
    """Empty where the account is gone."""
    bot: bool = False


class PullRequest(Struct, frozen=True, kw_only=True):
    """A pull request."""

    number: int
    title: str
    author: Account
    state: str
    """``open`` or ``closed``."""
    base: str
    head: str
    """Branches."""
    head_sha: str
    fork: bool
    """Whether `head` is a branch of another repository (or of one that is gone)."""
    draft: bool
    labels: tuple[str, ...]
    created_at: datetime
    merged_at: datetime | None
    merge_commit: str
    """The commit that merging made; while it is open, GitHub's trial of it. Empty where there is none."""
    body: str = ""
    mergeable: bool | None = None
    """None while GitHub has not found out, and in lists."""
    url: str = ""
    """For a browser."""
    requested: tuple[str, ...] = ()
    """Whose review is asked for and not given yet: logins, a team as ``team SLUG``."""

    @property
    def merged(self) -> bool:
        """Whether it was merged."""
        return self.merged_at is not None


class Review(Struct, frozen=True, kw_only=True):
    """A review of a pull request."""

    author: Account
    state: str
    """``APPROVED``, ``CHANGES_REQUESTED``, ``COMMENTED``, ``DISMISSED`` or ``PENDING``."""
    commit: str
    """The head that was looked at; empty where GitHub does not know any more."""
    at: datetime | None


class ListedCommit(Struct, frozen=True, kw_only=True):
    """A commit as GitHub lists it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    subject: str
    author: str
    """The name that git has."""


class Comparison(Struct, frozen=True, kw_only=True):
    """Two commits compared."""

    status: str
    """``ahead``, ``behind``, ``diverged`` or ``identical``."""
    ahead: int
    behind: int
    base: str
    merge_base: str
    commits: tuple[ListedCommit, ...]
    """What head has and base has not, oldest first; fewer than `ahead` where there were too many."""


class Rate(Struct, frozen=True, kw_only=True):
    """How much GitHub lets itself be asked, as of its last answer."""

    limit: int
    remaining: int
    resets: datetime


class Declined(LinkError):
    """GitHub answered, and it was no: with which status, what it said, and of which fields."""

    def __init__(
        self,
        fault: Fault,
        what: str,
        *,
        status: int,
        said: str = "",
        fields: tuple[str, ...] = (),
        where: str = "",
        means: str = "",
        next: str = "",
    ) -> None:
        super().__init__(fault, what, where=where, means=means, next=next)
        self.status = status
        self.said = said
        self.fields = fields


class Unsure(LinkError):
    """A change was sent and no answer says whether it was made. Never sent again by itself."""

    unsure = True


class RateLimited(LinkError):
    """GitHub wants not to be asked for a while; nothing is sent to it until `until`."""

    def __init__(self, what: str, *, until: datetime, where: str = "", means: str = "") -> None:
        clock = until.strftime("%H:%M:%S")
        super().__init__(Fault.OTHER, what, where=where, means=means, next=f"Ask again after {clock} UTC.")
        self.until = until


def account(raw: RawUser | None) -> Account:
    """Who that is."""
    if raw is None:
        return Account(login="")
    return Account(login=_name(raw.login), bot=raw.type == "Bot" or raw.login.endswith("[bot]"))


def pull_request(raw: RawPull) -> PullRequest:
    """A pull request, made harmless."""
    base, head = raw.base.repo, raw.head.repo
    return PullRequest(
        number=raw.number,
        title=sanitise_line(raw.title, cap=400),
        author=account(raw.user),
        state=_name(raw.state),
        base=_name(raw.base.ref),
        head=_name(raw.head.ref),
        head_sha=_name(raw.head.sha),
        fork=head is None or (base is not None and head.full_name.lower() != base.full_name.lower()),
        draft=raw.draft,
        labels=tuple(_name(label.name) for label in raw.labels),
        created_at=raw.created_at,
        merged_at=raw.merged_at,
        merge_commit=_name(raw.merge_commit_sha or ""),
        body=sanitise((raw.body or "")[:_BODY_CAP]),
        mergeable=raw.mergeable,
        url=sanitise_line(raw.html_url, cap=2048),
        requested=(
            *(_name(one.login) for one in raw.requested_reviewers),
            *(f"team {_name(one.slug)}" for one in raw.requested_teams),
        ),
    )


def review(raw: RawReview) -> Review:
    """A review, made harmless."""
    return Review(
        author=account(raw.user),
        state=_name(raw.state).upper(),
        commit=_name(raw.commit_id or ""),
        at=raw.submitted_at,
    )


def listed_commit(raw: RawCommit) -> ListedCommit:
    """A commit, made harmless."""
    return ListedCommit(
        sha=_name(raw.sha),
        tree=_name(raw.commit.tree.sha),
        parents=tuple(_name(parent.sha) for parent in raw.parents),
        subject=sanitise_line(raw.commit.message.partition("\n")[0], cap=400),
        author=sanitise_line(raw.commit.author.name if raw.commit.author else "", cap=120),
    )


def _name(text: str) -> str:
    return sanitise_line(text, cap=_NAME_CAP)
