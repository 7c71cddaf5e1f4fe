"""The GitHub link: what the console asks of one repository, as frozen readings.

Every method raises `LinkError` and nothing else when GitHub cannot be asked. What runs there is `actions`,
what a release changes there is `releasing`: both ask by the same `GitHubHttp`, with its limits and counts.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import github_model as model
from muva_console.ops.links import github_raw
from muva_console.ops.links.base import CommandLog, LinkState, OnState
from muva_console.ops.links.github_actions import GitHubActions
from muva_console.ops.links.github_answers import decode
from muva_console.ops.links.github_counts import Counts, Resting
from muva_console.ops.links.github_http import GitHubHttp
from muva_console.ops.links.github_model import Comparison, ListedCommit, PullRequest, Rate, Review
from muva_console.ops.links.github_releasing import GitHubReleasing
from muva_console.ops.links.github_token import GitHubToken, github_token

__all__ = ["GitHubLink", "GitHubToken", "github_token"]

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_SHA = re.compile(r"[0-9a-f]{7,64}")
COMPARED_PAGES = 5
"""Pages of 100 commits that a comparison follows: what the checks look at."""


class GitHubLink:
    """One repository on GitHub. Opened on first use; safe to call many times at once."""

    def __init__(
        self,
        api: str,
        repository: str,
        token: Callable[[], Awaitable[str | None]],
        *,
        timeout: float,
        log: CommandLog | None = None,
        on_state: OnState | None = None,
    ) -> None:
        """`api`: the REST API's address; `repository`: OWNER/NAME; `timeout`: seconds for one request, as a
        whole. A `token` with an attribute `origin` (see `github_token`) is named by that in errors.
        """
        if not _REPOSITORY.fullmatch(repository):
            raise LinkError(Fault.CONFIG, "not OWNER/NAME of a repository", where="[project] repository")
        self.repository = repository
        self._http = GitHubHttp(api, token, timeout=timeout, log=log, on_state=on_state)
        self._below = f"/repos/{repository}"
        self.actions = GitHubActions(self._http, repository)
        """What runs there: workflows, jobs, logs, approvals, artifacts."""
        self.releasing = GitHubReleasing(self._http, repository)
        """What a release changes there: pull requests, issues, releases."""

    @property
    def state(self) -> LinkState:
        """Where the link stands, from the last request; never blocks."""
        return self._http.state

    @property
    def rate(self) -> Rate | None:
        """What GitHub's last answer said of its limit; None before it did."""
        return self._http.rate

    @property
    def counts(self) -> Counts:
        """How much GitHub was asked since the link was made, charged and uncharged."""
        return self._http.counts

    @property
    def resting(self) -> Resting | None:
        """Until when GitHub is left alone, and why (a limit, a failure); None while it is not."""
        return self._http.resting

    async def pulls_of(self, sha: str) -> tuple[PullRequest, ...]:
        """The pull requests that a commit belongs to: merged ones that brought or made it, and open ones
        that would bring it.
        """
        raw = await self._http.pages(f"{self._below}/commits/{_checked(sha)}/pulls", list[github_raw.RawPull])
        return tuple(model.pull_request(one) for one in raw)

    async def pull(self, number: int) -> PullRequest:
        """A pull request by its number. LinkError(MISSING) where there is none."""
        return model.pull_request(await self._http.get(f"{self._below}/pulls/{number:d}", github_raw.RawPull))

    async def reviews(self, number: int) -> tuple[Review, ...]:
        """All reviews of a pull request, in the order in which they were given."""
        raw = await self._http.pages(f"{self._below}/pulls/{number:d}/reviews", list[github_raw.RawReview])
        return tuple(model.review(one) for one in raw)

    async def commits_of(self, number: int) -> tuple[ListedCommit, ...]:
        """The commits of a pull request, oldest first; GitHub tells 250 at most."""
        raw = await self._http.pages(f"{self._below}/pulls/{number:d}/commits", list[github_raw.RawCommit])
        return tuple(model.listed_commit(one) for one in raw)

    async def compare(self, base: str, head: str) -> Comparison:
        """What `head` has that `base` has not; branches or commits. Up to 500 commits are listed."""
        names = f"{quote(base, safe='/')}...{quote(head, safe='/')}"
        answer = await self._http.ask(f"{self._below}/compare/{names}?per_page=100")
        first = decode(answer, github_raw.RawComparison, self._http.where)
        commits = list(first.commits)
        for _ in range(COMPARED_PAGES - 1):
            url = self._http.next_page(answer)
            if url is None:
                break
            answer = await self._http.ask(url)
            commits += decode(answer, github_raw.RawComparison, self._http.where).commits
        return Comparison(
            status=first.status,
            ahead=first.ahead_by,
            behind=first.behind_by,
            base=first.base_commit.sha,
            merge_base=first.merge_base_commit.sha,
            commits=tuple(model.listed_commit(one) for one in commits),
        )

    def line(self, path: str) -> str:
        """What a person would type to see a path below the repository, e.g. ``/pulls/12``."""
        return self._http.line(self._below + path)

    async def close(self) -> None:
        """Close what is open; the link may be used again."""
        await self._http.close()


def _checked(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise LinkError(Fault.CONFIG, "not a commit's hash", where="GitHub")
    return sha
