"""Which right an address wants of a token, and whether somebody's has it.

Source: docs.github.com, "Permissions required for fine-grained personal access tokens".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from muva_console.drill.github.records import READER, REPOSITORY, State

SCOPES = "read:org, repo, workflow"
"""Of the tokens of the classic kind."""
_ISSUES = "issues={}; pull_requests={}"
# each by the path below the repository; the first that fits counts
_RIGHTS = (
    (r"/actions/runs/\d+/pending_deployments", "actions=read", "deployments=write"),
    (r"/actions/|/environments", "actions=read", "actions=write"),
    (r"/deployments", "deployments=read", "deployments=write"),
    (r"/pulls/\d+/merge", "contents=read", "contents=write"),
    (r"/pulls|/commits/.+/pulls", "pull_requests=read", "pull_requests=write"),
    (r"/issues|/labels", _ISSUES.format("read", "read"), _ISSUES.format("write", "write")),
    (r"/commits/.+/check-runs|/check-runs/", "checks=read", "checks=write"),
    (r"/commits/.+/status", "statuses=read", "statuses=write"),
    (r"/(commits|compare|branches|git|releases)", "contents=read", "contents=write"),
)


def needed(method: str, path: str) -> str:
    """As ``x-accepted-github-permissions`` tells it: ``pull_requests=write``; ``; `` stands between what
    would do as well.
    """
    below = path.removeprefix(f"/repos/{REPOSITORY}")
    for pattern, read, write in _RIGHTS:
        if below != path and re.match(pattern, below):
            return read if method in ("GET", "HEAD") else write
    return "metadata=read"


def lacks(state: State, login: str, wanted: str) -> bool:
    """Whether somebody's token has none of the rights that would do."""
    missing: Sequence[str] = state.lacking.get(login, ["*"] if login == READER else [])
    return all(one in missing or ("*" in missing and one.endswith("=write")) for one in wanted.split("; "))
