"""What a release brings: its commits by kind, the pull requests they came by, the issues they close."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import workshop_of
from muva_console.ops.deploys.version import Said, read_message
from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_model import Declined, PullRequest, RateLimited

PULLS = 100
"""Pull requests that are asked for. Ours: more than a release of a month."""
AT_ONCE = 6
"""Requests to GitHub at a time. Ours."""
KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("Breaking changes", frozenset()),
    ("Features", frozenset({"feat", "feature"})),
    ("Fixes", frozenset({"fix", "bugfix", "hotfix", "revert"})),
    ("Performance", frozenset({"perf"})),
    ("Security", frozenset({"security", "sec"})),
    ("Documentation", frozenset({"docs", "doc"})),
    ("Upkeep", frozenset({"chore", "build", "ci", "style", "refactor", "test", "tests", "deps"})),
    ("Other changes", frozenset({""})),
)
"""Headings, in the order in which they stand, and the kinds of commits below them."""
_PULL = re.compile(r"\(#(\d{1,9})\)\s*$")
_MERGE = re.compile(r"Merge pull request #(\d{1,9}) ")
# docs.github.com, "Linking a pull request to an issue": close, closes, closed, fix, fixes, fixed, resolve,
# resolves, resolved, with or without a colon, each issue with a keyword of its own
_CLOSES = re.compile(
    r"(?<![\w-])(?:close[sd]?|fix(?:es|ed)?|resolve[sd]?):?[ \t]+"
    r"(?:https://github\.com/(?P<where>[\w.-]+/[\w.-]+)/issues/|(?P<other>[\w.-]+/[\w.-]+)?#)(?P<number>\d{1,9})\b",
    re.IGNORECASE,
)


class Change(Struct, frozen=True, kw_only=True):
    """A commit that is no merge."""

    sha: str
    said: Said
    author: str
    pull: int = 0
    """The pull request it came by; 0 where none is known."""

    @property
    def heading(self) -> str:
        """Which of `KINDS` it stands under."""
        if self.said.breaking:
            return KINDS[0][0]
        return next((name for name, kinds in KINDS if self.said.kind in kinds), KINDS[-1][0])

    @property
    def text(self) -> str:
        """Its subject without its kind and its pull request's number."""
        return _PULL.sub("", self.said.text).strip() or self.said.text


class Changes(Struct, frozen=True, kw_only=True):
    """All that a release brings."""

    changes: tuple[Change, ...]
    """Newest first."""
    pulls: tuple[PullRequest, ...] = ()
    """By number; those between branches of the flow are left out."""
    issues: tuple[int, ...] = ()
    """Issues of this repository that commits or pull requests close."""
    sources: dict[int, str] = {}
    """Where each issue is named."""
    untold: tuple[str, ...] = ()
    """What could not be looked at."""

    @property
    def authors(self) -> tuple[str, ...]:
        """Names as git has them, each once, in the order of their commits."""
        return tuple(dict.fromkeys(one.author for one in reversed(self.changes)))

    def by_heading(self) -> Iterator[tuple[str, list[Change]]]:
        """Headings that have something, with their changes, oldest first."""
        for name, _ in KINDS:
            found = [one for one in reversed(self.changes) if one.heading == name]
            if found:
                yield name, found


async def read_changes(ctx: CheckContext, base: str, head: str) -> Changes:
    """What `head` has and `base` has not. Raises LinkError where the repository cannot be read; GitHub that
    cannot be asked is told in `untold`.
    """
    workshop = workshop_of(ctx)
    commits, messages = await asyncio.gather(workshop.commits(base, head), workshop.messages(base, head))
    numbers: dict[str, int] = {}
    for sha, text in messages.items():
        subject = text.partition("\n")[0]
        told = _PULL.search(subject) or _MERGE.match(subject)
        if told is not None:
            numbers[sha] = int(told[1])
    changes = tuple(
        Change(
            sha=one.sha,
            said=read_message(messages.get(one.sha, one.subject)),
            author=one.author,
            pull=numbers.get(one.sha, 0),
        )
        for one in commits
        if not one.merge
    )
    pulls, untold = await _pulls(ctx, dict.fromkeys(numbers.values()))
    repository = ctx.config.project.repository or ""
    issues: dict[int, str] = {}
    for sha, text in messages.items():
        for number in closes(text, repository):
            issues.setdefault(number, f"commit {sha[:7]}")
    for pull in pulls:
        for number in closes(f"{pull.title}\n{pull.body}", repository):
            issues.setdefault(number, f"#{pull.number}")
    own = {pull.number for pull in pulls}
    return Changes(
        changes=changes,
        pulls=pulls,
        issues=tuple(sorted(number for number in issues if number not in own)),
        sources=issues,
        untold=untold,
    )


def closes(text: str, repository: str) -> list[int]:
    """The issues of a repository (OWNER/NAME) that a text closes, in its order, each once."""
    found = []
    for match in _CLOSES.finditer(text):
        where = match["where"] or match["other"]
        if where is None or where.lower() == repository.lower():
            found.append(int(match["number"]))
    return list(dict.fromkeys(found))


async def _pulls(
    ctx: CheckContext, numbers: Iterable[int]
) -> tuple[tuple[PullRequest, ...], tuple[str, ...]]:
    link = ctx.going_out().github
    wanted = sorted(numbers)
    if link is None:
        return (), ("no repository on GitHub is configured: pull requests are not looked at",)
    untold = [f"{len(wanted) - PULLS} more pull requests are not looked at"] if len(wanted) > PULLS else []
    flow = {environment.branch for environment in ctx.config.environments.values()}
    room, blocked = asyncio.Semaphore(AT_ONCE), False

    async def ask(number: int) -> PullRequest | None:
        nonlocal blocked
        async with room:
            if blocked:
                return None
            try:
                return await link.pull(number)
            except OpsError as error:
                if isinstance(error, Declined) and error.status == 404:
                    return None  # the number is an issue's
                blocked = isinstance(error, RateLimited)
                untold.append(f"#{number}: {error}")
                return None

    found = await asyncio.gather(*(ask(number) for number in wanted[:PULLS]))
    carried = (one for one in found if one is not None and (one.fork or one.head not in flow))
    return tuple(one for one in carried if not one.head.startswith("prod/")), tuple(untold)
