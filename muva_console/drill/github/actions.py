"""What people do to pull requests: open, review, merge; done so by the server and by the drill alike."""

from __future__ import annotations

from msgspec import Struct

from muva_console.drill.github.gitdata import Conflict, Moved, Repository
from muva_console.drill.github.records import PEOPLE, Pull, Review, State, Store, now

EVENTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


class Refusal(Exception):
    """What GitHub would answer instead of doing it."""

    def __init__(self, status: int, message: str, *, resource: str = "PullRequest", field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.resource = resource
        self.field = field


class Github(Struct, frozen=True):
    """The two halves of what the stand-in stands for."""

    repository: Repository
    store: Store

    def pull_of(self, state: State, number: int) -> Pull:
        """A pull request by its number. Raises Refusal(404)."""
        pull = state.pulls.get(number)
        if pull is None:
            raise Refusal(404, "Not Found")
        return pull

    async def see(self, pull: Pull) -> None:
        """Let an open pull request's head and base be where its branches are now."""
        if pull.open:
            pull.head_sha = await self.repository.resolve(pull.head) or pull.head_sha
            pull.base_sha = await self.repository.resolve(pull.base) or pull.base_sha

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
            if not all(login in PEOPLE for login in logins):
                raise Refusal(
                    422,
                    "Reviews may only be requested from collaborators. One or more of the users or teams "
                    f"you specified is not a collaborator of the {number} repository.",
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
        brought = [one.sha for one in await self.repository.between(pull.base_sha, pull.head_sha)]
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
        return made

    async def commits_of(self, pull: Pull) -> list[str]:
        """The hashes that a pull request brings, oldest first."""
        if pull.merged_at is not None:
            return pull.commits
        return [one.sha for one in await self.repository.between(pull.base_sha, pull.head_sha)]
