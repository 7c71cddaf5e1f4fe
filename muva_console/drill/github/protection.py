"""Protected branches: no push gets there, and a merge only of what somebody else than its author approved.

Which they are stands in a file of the bare repository, for git's `update` hook reads it as the server does.
The texts are GitHub's (GH006).
"""

from __future__ import annotations

import os
from pathlib import Path

from muva_console.drill.state import Estate

NEEDED = "At least 1 approving review is required by reviewers with write access."
_HOOK = f"""#!/bin/sh
# update REF OLD NEW: refuses what would go to a protected branch.
grep -qxF "${{1#refs/heads/}}" protected 2>/dev/null || exit 0
echo "error: GH006: Protected branch update failed for $1." >&2
echo "error: {NEEDED}" >&2
exit 1
"""


def protect(estate: Estate, *branches: str) -> None:
    """Let these branches be protected, and no others."""
    file = _file(estate.repository)
    if not branches:
        file.unlink(missing_ok=True)
        return
    _hook(estate.repository)
    file.write_text("".join(f"{branch}\n" for branch in branches))


def protected(repository: Path) -> frozenset[str]:
    """The branches of a bare repository that are protected."""
    try:
        return frozenset(_file(repository).read_text().split())
    except FileNotFoundError:
        return frozenset()


def _hook(repository: Path) -> None:
    hook = repository / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    beside = hook.with_suffix(".next")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700)
    with os.fdopen(descriptor, "w") as file:
        file.write(_HOOK)
    beside.replace(hook)


def _file(repository: Path) -> Path:
    return repository / "protected"
