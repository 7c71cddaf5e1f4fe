"""Outcomes that could not be written to the database, kept beside it until they can be.

The likeliest reason is a full disk, on which a new file fails as well. So room is taken *before* an act
begins: a file of blanks, really allocated, one for each act. If the end cannot be written to the journal
it overwrites the blanks in place, which needs no space; else the file is removed. Whoever opens the
journal next merges what is there.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.ops.journal.clean import canonical
from muva_console.ops.journal.folder import Folder
from muva_console.ops.journal.model import Life, Owner
from muva_console.ops.text import sanitise

RESERVED = 16 * 1024
"""Bytes kept free for one outcome. Ours: a summary with the last lines of output fits."""
_SUFFIX = ".outcome"
_BEING_MADE = 60.0


class Spooled(Struct, frozen=True, kw_only=True):
    """One file of the spool."""

    path: Path
    act: str
    owner: Owner | None = None
    outcome: dict[str, Any] | None = None
    """What was to be written, as `keep` was given it; None while only the room is reserved."""
    torn: str = ""
    """What can be read of a file that is neither."""


def reserve(folder: Folder, act: str, owner: Owner) -> None:
    """Take the room for the outcome of `act`. Raises OSError (ENOSPC and the like)."""
    folder.make_spool()
    path = _path(folder, act)
    folder.make_file(path)
    head = canonical({"owner": {"host": owner.host, "pid": owner.pid, "started": owner.started,
                                "machine": owner.machine}})  # fmt: skip
    try:
        _overwrite(path, head)
    except OSError:
        release(folder, act)
        raise


def keep(folder: Folder, act: str, outcome: dict[str, Any]) -> bool:
    """Keep an outcome in the room reserved for it; False when it had to be shortened. Raises OSError."""
    folder.make_spool()
    path = _path(folder, act)
    folder.make_file(path)
    text = canonical({"outcome": outcome})
    whole = len(text) <= RESERVED
    if not whole:
        short = {**outcome, "text": str(outcome.get("text", ""))[:2000], "data": {}, "shortened": True}
        text = canonical({"outcome": short})[:RESERVED]
    _overwrite(path, text)
    return whole


def release(folder: Folder, act: str) -> None:
    """Give the room back. What cannot be removed is found and removed at the next merge."""
    with suppress(OSError):
        _path(folder, act).unlink()


def waiting(folder: Folder) -> list[Spooled]:
    """What lies in the spool, by act. Raises OSError other than a missing folder."""
    found = []
    try:
        paths = sorted(folder.spool.glob(f"*{_SUFFIX}"))
    except FileNotFoundError:
        return []
    for path in paths:
        with suppress(FileNotFoundError):  # another console merged it meanwhile
            found.append(_read(path))
    return found


def is_left_over(spooled: Spooled, life: Life, *, ended: bool) -> bool:
    """Whether a file with nothing but reserved room can go: its act has ended, or its process is gone."""
    if spooled.outcome is not None or spooled.torn:
        return False
    if ended or life is Life.INTERRUPTED:
        return True
    try:  # without an owner it may be another console's, at the very moment of being made
        return spooled.owner is None and time.time() - spooled.path.stat().st_mtime > _BEING_MADE
    except OSError:
        return False


def _path(folder: Folder, act: str) -> Path:
    return folder.spool / f"{act}{_SUFFIX}"


def _overwrite(path: Path, text: str) -> None:
    """The text, filled with blanks to the reserved size: in place, never truncated first."""
    content = text.encode("ascii").ljust(RESERVED)
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(handle, content[written:], written)
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> Spooled:
    act = path.name.removesuffix(_SUFFIX)
    with path.open("rb") as handle:
        text = handle.read(4 * RESERVED).decode("utf-8", "replace").strip(" \0\n")
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        return Spooled(path=path, act=act, torn=sanitise(text[:2000]))
    if not isinstance(told, dict):
        return Spooled(path=path, act=act, torn=sanitise(text[:2000]))
    outcome = told.get("outcome")
    owner = None
    if isinstance(told.get("owner"), dict):
        from muva_console.ops.journal.liveness import owner_of

        owner = owner_of(told)
    return Spooled(path=path, act=act, owner=owner, outcome=outcome if isinstance(outcome, dict) else None)
