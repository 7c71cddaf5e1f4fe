"""The repository link against real checkouts made here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import repository
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.links.repository import RepositoryLink
from tests.patience import HANG


class Work:
    """A bare repository and a clone of it, by git itself."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.path = folder / "bare.git", folder / "work"
        self._git("init", "-q", "--bare", "-b", "main", str(self.bare), at=folder)
        self._git("clone", "-q", str(self.bare), str(self.path), at=folder)
        self.commit("one")
        self.git("push", "-q", "-u", "origin", "HEAD:main")

    def git(self, *words: str) -> str:
        return self._git(*words, at=self.path)

    def commit(self, subject: str, author: str = "Dana") -> str:
        (self.path / "file").write_text(f"{subject}\n{time.monotonic_ns()}")
        self.git("add", "file")
        self.git(
            "-c", f"user.name={author}", "-c", "user.email=d@example.test", "commit", "-q", "-m", subject
        )
        return self.git("rev-parse", "HEAD")

    def _git(self, *words: str, at: Path) -> str:
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["git", *words], cwd=at, check=True, capture_output=True, env=quiet, timeout=HANG
        )
        return done.stdout.decode().strip()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


async def fails(awaitable: object) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


async def test_a_branch_here_and_at_the_remote(work: Work) -> None:
    work.git("checkout", "-q", "-b", "dev")
    first = work.commit("two: añadir reservas")
    work.git("push", "-q", "-u", "origin", "dev")
    second = work.commit("three")
    link = RepositoryLink(work.path)
    reading = await link.read("dev", ("dev", "main", "gone"))
    assert reading.head is not None
    assert (reading.head.sha, reading.head.subject, reading.head.author) == (second, "three", "Dana")
    assert reading.remote is not None
    assert (reading.remote.sha, reading.remote.subject) == (first, "two: añadir reservas")
    assert (reading.unpushed, reading.unpulled) == (1, 0)
    assert [(c.branch, c.ahead, c.behind) for c in reading.comparisons] == [("origin/main", 2, 0)]
    assert (reading.current, reading.dirty) == ("dev", False)
    assert link.state.status is LinkStatus.UP


async def test_behind_dirty_detached(work: Work) -> None:
    work.git("checkout", "-q", "-b", "staging")
    work.git("checkout", "-q", "main")
    work.commit("main goes on")
    work.git("push", "-q", "origin", "main")
    (work.path / "file").write_text("changed")
    link = RepositoryLink(work.path)
    reading = await link.read("staging", ("main",))
    assert [(c.branch, c.ahead, c.behind) for c in reading.comparisons] == [("origin/main", 0, 1)]
    assert reading.dirty
    assert reading.remote is None
    assert reading.unpushed is None
    work.git("checkout", "-q", "--detach", "-f")
    assert (await link.read("staging")).current == ""


async def test_a_branch_that_only_the_remote_has(work: Work, tmp_path: Path) -> None:
    work.git("push", "-q", "origin", "main:refs/heads/hotfix/x")
    work.git("fetch", "-q")
    link = RepositoryLink(work.path)
    reading = await link.read("hotfix/x")
    assert reading.head is None
    assert reading.remote is not None
    assert reading.fetched_at is not None
    assert await link.remote_branches() == ("hotfix/x", "main")
    assert (await link.head("hotfix/x")).sha == reading.remote.sha
    assert (await link.compare("main", "hotfix/x")).ahead == 0


async def test_commits_by_hash(work: Work) -> None:
    sha = work.commit("found")
    link = RepositoryLink(work.path)
    assert (await link.commit(sha[:8])).subject == "found"
    assert (await fails(link.commit("0123456789abcdef"))).fault is Fault.MISSING
    for hostile in ("--help", "HEAD", "main", "", "abc;rm", "deadbeef^{tree}", "dead\nbeef"):
        assert (await fails(link.commit(hostile))).fault is Fault.MISSING
    assert link.state.status is LinkStatus.UP, "a commit that is missing is no broken link"


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=touch pwned", "-x", "a;b", "$(id)", "main^{}", "HEAD~1", "*", "refs/heads/main", "a\0b"],
)
async def test_hostile_branch_names_are_names(work: Work, name: str) -> None:
    link = RepositoryLink(work.path)
    assert (await fails(link.read(name, ("main",)))).fault is Fault.MISSING
    assert (await fails(link.head(name))).fault is Fault.MISSING
    assert (await link.read("main", (name,))).comparisons == ()


async def test_a_hostile_subject_is_text(work: Work) -> None:
    work.commit("bad \x1b]52;c;QUJD\x07 \u202eevil [red]", author="Eve \x1b[2J")
    commit = await RepositoryLink(work.path).head("main")
    assert "\x1b" not in commit.subject + commit.author
    assert "\u202e" not in commit.subject
    assert "[red]" in commit.subject


async def test_a_branch_whose_name_is_hostile_and_real(work: Work) -> None:
    sha = work.commit("on it")
    work.git("update-ref", "refs/heads/-rf", sha)
    work.git("update-ref", "refs/heads/a'$(id);b", sha)
    link = RepositoryLink(work.path)
    assert (await link.head("-rf")).sha == sha
    assert (await link.compare("a'$(id);b", "-rf")).ahead == 0


async def test_no_checkout(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "gone", "no such folder"), (tmp_path, "no git checkout")):
        link = RepositoryLink(path)
        error = await fails(link.head("main"))
        assert error.fault is Fault.MISSING
        assert what in error.what
        assert "checkout" in error.next
        assert link.state.status is LinkStatus.DOWN


async def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "new")], check=True, timeout=HANG)
    assert (await fails(RepositoryLink(tmp_path / "new").read("main"))).fault is Fault.MISSING


async def test_a_git_that_hangs_is_ended(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import git  # found before PATH changes  # noqa: F401

    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec sleep 600\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(repository, "TIMEOUT", 0.5)
    link = RepositoryLink(work.path)
    async with asyncio.timeout(HANG):
        assert (await fails(link.head("main"))).fault is Fault.TIMEOUT
    assert link.state.status is LinkStatus.DOWN


async def test_an_fsmonitor_of_the_checkout_is_not_started(work: Work, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    work.git("config", "core.fsmonitor", str(trap))
    await RepositoryLink(work.path).read("main")
    assert not (tmp_path / "sprung").exists()
    work.git("status")
    assert (tmp_path / "sprung").exists(), "the trap would have worked"


async def test_it_takes_no_lock(work: Work) -> None:
    (work.path / ".git" / "index.lock").touch()
    assert (await RepositoryLink(work.path).read("main")).head is not None
