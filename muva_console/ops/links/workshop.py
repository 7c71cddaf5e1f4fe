"""The workshop: the console's own copy of the application's repository, fetched from where the engineer's
checkout is fetched from. The engineer's checkout is only asked; its files and branches are never touched.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.outgoing import FileChange, Outgoing, OutgoingCommit
from muva_console.ops.links.workshop_changing import Bench
from muva_console.ops.links.workshop_git import (
    Git,
    as_variables,
    ask_checkout,
    check_sha,
    explain,
    ssh_command,
)
from muva_console.ops.links.workshop_reading import (
    COMMITS,
    FORMAT,
    Blob,
    read_blobs,
    read_changes,
    read_commits,
    read_heads,
    read_tree,
)
from muva_console.ops.links.workshop_trees import Trees, locked, remove_git_locks
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise, sanitise_line

FETCH_TIMEOUT = 60.0
"""Seconds for one fetch; the first, of a whole history, has `FIRST_FETCH_TIMEOUT`."""
FIRST_FETCH_TIMEOUT = 600.0
FRESH = 2.0
"""Seconds within which a fetch is not repeated: the checks of one run ask together."""
DIFF_LIMIT = 64 * 1024 * 1024
BLOB_LIMIT = 1024 * 1024
"""Bytes of one file that `read_all` reads."""
ENTRIES = 100_000
"""Files of commits that are remembered. Ours."""
TREES = 4
"""Commits whose list of files is kept: what goes out and where it goes, for two checklists."""
_BATCH = 16 * 1024 * 1024
"""Bytes of files read by one command."""


class Workshop:
    """The application's repository as checks need it (`ops.links.source.Source`). Any number of
    questions at once. Every method raises LinkError.
    """

    def __init__(
        self, checkout: Path, folder: Path, *, log: CommandLog | None = None, fresh: float = FRESH
    ) -> None:
        """Nothing is made or asked yet. `checkout` is the engineer's, or any folder within it; `folder` is
        a cache that several consoles may share. `fresh` is how long (seconds) a fetch is not repeated.
        """
        self._checkout = checkout
        self._folder = folder
        self._log = log
        self._fresh = fresh
        self._opening: asyncio.Task[_Place] | None = None
        self._benching: asyncio.Task[Bench] | None = None
        self._fetching: asyncio.Task[LinkError | None] | None = None
        self._entries: dict[bytes, Blob] = {}
        self._trees: dict[str, asyncio.Task[list[Blob]]] = {}
        self._expired = False
        self._fetched = float("-inf")
        """When the last fetch ended, on the monotonic clock."""
        self.url = ""
        """Where it fetches from, redacted; empty before the first question."""

    async def outgoing(self, source: str, target: str, *, at: str = "") -> Outgoing:
        """Fetch, and tell what branch `source` has that `target` has not; with `at`, what that commit has,
        wherever `source` stands by now.

        Where the remote cannot be reached, this is what the last fetch knew, with the reason; LinkError
        where there was none. LinkError(MISSING) for a branch that is not there.
        """
        read_at = utc_now()
        place, error = await self._fetch()
        heads = await self._heads(place)
        head, base = check_sha(at) if at else self._find(heads, source), self._find(heads, target)
        fork = await self.merge_base(base, head)
        commits, behind, files = await asyncio.gather(
            self.commits(base, head), self._count(head, base), self.changes(fork or base, head)
        )
        return Outgoing(
            at=read_at,
            source=source,
            target=target,
            head=head,
            base=base,
            commits=commits,
            behind=behind,
            files=files,
            merge_base=fork,
            fetched=error is None,
            fetch_error=str(error) if error else "",
        )

    async def heads(self) -> dict[str, str]:
        """Every branch of the remote and the commit it stands at, after a fetch."""
        place, error = await self._fetch()
        if error is not None:
            raise error
        return await self._heads(place)

    async def known_heads(self) -> tuple[dict[str, str], str]:
        """As `heads`; where the remote cannot be reached, what the last fetch knew, and the reason. Raises
        where there was none.
        """
        place, error = await self._fetch()
        return await self._heads(place), str(error) if error is not None else ""

    async def commits(self, base: str, head: str) -> tuple[OutgoingCommit, ...]:
        """The commits reachable from `head` and not from `base`, newest first; at most `COMMITS`."""
        git = await self._git()
        result = await git.run(
            "log", "-z", FORMAT, f"--max-count={COMMITS}", "--no-color", "--no-notes", "--no-decorate",
            f"{check_sha(base)}..{check_sha(head)}", "--",
        )  # fmt: skip
        return read_commits(result.stdout)

    async def changes(self, base: str, head: str) -> tuple[FileChange, ...]:
        """The files that differ between two commits, renames found."""
        git = await self._git()
        result = await git.run(
            "diff-tree",
            "-r",
            "-z",
            "-M",
            "--name-status",
            "--no-ext-diff",
            check_sha(base),
            check_sha(head),
            "--",
        )
        return read_changes(result.stdout)

    async def merge_base(self, a: str, b: str) -> str:
        """The commit from which two have grown apart; empty when they have nothing in common."""
        git = await self._git()
        return await git.text("merge-base", check_sha(a), check_sha(b), fine=(0, 1))

    async def is_ancestor(self, a: str, b: str) -> bool:
        """Whether commit `a` is `b` or in its history."""
        git = await self._git()
        result = await git.run("merge-base", "--is-ancestor", check_sha(a), check_sha(b), fine=(0, 1))
        return result.exit_status == 0

    async def read(self, sha: str, path: str, *, limit: int = 4 * 1024 * 1024) -> bytes | None:
        """A file of a commit (of a symbolic link: where it leads); None where there is none.
        LinkError(TOO_LARGE) beyond `limit` bytes.
        """
        found = {blob.path: blob for blob in await self._tree(sha, path) if blob.path == path}
        if path not in found:
            return None
        if found[path].size > limit:
            what = f"{sanitise_line(path, cap=200)} has {found[path].size:,} bytes"
            raise LinkError(Fault.TOO_LARGE, what, where=sha[:12])
        git = await self._git()
        return (await git.run("cat-file", "blob", found[path].oid)).stdout

    async def files(self, sha: str, folder: str = "") -> tuple[str, ...]:
        """The paths of all files of a commit below a folder."""
        return tuple(blob.path for blob in await self._tree(sha, f"{folder.rstrip('/')}/" if folder else ""))

    async def tree(self, sha: str, folder: str = "") -> dict[str, Blob]:
        """All files of a commit below a folder by path, with the ids of their contents: alike where the
        contents are, in every commit.
        """
        if len(self._entries) > ENTRIES:
            self._entries.clear()
        found = await self._tree(sha, f"{folder.rstrip('/')}/" if folder else "", self._entries)
        return {blob.path: blob for blob in found}

    async def contents(self, blobs: Iterable[Blob], *, limit: int = BLOB_LIMIT) -> dict[str, bytes]:
        """What files hold, by the id of the content; those over `limit` bytes (at most 60 MiB) are not."""
        wanted = {blob.oid: blob for blob in blobs if blob.size <= limit}
        batches: list[list[str]] = []
        size = 0
        for blob in wanted.values():
            if not batches or size + blob.size > _BATCH:
                batches.append([])
                size = 0
            batches[-1].append(blob.oid)
            size += blob.size
        git = await self._git()
        found: dict[str, bytes] = {}
        for batch in batches:
            asked = "".join(f"{oid}\n" for oid in batch).encode()
            result = await git.run("cat-file", "--batch", "--buffer", input=asked)
            found.update(zip(batch, read_blobs(result.stdout), strict=True))
        return found

    async def read_all(self, sha: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Several files of a commit at once, by path; those that are not there are left out, those over
        1 MiB too.
        """
        wanted = set(paths)
        if not wanted:
            return {}
        blobs = [blob for blob in await self._tree(sha) if blob.path in wanted]
        found = await self.contents(blobs)
        return {blob.path: found[blob.oid] for blob in blobs if blob.oid in found}

    async def diff(self, base: str, head: str) -> str:
        """The unified difference of two commits, binary files named only; at most 64 MiB."""
        git = await self._git()
        result = await git.run(
            "diff-tree", "-p", "-r", "-M", "--no-ext-diff", "--no-textconv", "--no-color",
            "--src-prefix=a/", "--dst-prefix=b/", check_sha(base), check_sha(head), "--",
            limit=DIFF_LIMIT,
        )  # fmt: skip
        return result.stdout.decode("utf-8", "replace")

    @asynccontextmanager
    async def worktree(self, sha: str) -> AsyncGenerator[Path]:
        """A clean worktree of a commit, gone on leaving; what a console that was killed has left goes too."""
        place = await self._place()
        async with place.trees.tree(sha) as path:
            yield path

    async def messages(self, base: str, head: str) -> dict[str, str]:
        """The whole messages of the commits reachable from `head` and not from `base`; at most `COMMITS`."""
        git = await self._git()
        result = await git.run(
            "log", "-z", "--format=%H%x00%B", f"--max-count={COMMITS}", "--no-color", "--no-notes",
            f"{check_sha(base)}..{check_sha(head)}", "--",
        )  # fmt: skip
        words = result.stdout.decode("utf-8", "replace").split("\0")
        return {
            sha.strip(): redact(sanitise(text)) for sha, text in zip(words[::2], words[1::2], strict=False)
        }

    async def parents(self, sha: str) -> tuple[str, ...]:
        """The parents of a commit, the first one first."""
        git = await self._git()
        return tuple((await git.text("rev-list", "--parents", "-n", "1", check_sha(sha), "--")).split()[1:])

    async def bench(self) -> Bench:
        """Where changes are made and pushed: to where the checkout pushes, with the credentials that git has
        there.
        """
        task = self._benching
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._benching = asyncio.create_task(self._bench(), name="bench")
        return await asyncio.shield(task)

    async def git(self) -> Git:
        """Git in the copy, for what reads it. Raises LinkError."""
        return await self._git()

    def expire(self) -> None:
        """Fetch at the next question, however fresh the last fetch is: something has been changed."""
        self._fetched, self._expired = float("-inf"), True
        opening = self._opening
        if opening is not None and opening.done() and not opening.cancelled() and not opening.exception():
            with suppress(OSError):
                os.utime(opening.result().stamp, (0, 0))

    async def _bench(self) -> Bench:
        place = await self._place()
        result = await ask_checkout(
            place.top, "config", "-z", "--get-regexp", r"^(user\.|commit\.gpgsign$|gpg\.)", log=self._log
        )
        settings = {}
        for entry in result.stdout.decode("utf-8", "replace").split("\0"):
            key, _, value = entry.partition("\n")
            if key:
                settings[key] = value
        return Bench(place.git, place.variables_of(await self._push_url(place.top)), settings)

    async def _push_url(self, top: Path) -> str:
        """Empty where it is pushed to where it is fetched from."""
        listed = await ask_checkout(top, "remote", log=self._log)
        names = sorted(name for name in listed.stdout.decode("utf-8", "replace").split("\n") if name)
        if not names:
            return ""
        name = "origin" if "origin" in names else names[0]
        result = await ask_checkout(top, "remote", "get-url", "--push", "--", name, log=self._log)
        return "" if result.exit_status else _absolute(os.fsdecode(result.stdout.split(b"\n")[0]), top)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in (self._opening, self._benching, self._fetching, *self._trees.values()):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, LinkError):
                    await task

    async def _fetch(self) -> tuple[_Place, LinkError | None]:
        """Fetch, unless that was just done; what asks together shares one. The error of a fetch that
        failed where an earlier one is there to be used.
        """
        task = self._fetching
        if task is None or (task.done() and (self._stale() or task.cancelled())):
            task = self._fetching = asyncio.create_task(self._fetch_now(), name="fetch")
        error = await asyncio.shield(task)
        place = await self._place()
        if error is not None and not place.stamp.exists():
            raise error
        return place, error

    def _stale(self) -> bool:
        return self._expired or time.monotonic() - self._fetched >= self._fresh

    async def _fetch_now(self) -> LinkError | None:
        try:
            place = await self._place()
            async with locked(place.lock):
                expired, self._expired = self._expired, False
                # another console may have done it meanwhile
                if expired or not _within(place.stamp, self._fresh):
                    await self._fetch_from(place)
        except LinkError as error:
            error.where = self.url or error.where
            return error
        else:
            return None
        finally:
            self._fetched = time.monotonic()

    async def _fetch_from(self, place: _Place) -> None:
        """Fetch; the place's lock is held, so what git's own locks say is of one that was killed."""
        first = not place.stamp.exists()
        borrowed = first and place.remote and await self._borrow(place)
        timeout = FIRST_FETCH_TIMEOUT if first and not borrowed else FETCH_TIMEOUT
        words = (
            "fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-write-fetch-head",
            "--update-shallow", "--no-recurse-submodules", "--no-auto-maintenance",
            "origin", "+refs/heads/*:refs/remotes/origin/*",
        )  # fmt: skip
        try:
            await place.git.run(*words, timeout=timeout, env=place.variables)
        except LinkError as error:
            if ".lock" not in error.what or not await asyncio.to_thread(
                remove_git_locks, place.git.directory
            ):
                raise
            await place.git.run(*words, timeout=timeout, env=place.variables)
        place.stamp.touch()
        if borrowed:
            await self._give_back(place)
        with suppress(LinkError):  # rarely anything to do; never while somebody else fetches
            await place.git.run("gc", "--auto", "--quiet", timeout=FETCH_TIMEOUT)

    async def _borrow(self, place: _Place) -> bool:
        """Take the objects that are on this machine already, so that the network brings only what is new."""
        try:
            await place.git.run(
                "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head",
                "--no-recurse-submodules", "--no-auto-maintenance",
                "--", str(place.top), "+refs/*:refs/borrowed/*",
                timeout=FIRST_FETCH_TIMEOUT,
            )  # fmt: skip
        except LinkError:
            return False
        return True

    async def _give_back(self, place: _Place) -> None:
        """Forget what was borrowed and did not come from the remote too."""
        with suppress(LinkError):
            names = await place.git.run("for-each-ref", "--format=delete %(refname)", "refs/borrowed/")
            await place.git.run("update-ref", "--stdin", input=names.stdout)

    async def _place(self) -> _Place:
        task = self._opening
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._opening = asyncio.create_task(self._open(), name="workshop")
        return await asyncio.shield(task)

    async def _git(self) -> Git:
        return (await self._place()).git

    async def _open(self) -> _Place:
        """Ask the checkout where it comes from, and make the repository where there is none yet."""
        top = await self._top()
        url, settings = await self._remote(top)
        self.url = redact(sanitise_line(url or str(top), cap=300))
        key = hashlib.sha256((url or str(top)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        place = _Place(self._folder / key, top, url, settings, self._log)
        try:
            place.git.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            async with locked(place.lock):
                if not (place.git.directory / "HEAD").exists():
                    await place.git.run("init", "--quiet", "--bare", "--template=", str(place.git.directory))
        except OSError as error:
            why = f"the console's copy cannot be kept here: {error.strerror or error}"
            raise LinkError(Fault.OTHER, why, where=str(self._folder)) from error
        return place

    async def _top(self) -> Path:
        result = await ask_checkout(self._checkout, "rev-parse", "--show-toplevel", log=self._log)
        if result.exit_status and b"must be run in a work tree" in result.output:
            result = await ask_checkout(self._checkout, "rev-parse", "--absolute-git-dir", log=self._log)
        if result.exit_status:
            error = explain(result.output, where=str(self._checkout))
            error.next = error.next or "Point [project] checkout at the local git checkout."
            raise error
        return Path(os.fsdecode(result.stdout.removesuffix(b"\n")))

    async def _remote(self, top: Path) -> tuple[str, list[tuple[str, str]]]:
        """The address that the checkout fetches from (empty where it has none), and those of the
        checkout's own settings that reaching it may need.
        """
        names = (
            (await ask_checkout(top, "remote", log=self._log)).stdout.decode("utf-8", "replace").split("\n")
        )
        names = sorted(name for name in names if name)
        if not names:
            return "", []
        name = "origin" if "origin" in names else names[0]
        result = await ask_checkout(top, "remote", "get-url", "--", name, log=self._log)
        if result.exit_status:
            raise explain(result.output, where=str(top))
        url = os.fsdecode(result.stdout.split(b"\n")[0])
        # the configuration as it holds in the checkout: an engineer's own may depend on where that lies
        wanted = r"^(credential\.|http\.|core\.sshcommand$)"
        listed = await ask_checkout(top, "config", "-z", "--get-regexp", wanted, log=self._log)
        settings = []
        for entry in listed.stdout.decode("utf-8", "replace").split("\0"):
            key, _, value = entry.partition("\n")
            if key:
                settings.append((key, value))
        lists = [(key, "") for key, _ in settings if key.endswith((".helper", ".extraheader"))]
        settings = [*dict.fromkeys(lists), *settings]  # an empty value begins a list anew: nothing twice
        return _absolute(url, top), settings

    async def _heads(self, place: _Place) -> dict[str, str]:
        result = await place.git.run(
            "for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/origin/"
        )
        return read_heads(result.stdout)

    def _find(self, heads: dict[str, str], branch: str) -> str:
        if branch not in heads:
            known = ", ".join(sanitise_line(name, cap=60) for name in sorted(heads)[:8])
            raise LinkError(
                Fault.MISSING,
                f"there is no branch {sanitise_line(branch, cap=120)}",
                where=self.url,
                means=f"There are: {known}." if known else "There are no branches.",
            )
        return heads[branch]

    async def _count(self, base: str, head: str) -> int:
        return int(await (await self._git()).text("rev-list", "--count", f"{base}..{head}", "--"))

    async def _tree(self, sha: str, path: str = "", known: dict[bytes, Blob] | None = None) -> list[Blob]:
        """The files of a commit, or that one, or those of a folder (``name/``); with `known` entries those of
        that path alone are read.
        """
        if known is not None:
            return await self._read_tree(sha, path, known)
        task = self._trees.get(check_sha(sha))
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            # a commit does not change: many checks ask for the files of the same two
            task = self._trees[sha] = asyncio.create_task(self._read_tree(sha), name=f"files of {sha[:7]}")
            task.add_done_callback(_heard)
            while len(self._trees) > TREES:
                del self._trees[next(iter(self._trees))]
        blobs = await asyncio.shield(task)
        if path.endswith("/"):
            return [blob for blob in blobs if blob.path.startswith(path)]
        return [blob for blob in blobs if blob.path == path] if path else blobs

    async def _read_tree(
        self, sha: str, path: str = "", known: dict[bytes, Blob] | None = None
    ) -> list[Blob]:
        git = await self._git()
        where = ["--", path] if path else []
        result = await git.run("ls-tree", "-r", "-z", "-l", "--full-tree", check_sha(sha), *where)
        return read_tree(result.stdout, known)


class _Place:
    """The repository on the disk, and where it is fetched from."""

    def __init__(
        self, folder: Path, top: Path, url: str, settings: list[tuple[str, str]], log: CommandLog | None
    ) -> None:
        self.git = Git(folder / "repository.git", log=log)
        self.lock = folder / "lock"
        self.stamp = folder / "fetched"
        """Touched by each fetch that worked."""
        self.top = top
        self.remote = bool(url)
        self.trees = Trees(self.git, folder / "trees", self.lock)
        self._settings, self._url = settings, url or str(top)
        self.variables = self.variables_of("")

    def variables_of(self, url: str) -> dict[str, str]:
        """Git's settings for reaching an address; an empty one is where it is fetched from."""
        ssh = next((value for key, value in reversed(self._settings) if key == "core.sshcommand"), "")
        variables = as_variables([*self._settings, ("remote.origin.url", url or self._url)])
        if "GIT_SSH" not in os.environ or "GIT_SSH_COMMAND" in os.environ:
            variables["GIT_SSH_COMMAND"] = ssh_command(ssh)
        return variables


def _heard(task: asyncio.Task[list[Blob]]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _within(stamp: Path, seconds: float) -> bool:
    """Whether a file was touched that recently."""
    try:
        age = datetime.now(UTC).timestamp() - stamp.stat().st_mtime
    except OSError:
        return False
    return 0 <= age < seconds


def _absolute(url: str, top: Path) -> str:
    """An address as it can be used from anywhere: git takes a path relative to the checkout."""
    before_slash = url.partition("/")[0]
    if "://" in url or ":" in before_slash or url.startswith("/"):
        return url
    return os.path.normpath(top / url)
