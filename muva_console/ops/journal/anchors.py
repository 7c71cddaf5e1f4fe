"""The anchor file: the journal's head after each append, in a file that only grows.

A chain of hashes shows every change in its middle but not that its last entries were cut off. The anchor
file remembers how far the chain had come: a line ``ID HASH TIME`` after each append, written in one write
after the entry is safely on disk. A crash in between leaves the file behind the chain, which is harmless;
it is never ahead of it, unless the chain was cut.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from msgspec import Struct

_LINE = re.compile(rb"([1-9][0-9]{0,18}) ([0-9a-f]{64}) [0-9TZ:.\-]{1,40}")
_TAIL = 4096


class Anchors(Struct, frozen=True):
    """What the anchor file tells."""

    hashes: dict[int, str]
    """Entry id → hash. Of several lines for one id the first counts: nothing written later replaces it."""
    malformed: int = 0
    """Lines that are no anchors (a write torn by a full disk, or somebody's editor)."""
    contradicted: int | None = None
    """The smallest id for which two lines name different hashes."""

    @property
    def last(self) -> int:
        """The greatest entry id, 0 when there is none."""
        return max(self.hashes, default=0)


def read(path: Path) -> Anchors | None:
    """All anchors, None when there is no file. Raises OSError."""
    hashes: dict[int, str] = {}
    malformed = 0
    contradicted: int | None = None
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return None
    with handle:
        for line in handle:
            parsed = _parse(line)
            if parsed is None:
                malformed += bool(line.strip())
                continue
            seq, told = parsed
            if hashes.setdefault(seq, told) != told:
                contradicted = seq if contradicted is None else min(contradicted, seq)
    return Anchors(hashes, malformed, contradicted)


def last(path: Path) -> tuple[int, str] | None:
    """The newest anchor, from the file's last lines only. Raises OSError other than a missing file."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - _TAIL))
            parsed = [told for line in handle.read().splitlines() if (told := _parse(line))]
    except FileNotFoundError:
        return None
    return max(parsed, default=None)


def append(path: Path, seq: int, told: str, at: str) -> None:
    """Add one anchor and see it to the disk. The file must be there. Raises OSError.

    One write with O_APPEND, so that lines of several consoles never mix; a torn last line of an earlier
    write is closed first.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        line = b"\n" * torn + f"{seq} {told} {at}\n".encode("ascii")
        if os.write(handle, line) != len(line):
            raise OSError(28, os.strerror(28), str(path))
        os.fdatasync(handle)
    finally:
        os.close(handle)


def _parse(line: bytes) -> tuple[int, str] | None:
    match = _LINE.fullmatch(line.strip())
    return (int(match[1]), match[2].decode("ascii")) if match else None
