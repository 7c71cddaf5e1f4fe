"""What a push starts: a run of every workflow whose file, as it was pushed, says that it wants one.

git's own `post-receive` hook tells of pushes, and the server of merges. Creating a branch counts, removing
one does not.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path

from muva_console.drill.github.gitdata import Repository
from muva_console.drill.github.records import ENGINEER, PEOPLE, store
from muva_console.drill.github.runs import Run, Runs
from muva_console.drill.github.workflow import FOLDER, Broken, name_of, parse
from muva_console.drill.state import Estate, load

_NOTHING = "0" * 40
_HOOK = """#!/bin/sh
# post-receive: starts the workflows' runs; a push is taken whether or not that goes well.
unset GIT_DIR GIT_QUARANTINE_PATH
PYTHONPATH={path} exec {python} -m muva_console.drill.github.pushes {directory}
"""


class Pushes:
    """Starts the runs of an estate's workflows."""

    def __init__(self, estate: Estate) -> None:
        self._repository = Repository(estate.repository)
        self._store = store(estate)
        self._runs = Runs(estate)

    async def moved(self, branch: str, before: str, after: str, login: str) -> None:
        """A branch moved: what it brought starts its runs. Raises OpsError."""
        await self.started(branch, after, login)

    async def started(self, branch: str, sha: str, login: str) -> list[Run]:
        """Start the runs of a commit that a branch stands at now. A file that cannot be read gets a run as
        well, which ends at once. Raises OpsError.
        """
        git = self._repository
        listed = await git.git("ls-tree", "--name-only", sha, f"{FOLDER}/")
        title = (await git.git("log", "-1", "--format=%s", sha)).strip()
        pulls = [
            pull.number for pull in self._store.read().pulls.values() if pull.open and pull.head == branch
        ]
        found = []
        for path in listed.splitlines():
            file = path.rpartition("/")[2]
            if not file.endswith((".yml", ".yaml")):
                continue
            text = await git.git("show", f"{sha}:{path}")
            try:
                workflow = parse(file, text)
            except Broken:
                name = name_of(file, text)
            else:
                if not workflow.starts_on(branch):
                    continue
                name = workflow.name
            found.append(self._runs.new(
                workflow=file, name=name, branch=branch, sha=sha, event="push", title=title, actor=login,
                pulls=pulls,
            ))  # fmt: skip
        return found

    async def who(self, sha: str) -> str:
        """Whose push it was: git tells nobody's login, so it is the committer's where the team has one."""
        name = (await self._repository.git("log", "-1", "--format=%cn", sha)).strip()
        login = name.lower().replace(" ", "-")
        return login if login in PEOPLE else ENGINEER


def install_hook(estate: Estate) -> None:
    """Let pushes to the estate's repository start runs."""
    hook = estate.repository / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    text = _HOOK.format(
        path=shlex.quote(os.pathsep.join(path for path in sys.path if path)),
        python=shlex.quote(sys.executable), directory=shlex.quote(str(estate.directory)),
    )  # fmt: skip
    descriptor = os.open(hook, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


async def received(estate: Estate, lines: list[str]) -> None:
    """What the hook reads: ``OLD NEW REF`` a line. Raises OpsError."""
    pushes = Pushes(estate)
    for line in lines:
        _, after, ref = line.split()
        branch = ref.removeprefix("refs/heads/")
        if branch != ref and after != _NOTHING:
            await pushes.started(branch, after, await pushes.who(after))


def main() -> None:
    """`python -m muva_console.drill.github.pushes DIRECTORY < LINES`."""
    asyncio.run(received(load(Path(sys.argv[1])), sys.stdin.read().splitlines()))


if __name__ == "__main__":
    main()
