"""GitHub in memory, over the team's remote: what the acts ask of the link, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.github_model import Account, Declined, PullRequest, Review, Unsure
from muva_console.ops.links.github_runs import (
    Approval,
    Checks,
    Job,
    PendingDeployment,
    Release,
    WorkflowRun,
)
from tests.workshop.team import git

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class Issue(NamedTuple):
    open: bool
    title: str


def declined(status: int, what: str) -> Declined:
    return Declined(Fault.OTHER, what, status=status, said=what, where="GitHub")


class Hub:
    """Stands for `GitHubLink`, `link.releasing` and `link.actions` at once.

    `calls` are the changes asked for; `lost` names changes that are made, and whose answer is lost.
    """

    repository = "muva/muva-chat"

    def __init__(self, remote: Path, work: Path) -> None:
        self.remote, self.work = remote, work
        self.releasing = self.actions = self
        self.user = "dana-castillo"
        self.people = {"dana-castillo", "eve-lindqvist", "oskar-weiss"}
        self.pull_requests: dict[int, PullRequest] = {}
        self.given: dict[int, list[Review]] = {}
        self.issues: dict[int, Issue] = {}
        self.comments: dict[int, list[str]] = {}
        self.released: dict[str, tuple[Release, str, str]] = {}
        self.all_runs: list[WorkflowRun] = []
        self.waiting: dict[int, list[PendingDeployment]] = {}
        self.said: dict[int, list[Approval]] = {}
        self.found: dict[str, Checks] = {}
        self.all_jobs: dict[int, tuple[Job, ...]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.lost: set[str] = set()
        self.refuse: dict[str, LinkError] = {}
        self.before: dict[str, Callable[[], object]] = {}

    def _change(self, name: str, *what: Any) -> None:
        if name in self.before:
            self.before.pop(name)()
        if name in self.refuse:
            raise self.refuse[name]
        self.calls.append((name, *what))

    def _answer(self, name: str) -> None:
        if name in self.lost:
            self.lost.discard(name)
            raise Unsure(Fault.CLOSED, "the answer was lost", where="GitHub")

    def changes(self, name: str) -> int:
        return sum(call[0] == name for call in self.calls)

    # --- what GitHubLink has

    def line(self, path: str) -> str:
        return f"curl https://api.github.com/repos/{self.repository}{path}"

    async def pull(self, number: int) -> PullRequest:
        if number not in self.pull_requests:
            raise declined(404, "there is none")
        self._follow(number)
        return self.pull_requests[number]

    async def pulls_of(self, sha: str) -> tuple[PullRequest, ...]:
        return tuple(
            one
            for one in self.pull_requests.values()
            if sha in (one.merge_commit, one.head_sha)
            or (one.merged and sha in self._log(f"{one.merge_commit}^1..{one.merge_commit}"))
        )

    async def reviews(self, number: int) -> tuple[Review, ...]:
        return tuple(self.given.get(number, ()))

    # --- releasing

    async def me(self) -> Account:
        return Account(login=self.user)

    async def find_pull(self, head: str, base: str, *, state: str = "open") -> PullRequest | None:
        for number in self.pull_requests:
            self._follow(number)
        found = [
            one
            for one in self.pull_requests.values()
            if (one.head, one.base) == (head, base) and (state == "all" or one.state == "open")
        ]
        return max(found, key=lambda one: (one.state == "open", one.number), default=None)

    async def open_pull(
        self, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> PullRequest:
        self._change("open_pull", head, base)
        if await self.find_pull(head, base) is not None:
            raise declined(422, "A pull request already exists")
        number = self.add(head, base, title, body=body, author=self.user)
        self._answer("open_pull")
        return self.pull_requests[number]

    async def request_reviewers(self, number: int, logins: Sequence[str]) -> None:
        self._change("request_reviewers", number, tuple(logins))
        unknown = [name for name in logins if name not in self.people]
        if unknown:
            raise declined(422, f"Reviews may only be requested from collaborators: {unknown}")
        one = self.pull_requests[number]
        self.pull_requests[number] = replace(one, requested=(*one.requested, *logins))

    async def add_labels(self, number: int, labels: Sequence[str]) -> None:
        self._change("add_labels", number, tuple(labels))
        one = self.pull_requests[number]
        self.pull_requests[number] = replace(one, labels=(*one.labels, *labels))

    async def approve(self, number: int, sha: str, body: str) -> None:
        self._change("approve", number, sha)
        if self.pull_requests[number].author.login == self.user:
            raise declined(422, "Can not approve your own pull request")
        self.review(number, self.user)
        self._answer("approve")

    async def merge(self, number: int, *, sha: str, title: str = "", message: str = "") -> str:
        self._change("merge", number, sha)
        self._follow(number)
        one = self.pull_requests[number]
        if one.head_sha != sha:
            raise declined(409, "Head branch was modified")
        if one.merged:
            raise declined(405, "Pull Request is not mergeable")
        made = self.merge_by_hand(number)
        self._answer("merge")
        return made

    async def wait_mergeable(self, number: int) -> PullRequest:
        return await self.pull(number)

    async def checks(self, ref: str) -> Checks:
        return self.found.get(ref, Checks(ref=ref, checks=()))

    async def issue(self, number: int) -> Issue:
        if number not in self.issues:
            raise declined(404, "there is none")
        return self.issues[number]

    async def close_issue(self, number: int, comment: str) -> bool:
        self._change("close_issue", number)
        if not self.issues[number].open:
            return False
        self.issues[number] = Issue(False, self.issues[number].title)
        self.comments.setdefault(number, []).append(comment)
        self._answer("close_issue")
        return True

    async def release_by_tag(self, tag: str) -> Release | None:
        return self.released[tag][0] if tag in self.released else None

    async def create_release(self, tag: str, target: str, name: str, body: str) -> Release:
        self._change("create_release", tag, target)
        made = Release(id=1, tag=tag, name=name, url=f"https://github.com/r/{tag}", draft=False)
        self.released[tag] = (made, target, body)
        git(self.remote, "tag", tag, target)
        self._answer("create_release")
        return made

    # --- actions

    async def runs(self, **asked: Any) -> tuple[WorkflowRun, ...]:
        sha, branch = asked.get("sha", ""), asked.get("branch", "")
        return tuple(one for one in self.all_runs if sha in ("", one.sha) and branch in ("", one.branch))

    async def run(self, run: WorkflowRun | int) -> WorkflowRun:
        number = run if isinstance(run, int) else run.id
        return next(one for one in self.all_runs if one.id == number)

    async def jobs(self, run: WorkflowRun | int, *, attempt: int | None = None) -> tuple[Job, ...]:
        return self.all_jobs.get(run if isinstance(run, int) else run.id, ())

    async def pending(self, run: WorkflowRun | int) -> tuple[PendingDeployment, ...]:
        return tuple(self.waiting.get(run if isinstance(run, int) else run.id, ()))

    async def approvals(self, run: WorkflowRun | int) -> tuple[Approval, ...]:
        return tuple(self.said.get(run if isinstance(run, int) else run.id, ()))

    async def decide(
        self, run: WorkflowRun | int, environments: Sequence[int], *, approve: bool, comment: str
    ) -> None:
        number = run if isinstance(run, int) else run.id
        self._change("decide", number, approve, comment)
        names = tuple(one.environment for one in self.waiting.pop(number, []))
        word = "approved" if approve else "rejected"
        said = Approval(environments=names, state=word, comment=comment, by=Account(login=self.user))
        self.said.setdefault(number, []).append(said)
        self._answer("decide")

    # --- the others

    def add(self, head: str, base: str, title: str, *, body: str = "", author: str = "eve-lindqvist") -> int:
        """Somebody opens a pull request."""
        number = max(self.pull_requests, default=52) + 1
        self.pull_requests[number] = PullRequest(
            number=number, title=title, author=Account(login=author), state="open", base=base, head=head,
            head_sha=self._head(head), fork=False, draft=False, labels=(), created_at=AT, merged_at=None,
            merge_commit="", body=body, mergeable=True, url=f"https://github.com/pull/{number}",
        )  # fmt: skip
        return number

    def review(self, number: int, login: str, state: str = "APPROVED") -> None:
        """Somebody reviews."""
        one = self.pull_requests[number]
        told = Review(author=Account(login=login), state=state, commit=one.head_sha, at=AT)
        self.given.setdefault(number, []).append(told)
        left = tuple(name for name in one.requested if name != login)
        self.pull_requests[number] = replace(one, requested=left)

    def merge_by_hand(self, number: int, *, squash: bool = False) -> str:
        """Somebody presses the button."""
        one = self.pull_requests[number]
        git(self.work, "fetch", "-q", "origin")
        git(self.work, "checkout", "-q", "-B", one.base, f"origin/{one.base}")
        message = f"Merge pull request #{number} from {one.head}\n\n{one.title}"
        if squash:
            git(self.work, "merge", "-q", "--squash", one.head_sha)
            git(self.work, "commit", "-q", "-m", f"{one.title} (#{number})")
        else:
            git(self.work, "merge", "-q", "--no-ff", "-m", message, one.head_sha)
        made = git(self.work, "rev-parse", "HEAD")
        git(self.work, "push", "-q", "origin", one.base)
        self.pull_requests[number] = replace(one, state="closed", merged_at=AT, merge_commit=made)
        return made

    def _follow(self, number: int) -> None:
        one = self.pull_requests[number]
        if one.state == "open":
            self.pull_requests[number] = replace(one, head_sha=self._head(one.head))

    def _head(self, branch: str) -> str:
        return git(self.remote, "rev-parse", "--verify", f"refs/heads/{branch}")

    def _log(self, span: str) -> list[str]:
        return git(self.remote, "rev-list", span).split()
