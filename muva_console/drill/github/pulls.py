"""Pull requests for the drill and for tests: what reviewed, and unreviewed, work looks like on GitHub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from muva_console.drill.github.actions import Github
from muva_console.drill.github.gitdata import Repository
from muva_console.drill.github.records import Pull, Review, State, now, store
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

_DANA, _EVE, _OSKAR = "dana-castillo", "eve-lindqvist", "oskar-weiss"
_NUMBER = re.compile(r"\(#(\d+)\)$")


class Seeded(Struct, frozen=True, kw_only=True):
    """A pull request of the made-up history."""

    number: int
    title: str
    author: str
    base: str
    head: str
    at: int
    """When it was merged, in seconds since 1970."""
    merge_commit: str
    commits: tuple[str, ...]


def github(estate: Estate) -> Github:
    """An estate's GitHub, to act on without its server: `open`, `review`, `merge` as people do."""
    return Github(Repository(estate.repository), store(estate))


def seed(estate: Estate, history: Sequence[Seeded]) -> None:
    """Remember the history's pull requests, each merged and approved by somebody else than its author."""
    from datetime import UTC

    with store(estate).change() as state:
        for one in history:
            at = datetime.fromtimestamp(one.at, UTC)
            pull = _merged(state, one.number, one.title, one.author, one.base, one.head, one.commits, at)
            pull.merge_commit = one.merge_commit
            _say(state, pull, _other(one.author), "APPROVED", at - timedelta(minutes=20))


async def reviewed(
    estate: Estate, shas: Sequence[str], *, author: str = _OSKAR, approver: str = _DANA, base: str = "dev"
) -> int:
    """Let commits that were added to a branch have come by one merged pull request, approved by `approver`;
    its number: that of the last commit's subject, ``… (#47)``, where it is free. Raises OpsError.
    """
    return await merged(estate, shas, author=author, base=base, reviews=((approver, "APPROVED"),))


async def unreviewed(estate: Estate, shas: Sequence[str], *, author: str = _OSKAR, base: str = "dev") -> int:
    """Likewise, merged without any review."""
    return await merged(estate, shas, author=author, base=base)


async def self_approved(
    estate: Estate, shas: Sequence[str], *, author: str = _OSKAR, base: str = "dev"
) -> int:
    """Likewise, approved by its own author alone (GitHub itself refuses that; a bot of theirs may not)."""
    return await merged(estate, shas, author=author, base=base, reviews=((author, "APPROVED"),))


async def changes_requested(
    estate: Estate, shas: Sequence[str], *, author: str = _OSKAR, approver: str = _DANA, base: str = "dev"
) -> int:
    """Likewise, approved at first; then the same person asked for changes, and it was merged anyway."""
    reviews = ((approver, "APPROVED"), (approver, "CHANGES_REQUESTED"))
    return await merged(estate, shas, author=author, base=base, reviews=reviews)


async def dismissed(
    estate: Estate, shas: Sequence[str], *, author: str = _OSKAR, approver: str = _DANA, base: str = "dev"
) -> int:
    """Likewise, with an approval that was dismissed later."""
    return await merged(estate, shas, author=author, base=base, reviews=((approver, "DISMISSED"),))


def forget(estate: Estate, number: int) -> None:
    """Let a pull request never have been: its commits are gone."""
    with store(estate).change() as state:
        state.pulls.pop(number, None)


def dismiss(estate: Estate, shas: Sequence[str]) -> list[int]:
    """Dismiss the approvals of the first pull request that brought one of these commits in itself; the ids
    of the reviews. Raises OpsError when none of them was approved.
    """
    with store(estate).change() as state:
        for number in sorted(state.pulls):
            pull = state.pulls[number]
            approvals = [one for one in pull.reviews if one.state == "APPROVED"]
            if len(pull.commits) == 1 and pull.commits[0] in shas and approvals:
                for review in approvals:
                    review.state = "DISMISSED"
                return [review.id for review in approvals]
    raise OpsError("none of these commits has an approval that could be dismissed")


def approve_again(estate: Estate, ids: Sequence[int]) -> None:
    """Let dismissed approvals count again."""
    with store(estate).change() as state:
        for pull in state.pulls.values():
            for review in pull.reviews:
                if review.id in ids:
                    review.state = "APPROVED"


async def merged(
    estate: Estate,
    shas: Sequence[str],
    *,
    author: str,
    base: str = "dev",
    reviews: Sequence[tuple[str, str]] = (),
) -> int:
    """A merged pull request of these commits, oldest first, with reviews as (login, state), in order."""
    found = await Repository(estate.repository).commits(*shas, walk=False) if shas else []
    if len(found) != len(set(shas)) or not found:
        raise OpsError("these commits are not in the estate's repository", where=", ".join(shas))
    title = next(one for one in found if one.sha == shas[-1]).message.splitlines()[0]
    told = _NUMBER.search(title)
    with store(estate).change() as state:
        number = state.new_number(int(told[1]) if told else None)
        pull = _merged(state, number, _NUMBER.sub("", title).strip(), author, base, "", shas, now())
        for login, verdict in reviews:
            _say(state, pull, login, verdict, now())
    return number


def _merged(
    state: State, number: int, title: str, author: str, base: str, head: str, shas: Sequence[str],
    at: datetime,
) -> Pull:  # fmt: skip
    pull = Pull(
        number=number, title=title, author=author, base=base, head=head or f"work/{number}",
        base_sha=shas[0], head_sha=shas[-1], created_at=at - timedelta(hours=2), updated_at=at,
        commits=list(shas), merged_at=at, merged_by=author, merge_commit=shas[-1], closed_at=at,
    )  # fmt: skip
    state.pulls[number] = pull
    return pull


def _say(state: State, pull: Pull, login: str, verdict: str, at: datetime) -> None:
    review = Review(id=state.new_id(), author=login, state=verdict, commit=pull.head_sha, at=at)
    pull.reviews.append(review)


def _other(author: str) -> str:
    return {_DANA: _EVE, _EVE: _OSKAR, _OSKAR: _DANA}[author]
