"""Changes to the application's repository, made in the console's own copy and pushed from there.

A merge is made in a worktree of its own: with conflicts they are told and the worktree goes, so that nothing
is ever left half merged. A push never forces: what the remote had when the person looked is what it must have
still (git's ``--force-with-lease``), and the new commit must contain it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.local_lines import clean_lines
from muva_console.ops.links.workshop_git import Git, as_variables, check_sha, explain
from muva_console.ops.text import sanitise_line

MERGE_TIMEOUT = 120.0
"""Seconds for a merge. Ours."""
PUSH_TIMEOUT = 90.0
"""Seconds for a push. Ours: a server's hooks may take a while."""
ASK_TIMEOUT = 30.0
"""Seconds to ask the remote where its branches stand."""
CONFLICTS = 100
"""Files in conflict that are read."""
HUNKS, HUNK_LINES = 8, 40
"""Places of a file, and lines of each side, that are kept. Ours: a screenful each."""
_FILE_LIMIT = 1024 * 1024
_STAGES = {
    frozenset("123"): "both sides changed it",
    frozenset("23"): "both sides added it",
    frozenset("12"): "it was changed in {base} and deleted in {other}",
    frozenset("13"): "it was deleted in {base} and changed in {other}",
    frozenset("2"): "it was added in {base}, and its name is taken by {other}",
    frozenset("3"): "it was added in {other}, and its name is taken by {base}",
    frozenset("1"): "both sides moved or deleted it",
}
"""Which stages of git's index a file in conflict has: 1 the common one, 2 ours, 3 theirs."""


class Author(Struct, frozen=True):
    """Who a commit is by."""

    name: str
    email: str


class Hunk(Struct, frozen=True, kw_only=True):
    """One place of a file in conflict. Lines are harmless, and bounded."""

    line: int
    """Where it begins in the half merged file, from 1."""
    ours: tuple[str, ...]
    """As the branch that is merged into has it."""
    theirs: tuple[str, ...]
    cut: bool = False
    """There are more lines than these."""


class Conflict(Struct, frozen=True, kw_only=True):
    """A file that could not be merged."""

    path: str
    """Harmless."""
    why: str
    hunks: tuple[Hunk, ...] = ()
    """None of a binary file, and of one that a side deleted."""
    more: int = 0
    """Places beyond those."""


class Merged(Struct, frozen=True, kw_only=True):
    """What came of a merge: a commit in the console's copy, or conflicts."""

    sha: str = ""
    """The commit; empty with conflicts. Nothing but this copy has it."""
    forwarded: bool = False
    """It is the other side itself: there was nothing to be merged."""
    conflicts: tuple[Conflict, ...] = ()
    all_conflicts: int = 0


class PushError(LinkError):
    """A push that did not happen, or of which that is not known."""

    def __init__(
        self, fault: Fault, what: str, *, head: str | None, where: str = "", means: str = "", next: str = ""
    ) -> None:
        super().__init__(fault, what, where=where, means=means, next=next)
        self.head = head
        """Where the remote's branch stands: asked afterwards; None where it could not be asked, empty where
        there is no such branch."""


class Bench:
    """Where changes are made: one console's copy, and the way to its remote. Methods raise LinkError."""

    def __init__(self, git: Git, variables: Mapping[str, str], settings: Mapping[str, str]) -> None:
        """`variables`: for reaching where it is pushed to, `remote.origin.url` among them; `settings`: what
        the engineer's checkout says of who commits and how commits are signed.
        """
        self._git = git
        self._variables = variables
        self.settings = settings

    async def refs(self, *patterns: str) -> dict[str, str]:
        """What the remote has now, by whole name (``refs/heads/main``); tags by the commit they lead to."""
        result = await self._git.run(
            "ls-remote", "--quiet", "origin", *patterns, timeout=ASK_TIMEOUT, env=self._variables
        )
        found: dict[str, str] = {}
        for line in result.stdout.decode("utf-8", "surrogateescape").split("\n"):
            sha, _, name = line.partition("\t")
            if name.startswith("refs/"):
                found[name.removesuffix("^{}")] = sha  # the peeled one comes after the tag itself
        return found

    async def merge(
        self, tree: Path, other: str, *, message: str, author: Author, names: tuple[str, str]
    ) -> Merged:
        """Merge a commit into what `tree` has checked out, as `git merge` does: forwarded where that is
        all. `names`: of both sides, for the words of conflicts.
        """
        git = await _in_tree(self._git, tree)
        before = await git.text("rev-parse", "--verify", "HEAD")
        result = await git.run(
            "merge", "--ff", "--no-edit", "--no-stat", "--no-log", "--quiet", "--no-verify-signatures",
            "-m", message, check_sha(other),
            timeout=MERGE_TIMEOUT, env=self._as(author), fine=(0, 1, 2, 128),
        )  # fmt: skip
        if result.exit_status == 0:
            sha = await git.text("rev-parse", "--verify", "HEAD")
            return Merged(sha=sha, forwarded=sha in (other, before))
        conflicts, number = await self.conflicts(git, tree, names)
        if not conflicts:
            raise explain(result.output, where="merge")
        return Merged(conflicts=conflicts, all_conflicts=number)

    async def commit_file(self, tree: Path, path: str, data: bytes, *, message: str, author: Author) -> str:
        """Write a file of `tree` and commit it alone; the new commit."""
        git = await _in_tree(self._git, tree)
        (tree / path).write_bytes(data)
        await git.run("add", "--", path)
        await git.run(
            "commit", "--quiet", "--no-verify", "-m", message, timeout=MERGE_TIMEOUT, env=self._as(author)
        )
        return await git.text("rev-parse", "--verify", "HEAD")

    async def push(self, sha: str, branch: str, *, expected: str) -> None:
        """Push a commit to a branch that stands at `expected` (empty: that is not there yet). Returns when
        the remote has it, whoever told. Raises PushError, with what the remote has then.
        """
        ref = f"refs/heads/{branch}"
        if expected and not await self._contains(sha, expected):
            raise PushError(
                Fault.OTHER,
                f"{sha[:7]} does not contain {expected[:7]}, where {branch} stands: it would be lost",
                head=None,
                next="Merge anew.",
            )
        try:
            result = await self._git.run(
                "push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed",
                "--recurse-submodules=no", f"--force-with-lease={ref}:{expected}", "origin",
                f"{check_sha(sha)}:{ref}",
                timeout=PUSH_TIMEOUT, env=self._variables, fine=(0, 1, 128),
            )  # fmt: skip
        except LinkError as error:
            await self._after(ref, sha, expected, error)
        else:
            if result.exit_status:
                await self._after(ref, sha, expected, push_error(result.output, branch))
        await self._git.run("update-ref", f"refs/remotes/origin/{branch}", sha)

    async def _after(self, ref: str, sha: str, expected: str, error: LinkError) -> None:
        """What is true after a push that failed: asked of the remote itself. Returns when it has it."""
        branch = ref.removeprefix("refs/heads/")
        try:
            head = (await self.refs(ref)).get(ref, "")
        except LinkError as away:
            raise PushError(
                error.fault,
                error.what,
                head=None,
                where=error.where,
                means=f"whether it was pushed is not known: the remote could not be asked ({away.what})",
                next="Sense the step again when the remote can be reached: it tells whether this happened.",
            ) from error
        if head == sha:
            return
        stands = f"{branch} stands at {head[:7]}" if head else f"there is no branch {branch}"
        if head == expected:
            means, next_step = f"nothing was pushed: {stands} as before", error.next
        else:
            means = f"nothing was pushed: {branch} was at {expected[:7] or 'nothing'}, and now {stands}"
            next_step = "Somebody pushed meanwhile. Look at what came, and plan it again."
        means = "; ".join(text for text in (error.means, means) if text)
        raise PushError(
            error.fault, error.what, head=head, where=error.where, means=means, next=next_step
        ) from error

    async def within(self, tree: Path) -> Git:
        """Git within a worktree of the copy."""
        return await _in_tree(self._git, tree)

    def committing(self, author: Author) -> dict[str, str]:
        """What git is told for commits that keep their authors: who commits, and how commits are signed."""
        told = self._as(author)
        return {key: value for key, value in told.items() if not key.startswith("GIT_AUTHOR_")}

    def _as(self, author: Author) -> dict[str, str]:
        signing = [(key, value) for key, value in self.settings.items() if not key.startswith("user.name")]
        return {
            **as_variables(signing),
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_COMMITTER_NAME": author.name,
            "GIT_COMMITTER_EMAIL": author.email,
            "GIT_MERGE_AUTOEDIT": "no",
            "GIT_EDITOR": "true",
        }

    async def _contains(self, sha: str, other: str) -> bool:
        result = await self._git.run(
            "merge-base", "--is-ancestor", check_sha(other), check_sha(sha), fine=(0, 1)
        )
        return result.exit_status == 0

    async def conflicts(
        self, git: Git, tree: Path, names: tuple[str, str]
    ) -> tuple[tuple[Conflict, ...], int]:
        """The files of a worktree that are in conflict, and how many there are."""
        result = await git.run("ls-files", "-z", "--unmerged")
        stages: dict[str, set[str]] = {}
        for entry in result.stdout.split(b"\0"):
            head, _, name = entry.partition(b"\t")
            if name:
                stages.setdefault(os.fsdecode(name), set()).add(head.split()[2].decode("ascii", "replace"))
        found = []
        for path, has in list(stages.items())[:CONFLICTS]:
            told = _STAGES.get(frozenset(has), "both sides touched it")
            why = told.format(base=names[0], other=names[1])
            hunks, more = read_hunks(tree / path) if {"2", "3"} <= has else ((), 0)
            if {"2", "3"} <= has and not hunks:
                why += ", and it is no text"
            found.append(Conflict(path=sanitise_line(path, cap=200), why=why, hunks=hunks, more=more))
        return tuple(found), len(stages)


def read_hunks(file: Path) -> tuple[tuple[Hunk, ...], int]:
    """The places between git's markers in a half merged file, and how many there are beyond `HUNKS`. Nothing
    of what is no text, too large or no plain file.
    """
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _FILE_LIMIT:
            return (), 0
        data = file.read_bytes()
    except OSError:
        return (), 0
    if b"\0" in data:
        return (), 0
    hunks: list[Hunk] = []
    ours: list[bytes] = []
    theirs: list[bytes] = []
    before: list[bytes] = []
    side: list[bytes] | None = None
    began = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        if side is None and line.startswith(b"<<<<<<< "):
            ours, theirs, before, began = [], [], [], number
            side = ours
        elif side is ours and line.startswith(b"||||||| "):  # merge.conflictStyle = diff3
            side = before
        elif (side is ours or side is before) and line.rstrip(b"\r") == b"=======":
            side = theirs
        elif side is theirs and line.startswith(b">>>>>>> "):
            hunks.append(
                Hunk(
                    line=began,
                    ours=_lines(ours),
                    theirs=_lines(theirs),
                    cut=max(len(ours), len(theirs)) > HUNK_LINES,
                )
            )
            side = None
        elif side is not None:
            side.append(line)
    return tuple(hunks[:HUNKS]), max(0, len(hunks) - HUNKS)


def push_error(output: bytes, branch: str) -> LinkError:
    """What git, the server and its hooks say of a push that was refused, explained.

    Source of the words: git's `transport.c` and `builtin/receive-pack.c`; GitHub's GH006 and GH013 ("About
    protected branches", "About rulesets") and its answers to those without rights.
    """
    lines = clean_lines(output)
    text = "\n".join(lines)
    refused = next((line for line in lines if line.startswith("!")), "")
    reason = (re.findall(r"\(([^()]*)\)\s*$", refused) or [""])[0]
    words = [
        sanitise_line(redact(line.removeprefix("remote:").strip()), cap=300)
        for line in lines
        if line.startswith("remote:") and line.removeprefix("remote:").strip()
    ]
    said = f"the server says: {' / '.join(words[:6])}" if words else ""
    low = text.lower()
    if "gh006" in low or "gh013" in low or "protected branch hook declined" in low:
        return LinkError(
            Fault.AUTH,
            f"{branch} is protected: the push was refused",
            means=said,
            next="Merge by a pull request on GitHub, or have somebody push who may.",
        )
    if re.search(r"permission to \S+ denied|write access to repository not granted|error: 403", low):
        told = next(
            (w for w in [*words, *lines] if re.search(r"denied|not granted|error: 403", w, re.IGNORECASE)),
            "",
        )
        return LinkError(
            Fault.AUTH,
            f"you have no right to push to {branch}",
            means=sanitise_line(redact(told), cap=300),
            next="Ask for write access, or look which account or key git uses here.",
        )
    if reason in ("stale info", "fetch first", "non-fast-forward", "needs force"):
        return LinkError(Fault.OTHER, f"{branch} has moved: the push was refused ({reason})")
    if "hook declined" in reason:
        return LinkError(
            Fault.OTHER, f"a hook of the server refused the push ({reason})", means=said, next=""
        )
    if refused:
        why = sanitise_line(redact(reason or refused), cap=200)
        return LinkError(Fault.OTHER, f"the server refused the push to {branch}: {why}", means=said)
    return explain(output, where="push")


def _lines(lines: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(redact(sanitise_line(line, cap=300)) for line in lines[:HUNK_LINES])


async def _in_tree(git: Git, tree: Path) -> Git:
    """Git within a worktree of the copy."""
    told = (tree / ".git").read_text(encoding="utf-8", errors="surrogateescape")
    return Git(Path(told.removeprefix("gitdir:").strip()), tree=tree, log=git.log)
