"""The repository link: what the local git checkout knows. It only looks, and never asks the network.

GitPython runs git itself; each command has a time-out, takes no lock, asks for no password and gets
branches by their whole name (``refs/heads/…``), so that no name can be taken for an option.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.answers import Commit, Comparison, RepositoryReading
from muva_console.ops.links.base import LinkState, LinkStatus, OnState
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import git

T = TypeVar("T")

TIMEOUT = 10.0
"""Seconds for one git command."""
_SHA = re.compile(r"[0-9a-fA-F]{4,64}")
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_FORMAT = "--format=%H%x00%ct%x00%an%x00%s"


class RepositoryLink:
    """One local checkout. Any number of questions at once; each runs in a thread."""

    def __init__(self, checkout: Path, *, on_state: OnState | None = None) -> None:
        self._checkout = checkout
        self._on_state = on_state
        self._state = LinkState(name="repository", status=LinkStatus.UNUSED, since=utc_now())

    @property
    def state(self) -> LinkState:
        """Where the link stands, from the last question; never blocks."""
        return self._state

    @property
    def checkout(self) -> Path:
        """The folder."""
        return self._checkout

    async def read(self, branch: str, others: Sequence[str] = ()) -> RepositoryReading:
        """A branch, here and at the remote, against `others` (the remote's where it is known, else ours).

        Raises LinkError: MISSING when there is no checkout, no git or no such branch, TIMEOUT.
        """
        return await self._ask(lambda repository: repository.read(branch, others))

    async def head(self, branch: str) -> Commit:
        """The newest commit of a branch: the local one, else the remote's. Raises LinkError."""
        return await self._ask(lambda repository: repository.commit(repository.resolve(branch)))

    async def commit(self, sha: str) -> Commit:
        """A commit by 4 or more digits of its hash. Raises LinkError(MISSING) for one that is not here."""
        return await self._ask(lambda repository: repository.commit(repository.by_sha(sha)))

    async def compare(self, branch: str, base: str) -> Comparison:
        """How far `branch` is ahead of and behind `base`; either is a branch's name. Raises LinkError."""
        return await self._ask(
            lambda repository: repository.compare(repository.resolve(branch), repository.resolve(base), base)
        )

    async def remote_branches(self) -> tuple[str, ...]:
        """The remote's branches, without the remote's name, as of the last fetch. Raises LinkError."""
        return await self._ask(lambda repository: repository.remote_branches())

    async def close(self) -> None:
        """Nothing is kept open; the state tells that the link is closed."""
        self._set(LinkStatus.CLOSED)

    async def _ask(self, question: Callable[[_Repository], T]) -> T:
        if self._state.status is LinkStatus.UNUSED:
            self._set(LinkStatus.OPENING)
        try:
            answer = await asyncio.to_thread(lambda: question(_Repository(self._checkout)))
        except LinkError as error:
            # a branch that is not there is an answer of a repository that is
            known = error.fault is Fault.MISSING and error.where != str(self._checkout)
            self._set(LinkStatus.UP if known else LinkStatus.DOWN, None if known else error)
            raise
        self._set(LinkStatus.UP)
        return answer

    def _set(self, status: LinkStatus, error: LinkError | None = None) -> None:
        before = self._state
        since = before.since if before.status is status else utc_now()
        self._state = LinkState(name=before.name, status=status, since=since, error=error)
        if self._on_state is not None and (before.status is not status or error is not None):
            self._on_state(self._state)


class _Repository:
    """The blocking side: made and used within one thread."""

    def __init__(self, checkout: Path) -> None:
        self._where = str(checkout)
        try:
            import git
        except ImportError as error:  # GitPython looks for git when it is imported
            raise LinkError(Fault.MISSING, "git is not installed", where=self._where) from error
        try:
            self._repo = git.Repo(checkout, search_parent_directories=True)
        except git.NoSuchPathError:
            raise self._missing("there is no such folder") from None
        except git.InvalidGitRepositoryError:
            raise self._missing("this folder is no git checkout") from None
        self._git: git.Git = self._repo.git
        self._refs: dict[str, str] | None = None

    def read(self, branch: str, others: Sequence[str]) -> RepositoryReading:
        began = time.perf_counter()
        at = utc_now()
        local, remote = self.local(branch), self.remote(branch)
        mine = local or remote
        if mine is None:
            raise self._no_branch(branch)
        against = []
        for other in others:
            if other == branch:
                continue
            theirs = self.remote(other) or self.local(other)
            if theirs is not None:
                name = f"{self.remote_name}/{other}" if self.remote(other) else other
                against.append(self.compare(mine, theirs, name))
        own = self.compare(local, remote, branch) if local and remote else None
        return RepositoryReading(
            at=at,
            branch=sanitise_line(branch, cap=255),
            head=self.commit(local) if local else None,
            remote=self.commit(remote) if remote else None,
            unpushed=own.ahead if own else None,
            unpulled=own.behind if own else None,
            comparisons=tuple(against),
            current=self.current(),
            dirty=bool(self._run("status", "--porcelain", "--untracked-files=no", "--ignore-submodules")),
            fetched_at=self.fetched_at(),
            took_ms=(time.perf_counter() - began) * 1000,
        )

    @property
    def remote_name(self) -> str:
        """``origin``, or the first remote there is."""
        names = {ref.split("/")[2] for ref in self.refs() if ref.startswith("refs/remotes/")}
        return "origin" if "origin" in names or not names else sorted(names)[0]

    def refs(self) -> dict[str, str]:
        """Whole names of branches to commits."""
        if self._refs is None:
            lines = self._run(
                "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/remotes"
            ).splitlines()
            self._refs = {name: sha for sha, _, name in (line.partition(" ") for line in lines)}
        return self._refs

    def local(self, branch: str) -> str | None:
        return self.refs().get(f"refs/heads/{branch}")

    def remote(self, branch: str) -> str | None:
        return self.refs().get(f"refs/remotes/{self.remote_name}/{branch}")

    def resolve(self, branch: str) -> str:
        sha = self.local(branch) or self.remote(branch)
        if sha is None:
            raise self._no_branch(branch)
        return sha

    def by_sha(self, sha: str) -> str:
        if not _SHA.fullmatch(sha):
            raise LinkError(Fault.MISSING, f"{sanitise_line(sha, cap=80)} is no commit's hash")
        status, out, _ = self._try(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{sha}^{{commit}}"
        )
        if status:
            raise LinkError(
                Fault.MISSING,
                f"commit {sha[:12]} is not in the local checkout",
                next="git fetch may bring it.",
            )
        return out.strip()

    def commit(self, sha: str) -> Commit:
        """Of a whole hash."""
        text = self._run("log", "-1", "--no-show-signature", _FORMAT, sha, "--")
        digits, seconds, author, subject = text.split("\0", 3)
        return Commit(
            sha=digits,
            subject=redact(sanitise_line(subject, cap=300)),
            author=redact(sanitise_line(author, cap=120)),
            at=datetime.fromtimestamp(int(seconds), UTC),
        )

    def compare(self, mine: str, theirs: str, name: str) -> Comparison:
        """Of whole hashes."""
        text = self._run("rev-list", "--left-right", "--count", f"{mine}...{theirs}", "--")
        ahead, behind = (int(number) for number in text.split())
        return Comparison(branch=sanitise_line(name, cap=255), ahead=ahead, behind=behind)

    def remote_branches(self) -> tuple[str, ...]:
        lead = f"refs/remotes/{self.remote_name}/"
        names = (ref.removeprefix(lead) for ref in self.refs() if ref.startswith(lead))
        return tuple(sorted(sanitise_line(name, cap=255) for name in names if name != "HEAD"))

    def current(self) -> str:
        status, out, _ = self._try("symbolic-ref", "--quiet", "--short", "HEAD")
        return "" if status else sanitise_line(out, cap=255)

    def fetched_at(self) -> datetime | None:
        try:
            return datetime.fromtimestamp((Path(self._repo.common_dir) / "FETCH_HEAD").stat().st_mtime, UTC)
        except OSError:
            return None

    def _run(self, *words: str) -> str:
        status, out, error = self._try(*words)
        if status:
            raise self._failed(error)
        return out

    def _try(self, *words: str) -> tuple[int, str, str]:
        # a checkout's own configuration may name programs: fsmonitor is one that `status` would start
        line = ["git", "-c", "core.fsmonitor=false", *words]
        began = time.monotonic()
        status, out, error = self._git.execute(
            line,
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            kill_after_timeout=TIMEOUT,
            env=_ENVIRONMENT,
        )
        if status and time.monotonic() - began >= TIMEOUT:
            what = f"git {words[0]} did not end within {TIMEOUT:g} s"
            raise LinkError(Fault.TIMEOUT, what, where=self._where)
        return int(status), out.decode("utf-8", "replace"), str(error)

    def _failed(self, error: str) -> LinkError:
        if "dubious ownership" in error:
            return LinkError(
                Fault.AUTH,
                "git does not trust this checkout: it belongs to somebody else",
                where=self._where,
                next=f"git config --global --add safe.directory {self._where}",
            )
        lines = [line for line in error.splitlines() if line.strip()] or ["git failed"]
        return LinkError(Fault.OTHER, redact(sanitise_line(lines[-1], cap=300)), where=self._where)

    def _missing(self, what: str) -> LinkError:
        return LinkError(
            Fault.MISSING, what, where=self._where, next="Point [project] checkout at the local git checkout."
        )

    def _no_branch(self, branch: str) -> LinkError:
        name = sanitise_line(branch, cap=120)
        return LinkError(Fault.MISSING, f"there is no branch {name}", where=f"{self._where} {name}")
