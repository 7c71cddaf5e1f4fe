"""What people do to pull requests: open, review, merge; done so by the server and by the drill alike."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from msgspec import Struct

from muva_console.drill.github.gitdata import Conflict, Moved, Repository
from muva_console.drill.github.protection import NEEDED, protected
from muva_console.drill.github.records import PEOPLE, READER, Pull, Review, State, Store, now

_CLOSES = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+#(\d+)", re.IGNORECASE)
"""GitHub's words (docs.github.com, "Linking a pull request to an issue")."""
_DEFAULT = "main"

AfterPush = Callable[[str, str, str, str], Awaitable[None]]
"""Told of a branch that moved: its name, the commit before, the commit now, the login of who did it."""


async def _nobody(branch: str, before: str, after: str, login: str) -> None:
    """Where nobody needs to be told."""


EVENTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


class Refusal(Exception):
    """What GitHub would answer instead of doing it."""

    def __init__(
        self, status: int, message: str, *, resource: str = "PullRequest", field: str = "",
        code: str = "invalid",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.message = message
        self.resource = resource
        self.field = field
        self.code = code


class Github(Struct, frozen=True):
    """The two halves of what the stand-in stands for."""

    repository: Repository
    store: Store
    after_push: AfterPush = _nobody

    def pull_of(self, state: State, number: int) -> Pull:
        """A pull request by its number. Raises Refusal(404)."""
        pull = state.pulls.get(number)
        if pull is None:
            raise Refusal(404, "Not Found")
        return pull

    async def see(self, pull: Pull) -> None:
        """Let an open pull request's head and base be where its branches are now.

        One whose commits a push brought to the base is merged by that, as on GitHub.
        """
        if not pull.open:
            return
        head = await self.repository.resolve(f"refs/heads/{pull.head}") or pull.head_sha
        base = await self.repository.resolve(f"refs/heads/{pull.base}") or pull.base_sha
        if (head, base) == (pull.head_sha, pull.base_sha):
            return
        brought: list[str] = []
        if not (await self.repository.count(base, head))[0]:
            brought = [one.sha for one in await self.repository.between(pull.base_sha, head)]
        with self.store.change() as state:
            for one in (pull, state.pulls[pull.number]):
                one.head_sha, one.base_sha = head, base
                if brought and one.open:
                    one.merged_at = one.closed_at = one.updated_at = now()
                    one.merge_commit, one.commits = base, brought

    async def open(
        self, *, author: str, title: str, head: str, base: str, body: str = "", draft: bool = False
    ) -> Pull:
        """Open a pull request. Raises Refusal(422)."""
        if not title.strip():
            raise Refusal(422, "Validation Failed", field="title")
        base_sha = await self.repository.resolve(base)
        head_sha = await self.repository.resolve(head)
        if base_sha is None:
            raise Refusal(422, "Validation Failed", field="base")
        if head_sha is None:
            raise Refusal(422, "Validation Failed", field="head")
        if not (await self.repository.count(base_sha, head_sha))[0]:
            raise Refusal(422, f"No commits between {base} and {head}")
        with self.store.change() as state:
            if any(p.open and (p.head, p.base) == (head, base) for p in state.pulls.values()):
                raise Refusal(422, f"A pull request already exists for {head}.")
            pull = Pull(
                number=state.new_number(), title=title, author=author, base=base, head=head,
                base_sha=base_sha, head_sha=head_sha, created_at=now(), updated_at=now(), body=body,
                draft=draft,
            )  # fmt: skip
            state.pulls[pull.number] = pull
        return pull

    async def review(
        self, number: int, *, author: str, event: str, body: str = "", commit: str = ""
    ) -> Review:
        """Say something of a pull request. Raises Refusal(404 or 422)."""
        if event not in EVENTS:
            raise Refusal(422, f"no such event: {event}")
        if event != "APPROVE" and not body:
            raise Refusal(422, "Unprocessable Entity: a body is needed")
        seen = self.pull_of(self.store.read(), number)
        await self.see(seen)
        with self.store.change() as state:
            pull = self.pull_of(state, number)
            if event != "COMMENT" and author == pull.author:
                what = "approve" if event == "APPROVE" else "request changes on"
                raise Refusal(422, f"Can not {what} your own pull request")
            pull.head_sha, pull.updated_at = seen.head_sha, now()
            review = Review(
                id=state.new_id(), author=author, state=EVENTS[event], commit=commit or seen.head_sha,
                at=now(), body=body,
            )  # fmt: skip
            pull.reviews.append(review)
            pull.reviewers = [login for login in pull.reviewers if login != author]
        return review

    async def request_reviewers(self, number: int, logins: list[str]) -> Pull:
        """Ask people for their review. Raises Refusal(404 or 422)."""
        with self.store.change() as state:
            pull = self.pull_of(state, number)
            if pull.author in logins:
                raise Refusal(422, "Review cannot be requested from pull request author.")
            if not all(login in (*PEOPLE, READER) for login in logins):
                raise Refusal(
                    422,
                    "Reviews may only be requested from collaborators. One or more of the users or teams "
                    "you specified is not a collaborator of the muva/muva-chat repository.",
                )
            pull.reviewers = list(dict.fromkeys((*pull.reviewers, *logins)))
            pull.updated_at = now()
        return pull

    async def merge(
        self, number: int, *, author: str, sha: str = "", method: str = "merge", title: str = "",
        message: str = "",
    ) -> str:  # fmt: skip
        """Merge a pull request for real; the new commit of its base. Raises Refusal(404, 405 or 409)."""
        pull = self.pull_of(self.store.read(), number)
        await self.see(pull)
        if not pull.open or pull.draft:
            raise Refusal(405, "Pull Request is not mergeable")
        if method not in ("merge", "squash"):
            raise Refusal(405, "Rebase merges are not allowed on this repository.")
        if sha and sha != pull.head_sha:
            raise Refusal(409, "Head branch was modified. Review and try the merge again.")
        if pull.base in protected(self.repository.path) and not _approved(pull):
            raise Refusal(405, NEEDED)
        commits = await self.repository.between(pull.base_sha, pull.head_sha)
        brought = [one.sha for one in commits]
        if method == "squash":
            text = f"{title or f'{pull.title} (#{number})'}\n\n{message}".rstrip()
        else:
            text = f"{title or f'Merge pull request #{number} from {pull.head}'}\n\n{message or pull.title}"
        try:
            made = await self.repository.merge(
                pull.base, pull.base_sha, pull.head_sha, message=text, author=author,
                squash=method == "squash",
            )  # fmt: skip
        except Conflict:
            raise Refusal(405, "Pull Request is not mergeable") from None
        except Moved:
            raise Refusal(409, "Base branch was modified. Review and try the merge again.") from None
        with self.store.change() as state:
            pull = self.pull_of(state, number)
            pull.merged_at = pull.closed_at = pull.updated_at = now()
            pull.merged_by, pull.merge_commit, pull.commits = author, made, brought
            if pull.base == _DEFAULT:
                texts = [pull.body, text, *(one.message for one in commits)]
                _close(state, {int(one) for each in texts for one in _CLOSES.findall(each)}, author)
        await self.after_push(pull.base, pull.base_sha, made, author)
        return made

    async def commits_of(self, pull: Pull) -> list[str]:
        """The hashes that a pull request brings, oldest first."""
        if pull.merged_at is not None:
            return pull.commits
        return [one.sha for one in await self.repository.between(pull.base_sha, pull.head_sha)]


def _approved(pull: Pull) -> bool:
    """Whether somebody else than the author approves and nobody asks for changes, each by their last word."""
    last = {one.author: one.state for one in pull.reviews if one.state != "COMMENTED"}
    last.pop(pull.author, None)
    return "APPROVED" in last.values() and "CHANGES_REQUESTED" not in last.values()


def _close(state: State, numbers: set[int], login: str) -> None:
    """What GitHub does to the issues that a merge to the default branch names with a closing word."""
    for number in numbers:
        issue = state.issues.get(number)
        if issue is not None and issue.open:
            issue.closed_at = issue.updated_at = now()
            issue.closed_by, issue.reason = login, "completed"
