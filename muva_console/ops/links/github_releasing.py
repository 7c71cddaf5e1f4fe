"""What a release needs of GitHub beside its workflows: pull requests, issues, releases, checks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import github_model as model
from muva_console.ops.links import github_raw as raw
from muva_console.ops.links import github_runs as read
from muva_console.ops.links.github_http import GitHubHttp
from muva_console.ops.links.github_model import Account, Declined, PullRequest
from muva_console.ops.links.github_runs import Checks, DeploymentRecord, Release
from muva_console.ops.text import sanitise_line

MERGEABLE_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Seconds between asking whether a pull request can be merged: GitHub finds out in the background
(docs.github.com, "Checking mergeability of pull requests"), mostly within a few.
"""
DEPLOYMENTS = 10


class Issue(NamedTuple):
    """An issue (to GitHub a pull request is one too)."""

    open: bool
    title: str


class Branch(Struct, frozen=True, kw_only=True):
    """A branch on GitHub."""

    name: str
    sha: str
    protected: bool


class GitHubReleasing:
    """A repository's pull requests, issues and releases. Every method raises LinkError and nothing else.

    What changes something is sent once: `Declined` says that GitHub did not do it, `Unsure` that its answer
    was lost, and then the caller looks (`find_pull`, `GitHubLink.pull`, `release_by_tag` …).
    """

    def __init__(self, http: GitHubHttp, repository: str) -> None:
        self._http = http
        self._owner = repository.partition("/")[0]
        self._below = f"/repos/{repository}"

    async def me(self) -> Account:
        """Whose token it is. Declined(403) for a token of a workflow or an app, which is nobody's."""
        return model.account(await self._http.get("/user", raw.RawUser))

    async def find_pull(self, head: str, base: str, *, state: str = "open") -> PullRequest | None:
        """The pull request of a branch of this repository into another: the open one, with `state` ``all``
        else the newest closed one; None where there is none. It is one of a list: `mergeable` is unknown.
        """
        asked = {"state": state, "head": f"{self._owner}:{head}", "base": base}
        raws = await self._http.pages(f"{self._below}/pulls?{urlencode(asked)}", list[raw.RawPull], most=1)
        found = [model.pull_request(one) for one in raws]
        # GitHub passes over a filter that it cannot read and tells all
        fitting = [one for one in found if one.head == head and one.base == base and not one.fork]
        fitting.sort(key=lambda one: (one.state == "open", one.number), reverse=True)
        return fitting[0] if fitting else None

    async def open_pull(
        self, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> PullRequest:  # fmt: skip
        """Open a pull request. Declined(422) where there is one already, or nothing to merge."""
        told = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        made = await self._http.made(
            "POST", f"{self._below}/pulls", raw.RawPull, told, doing="the pull request was opened"
        )
        return model.pull_request(made)

    async def request_reviewers(self, number: int, logins: Sequence[str]) -> None:
        """Ask for reviews, of people by login (a leading ``@`` is dropped) and of teams as ``ORG/TEAM``.
        Declined(422) where one of them does not exist or may not review.
        """
        names = [login.removeprefix("@") for login in logins]
        body = {
            "reviewers": [name for name in names if "/" not in name],
            "team_reviewers": [name.partition("/")[2] for name in names if "/" in name],
        }
        try:
            await self._http.send(
                "POST",
                f"{self._pull(number)}/requested_reviewers",
                {key: value for key, value in body.items() if value},
                doing="reviews were asked for",
            )
        except Declined as error:
            if error.status != 422:
                raise
            who = sanitise_line(", ".join(names), cap=200)
            raise _other(
                error,
                f"GitHub does not ask {who} for a review: {error.said or 'it does not say why'}",
                means="somebody of them does not exist, is no collaborator, or has opened it",
                next="Mend the names of the reviewers, and ask again.",
            ) from None

    async def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Put labels on a pull request or an issue; those that are on it stay, unknown ones are made."""
        body = {"labels": list(labels)}
        await self._http.send(
            "POST", f"{self._below}/issues/{number:d}/labels", body, doing="the labels were added"
        )

    async def approve(self, number: int, sha: str, body: str) -> None:
        """Approve a pull request as of a commit. Declined(422) for one's own."""
        told = {"commit_id": sha, "event": "APPROVE", "body": body}
        await self._http.send("POST", f"{self._pull(number)}/reviews", told, doing=f"#{number} was approved")

    async def merge(self, number: int, *, sha: str, title: str = "", message: str = "") -> str:
        """Merge a pull request whose head is `sha` with a merge commit; that commit's hash.

        Declined(409) where the head has moved, Declined(405) where it cannot or may not be merged.
        """
        told = {"sha": sha, "merge_method": "merge", "commit_title": title, "commit_message": message}
        try:
            made = await self._http.made(
                "PUT",
                f"{self._pull(number)}/merge",
                raw.RawMerged,
                {key: value for key, value in told.items() if value},
                doing=f"#{number} was merged",
            )
        except Declined as error:
            said = error.said or "it does not say why"
            if error.status == 409:
                raise _other(
                    error,
                    f"the head of #{number} is not {sanitise_line(sha[:7])} any more, and nothing was merged",
                    means="somebody pushed since it was looked at",
                    next="Look at what came, and begin again from there.",
                ) from None
            if error.status == 405:
                raise _other(
                    error,
                    f"GitHub does not merge #{number}: {said}",
                    means="a conflict, a rule of the branch (reviews, checks), or it is merged already",
                    next="See the pull request.",
                ) from None
            raise
        return sanitise_line(made.sha, cap=64)

    async def wait_mergeable(self, number: int) -> PullRequest:
        """A pull request once GitHub knows whether it can be merged; after about twenty seconds as it is
        then, `mergeable` None where GitHub still does not know.
        """
        path = self._pull(number)
        pull = model.pull_request(await self._http.get(path, raw.RawPull))
        for pause in MERGEABLE_PAUSES:
            if pull.mergeable is not None or pull.state != "open":
                break
            await asyncio.sleep(pause)
            pull = model.pull_request(await self._http.get(path, raw.RawPull))
        return pull

    async def branch(self, name: str) -> Branch | None:
        """A branch as GitHub has it; None where there is none."""
        try:
            found = await self._http.get(f"{self._below}/branches/{quote(name, safe='/')}", raw.RawBranch)
        except Declined as error:
            if error.status == 404:
                return None
            raise
        return Branch(
            name=sanitise_line(found.name, cap=255),
            sha=sanitise_line(found.commit.sha, cap=64),
            protected=found.protected,
        )

    async def issue(self, number: int) -> Issue:
        """Whether an issue is open, and its title. Declined(404) where there is none."""
        found = await self._http.get(f"{self._below}/issues/{number:d}", raw.RawIssue)
        return Issue(open=found.state == "open", title=sanitise_line(found.title, cap=400))

    async def close_issue(self, number: int, comment: str) -> bool:
        """Close an issue as completed and say why there; False, and nothing done, where it is closed.

        It is closed first: a repetition after a lost answer finds it closed, and no comment stands twice.
        """
        if not (await self.issue(number)).open:
            return False
        path = f"{self._below}/issues/{number:d}"
        closed = {"state": "closed", "state_reason": "completed"}
        await self._http.send("PATCH", path, closed, doing=f"issue #{number} was closed")
        if comment:
            body = {"body": comment}
            doing = f"the comment was added to issue #{number}, which is closed"
            await self._http.send("POST", f"{path}/comments", body, doing=doing)
        return True

    async def release_by_tag(self, tag: str) -> Release | None:
        """The published release of a tag; None where there is none (or the token may not see it)."""
        try:
            path = f"{self._below}/releases/tags/{quote(tag, safe='/')}"
            return read.release(await self._http.get(path, raw.RawRelease))
        except Declined as error:
            if error.status == 404:
                return None
            raise

    async def create_release(self, tag: str, target: str, name: str, body: str) -> Release:
        """Publish a release; its tag is made at `target` (a branch or a hash) where there is none.
        Declined(422) where the tag has a release already.
        """
        told = {"tag_name": tag, "target_commitish": target, "name": name, "body": body}
        made = await self._http.made(
            "POST", f"{self._below}/releases", raw.RawRelease, told, doing="the release was published"
        )
        return read.release(made)

    async def checks(self, ref: str) -> Checks:
        """What was found of a commit: its check runs and its commit statuses, together.

        GitHub's own combined status says ``pending`` where there are no statuses, so it is not asked for its
        word.
        """
        path = f"{self._below}/commits/{quote(_plain(ref), safe='/')}"
        runs = await self._http.gather(f"{path}/check-runs", raw.RawCheckRuns, lambda page: page.check_runs)
        told = await self._http.gather(f"{path}/status", raw.RawCombined, lambda page: page.statuses)
        return Checks(
            ref=sanitise_line(ref, cap=255),
            checks=(*(read.check_run(one) for one in runs), *(read.commit_status(one) for one in told)),
        )

    async def deployments(self, environment: str, sha: str = "") -> tuple[DeploymentRecord, ...]:
        """GitHub's newest records of deployments to an environment, with their latest states; ten at most."""
        asked = {"environment": environment, **({"sha": sha} if sha else {}), "per_page": DEPLOYMENTS}
        path = f"{self._below}/deployments"
        found = await self._http.get(f"{path}?{urlencode(asked)}", list[raw.RawDeployment])
        records = []
        for one in found[:DEPLOYMENTS]:
            states = await self._http.get(
                f"{path}/{one.id:d}/statuses?per_page=1", list[raw.RawDeploymentStatus]
            )
            records.append(read.deployment(one, states[0] if states else None))
        return tuple(records)

    def _pull(self, number: int) -> str:
        return f"{self._below}/pulls/{number:d}"


def _other(error: Declined, what: str, *, means: str, next: str) -> Declined:
    """The same refusal in words that fit what was asked for."""
    return Declined(
        error.fault,
        what,
        status=error.status,
        said=error.said,
        fields=error.fields,
        where=error.where,
        means=means,
        next=next,
    )


def _plain(ref: str) -> str:
    if not ref or ref.startswith(("/", "-")) or ".." in ref or "?" in ref:
        raise LinkError(Fault.CONFIG, "not a branch, a tag or a commit's hash", where="GitHub")
    return ref
