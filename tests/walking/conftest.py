"""A small flow of branches with a real repository and a real journal, and workspaces upon them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from muva_console.config.load import load
from muva_console.ops.workspace import Workspace
from tests.cli.conftest import muva

__all__ = ["muva"]

_AS = {
    "GIT_AUTHOR_NAME": "Dana",
    "GIT_AUTHOR_EMAIL": "dana@example.com",
    "GIT_COMMITTER_NAME": "Dana",
    "GIT_COMMITTER_EMAIL": "dana@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Flow:
    """A remote with dev, staging and main, an engineer's clone, and a configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        self.checkout = folder / "checkout"
        self.config = folder / "muva.toml"
        self._git("init", "-q", "--bare", "--initial-branch=main", str(self.remote), cwd=folder)
        self._git("clone", "-q", str(self.remote), str(self.checkout), cwd=folder)
        self._git("checkout", "-q", "-B", "main")
        self.commit("README.md", "the application\n", "feat: begin")
        for branch in ("main", "staging", "dev"):
            self._git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        self.commit("feature.txt", "new\n", "feat: more")
        self.push("staging")
        self.config.write_text(
            "\n".join(
                [
                    '[project]\ncheckout = "checkout"\ncache = "cache"',
                    '[journal]\ndirectory = "journal"',
                    '[environments.dev]\nbranch = "dev"',
                    '[environments.staging]\nbranch = "staging"',
                    '[environments.production]\nbranch = "main"\nproduction = true\n',
                ]
            )
        )

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.checkout, env=os.environ | _AS, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def commit(self, name: str, text: str, message: str) -> str:
        """A commit in the clone."""
        (self.checkout / name).write_text(text)
        self._git("add", "--", name)
        self._git("commit", "-q", "-m", message)
        return self._git("rev-parse", "HEAD")

    def push(self, branch: str) -> None:
        """What the clone has, to a branch of the remote."""
        self._git("push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


Open = Callable[[], Workspace]


@pytest.fixture
async def console(flow: Flow) -> AsyncIterator[Open]:
    """Opens the console's workspace on the flow, any number of times; all are closed."""
    opened: list[Workspace] = []

    def make() -> Workspace:
        opened.append(Workspace(load(flow.config)))
        return opened[-1]

    yield make
    for workspace in opened:
        await workspace.close()
