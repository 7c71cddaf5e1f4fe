"""The check "going-out": what a deployment would bring, to be read once by a person before it goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.outgoing import Outgoing, OutgoingCommit
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.packages import packages
from muva_console.ops.release.variables import new_names
from muva_console.ops.text import sanitise_line

GOOD_FOR = 24 * 3600.0
"""Seconds. Two commits do not change; the runbook looks whether others go out. Ours."""
SECONDS = 180.0
"""For the whole check: the dependencies' own limit and a fetch. Ours."""
LISTED = 25
"""Commits that are listed, the rest is counted. Ours: a screen."""
ASKED = 40
"""Commits whose pull requests GitHub is asked for, merges first. Ours: one request each."""
AT_ONCE = 8
NAMED = 4
"""Authors, pull requests and names that fit in a summary."""


@check("going-out", title="What is going out", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def going_out(ctx: CheckContext) -> Finding:
    """The commits that go out with their authors and pull requests, and what they bring: migrations,
    variables that the code reads for the first time, dependencies that change. It judges nothing, the
    checklist does; a warning says that the branch has moved on since the run was begun.
    """
    outgoing = await ctx.outgoing()
    shown = f"{outgoing.source} {outgoing.short}"
    command = f"git fetch && git log --oneline {outgoing.base[:12]}..{outgoing.head[:12]}"
    if not outgoing.fetched:
        return tell(
            Level.UNKNOWN,
            f"the repository cannot be fetched: {outgoing.fetch_error}",
            command=command,
            next="What went out last is known; what goes out now is not.",
        )
    moved = await _moved(ctx, outgoing)
    if not outgoing.commits:
        summary = f"{shown} is in {outgoing.target} already; nothing is left to go out"
        return tell(Level.WARN if moved else Level.OK, _with(summary, moved), command=command, at=outgoing.at)
    pulls, variables, dependencies = await asyncio.gather(
        _pulls(ctx, outgoing.commits), _variables(ctx, outgoing), _dependencies(ctx)
    )
    migrations = _migrations(ctx, outgoing)
    authors = Counter(commit.author for commit in outgoing.commits if not commit.merge)
    parts = [count(len(outgoing.commits), "commit") + _by(authors)]
    parts += [_some(pulls[0])] if pulls[0] else []
    parts += [count(len(migrations), "migration")] if migrations else []
    parts += [f"{count(len(variables[0]), 'new variable')}"] if variables[0] else []
    parts += [count(len(dependencies[0]), "change") + " of dependencies"] if dependencies[0] else []
    evidence = [*_commits(outgoing.commits), *(f"migration: {line}" for line in migrations)]
    # the name last: what stands behind a name such as API_KEY is taken for its value, and redacted
    evidence += [f"new variable: {name}" for name in variables[0]]
    evidence += [f"dependency: {line}" for line in dependencies[0]]
    evidence += [f"{len(pulls[0])} pull requests: {', '.join(pulls[0])}"] if pulls[0] else []
    evidence += [line for line in (pulls[1], variables[1], dependencies[1]) if line]
    return tell(
        Level.WARN if moved else Level.OK,
        _with("; ".join(parts), moved),
        subject=f"{shown} to {outgoing.target}",
        evidence=evidence,
        command=command,
        at=outgoing.at,
    )


async def _moved(ctx: CheckContext, outgoing: Outgoing) -> str:
    """That the branch stands elsewhere by now than at what this run is for; empty where it does not."""
    if not ctx.going_out().commit:
        return ""
    heads, _ = await ctx.going_out().repository.known_heads()
    head = heads.get(outgoing.source, "")
    if head in ("", outgoing.head):
        return ""
    return f"{outgoing.source} stands at {head[:7]} by now, which this run is not for"


def _with(summary: str, more: str) -> str:
    return f"{summary}; {more}" if more else summary


def _by(authors: Counter[str]) -> str:
    names = [sanitise_line(name, cap=60) or "nobody" for name, _ in authors.most_common()]
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f" by {', '.join(names[:NAMED])}{more}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _commits(commits: tuple[OutgoingCommit, ...]) -> list[str]:
    lines = [
        f"{one.sha[:7]} {sanitise_line(one.subject, cap=120)} ({sanitise_line(one.author, cap=60)})"
        for one in commits[:LISTED]
    ]
    more = len(commits) - LISTED
    return [*lines, f"and {count(more, 'commit')} more"] if more > 0 else lines


def _migrations(ctx: CheckContext, outgoing: Outgoing) -> list[str]:
    folder = ctx.config.project.migrations.rstrip("/") + "/"
    words = {"A": "", "M": " (changed)", "D": " (removed)", "R": " (renamed)", "T": " (changed)"}
    return [
        sanitise_line(one.path.removeprefix(folder), cap=200) + words.get(one.status, "")
        for one in outgoing.files
        if one.path.startswith(folder)
    ]


async def _pulls(ctx: CheckContext, commits: tuple[OutgoingCommit, ...]) -> tuple[list[str], str]:
    """The pull requests that these belong to, and why some may be missing."""
    link = ctx.going_out().github
    if link is None:
        return [], "pull requests: no repository on GitHub is configured"
    chosen = sorted(commits, key=lambda commit: not commit.merge)[:ASKED]
    waiting = iter(chosen)
    found: dict[int, str] = {}
    trouble = ""

    async def work(waiting: Iterable[OutgoingCommit]) -> None:
        nonlocal trouble
        for commit in waiting:
            if trouble:
                return
            try:
                for pull in await link.pulls_of(commit.sha):
                    found[pull.number] = f"#{pull.number} {sanitise_line(pull.title, cap=60)}"
            except OpsError as error:
                trouble = f"pull requests: GitHub could not be asked: {error}"

    await asyncio.gather(*(work(waiting) for _ in range(AT_ONCE)))
    more = len(commits) - len(chosen)
    left = f"pull requests: those of {count(more, 'commit')} more were not asked for" if more else ""
    return [found[number] for number in sorted(found)], trouble or left


async def _variables(ctx: CheckContext, outgoing: Outgoing) -> tuple[list[str], str]:
    try:
        return await new_names(ctx, outgoing), ""
    except OpsError as error:
        return [], f"variables: {error}"


async def _dependencies(ctx: CheckContext) -> tuple[list[str], str]:
    """What changes in the packages, a line each."""
    try:
        found = await packages(ctx)
    except OpsError as error:
        return [], f"dependencies: {error}"
    told = found if isinstance(found, tuple) else (found,)
    lines = [line for one in told for line in one.evidence if not line.startswith("changed: ")]
    unsure = next((one.summary for one in told if one.level is Level.UNKNOWN), "")
    return lines, f"dependencies: {unsure}" if unsure else ""
