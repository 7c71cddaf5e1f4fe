"""Which commit an environment says it serves, against the one that it should."""

from __future__ import annotations

from collections.abc import Iterable

from muva_console.ops.links.outgoing import Outgoing

SHORTEST = 7
"""Digits from which a shortened commit is believed to mean one: git's own default."""
_SHOWN = 7


def same(one: str, other: str) -> bool:
    """Whether two commits, either of them shortened, are one. An empty one is like no other."""
    short = min(len(one), len(other))
    return short >= SHORTEST and one[:short].lower() == other[:short].lower()


def short(commit: str) -> str:
    """The first digits of a commit, or that there is none."""
    return commit[:_SHOWN] or "no commit"


def listed(commits: Iterable[str]) -> str:
    """Several commits as they are told: ``77ab0c9, a1b2c3d``."""
    return ", ".join(short(commit) for commit in commits)


def apart(served: str, outgoing: Outgoing) -> str:
    """How far a served commit lies from the outgoing one, as far as what goes out tells: in words."""
    for number, commit in enumerate(outgoing.commits):
        if same(served, commit.sha):
            return f"{number} {'commit' if number == 1 else 'commits'} behind {outgoing.short}"
    if same(served, outgoing.base):
        return f"what {outgoing.target} stands at: nothing of the {len(outgoing.commits)} that go out"
    return f"not among the {len(outgoing.commits)} commits that go out"
