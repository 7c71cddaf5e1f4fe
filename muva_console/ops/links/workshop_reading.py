"""What git answers, as values: everything is asked for with NUL bytes between, so that any name survives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.outgoing import FileChange, OutgoingCommit
from muva_console.ops.text import sanitise_line

COMMITS = 5000
"""Commits read of one comparison. Ours: more than a year of a busy team."""
FORMAT = "--format=%H%x00%ct%x00%an%x00%P%x00%s"
_FIELDS = 5
_LEAD = "refs/remotes/origin/"


class Blob(Struct, frozen=True, gc=False):
    """A file of a commit."""

    path: str
    """As git has it; bytes that are no UTF-8 are kept as surrogates."""
    oid: str
    size: int


def read_commits(data: bytes) -> tuple[OutgoingCommit, ...]:
    """Of ``git log -z`` with `FORMAT`. Raises LinkError(PROTOCOL)."""
    fields = data.decode("utf-8", "replace").split("\0")
    if fields[-1] == "":
        fields.pop()
    if len(fields) % _FIELDS:
        raise LinkError(Fault.PROTOCOL, "git's list of commits cannot be read")
    found = []
    for start in range(0, len(fields), _FIELDS):
        sha, seconds, author, parents, subject = fields[start : start + _FIELDS]
        found.append(
            OutgoingCommit(
                sha=sha.strip(),
                subject=redact(sanitise_line(subject, cap=300)),
                author=redact(sanitise_line(author, cap=120)),
                at=_when(seconds),
                merge=" " in parents,
            )
        )
    return tuple(found)


def read_changes(data: bytes) -> tuple[FileChange, ...]:
    """Of ``git diff-tree -z --name-status -M``. Raises LinkError(PROTOCOL)."""
    words = iter([os.fsdecode(word) for word in data.split(b"\0")])
    found = []
    try:
        for status in words:
            if not status:
                break
            letter = status[0]
            if letter in "RC":
                before, path = next(words), next(words)
                found.append(FileChange(status="R" if letter == "R" else "A", path=path, before=before))
            else:
                found.append(FileChange(status=letter, path=next(words)))
    except StopIteration:
        raise LinkError(Fault.PROTOCOL, "git's list of changed files cannot be read") from None
    return tuple(found)


def read_tree(data: bytes, known: dict[bytes, Blob] | None = None) -> list[Blob]:
    """Of ``git ls-tree -r -z -l``; submodules are left out. `known` remembers entries: most of one commit are
    those of another. Raises LinkError(PROTOCOL).
    """
    found = []
    known = {} if known is None else known
    for entry in data.split(b"\0"):
        blob = known.get(entry)
        if blob is not None:
            found.append(blob)
            continue
        head, _, path = entry.partition(b"\t")
        if not head:
            continue
        fields = head.decode("ascii", "replace").split()
        if len(fields) != 4 or not (fields[3].isdigit() or fields[3] == "-"):
            raise LinkError(Fault.PROTOCOL, "git's list of files cannot be read")
        if fields[1] == "blob":
            known[entry] = blob = Blob(os.fsdecode(path), fields[2], int(fields[3]))
            found.append(blob)
    return found


def read_blobs(data: bytes) -> Iterator[bytes]:
    """The contents in an answer of ``git cat-file --batch``, in its order. Raises LinkError(PROTOCOL)."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        fields = data[at:end].split()
        if end < 0 or len(fields) != 3 or not fields[2].isdigit():
            raise LinkError(Fault.PROTOCOL, "git's answer with files cannot be read")
        size = int(fields[2])
        yield data[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


def read_heads(data: bytes) -> dict[str, str]:
    """Branches and their commits, of ``git for-each-ref``."""
    found = {}
    for line in data.split(b"\n"):
        sha, _, name = line.partition(b" ")
        if name:
            found[os.fsdecode(name).removeprefix(_LEAD)] = sha.decode("ascii", "replace")
    return found


def _when(seconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
