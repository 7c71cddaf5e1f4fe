"""What validation has found out of contents, kept by the content's hash: in memory, and on disk.

Two kinds: what hangs on one text alone, all in one file; and whole answers, a file each, so that asking the
same again reads nothing else. Never wrong, only forgotten: a file that is cut, changed or of another version
is as none.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from muva_console import __version__
from muva_console.ops.migrations.findings import FileReport

T = TypeVar("T")

FORM = 1
"""Of what is remembered: raise it when a deed is read, or judged, otherwise."""
KEPT = 5_000
"""Contents that are remembered, the newest. Ours: some megabytes."""
ANSWERS = 8
"""Whole answers that are remembered, the newest. Ours."""
LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read or written."""

Answer = tuple[FileReport, ...]


class Shelf:
    """Values by digest. Never raises: a disk that is full or a file that is not ours costs time alone."""

    def __init__(self, folder: Path | None) -> None:
        """Without a folder it remembers for as long as it lives."""
        self._folder = None if folder is None else folder / "hazards"
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        """As they are on disk."""
        self._made: OrderedDict[bytes, object] = OrderedDict()
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._loaded = self._folder is None
        self._new: set[bytes] = set()

    # --- what hangs on one text

    def load(self) -> None:
        """Read the file, once."""
        if self._loaded or self._folder is None:
            return
        self._loaded = True
        body = _read(self._folder / "texts.bin")
        with suppress(msgspec.DecodeError):
            self._known.update(msgspec.msgpack.decode(body or b"", type=dict[bytes, bytes]))

    def get(self, digest: bytes, type: type[T]) -> T | None:
        """What is known of a digest; None when nothing is."""
        made = self._made.get(digest)
        if made is not None:
            return made  # type: ignore[return-value]
        data = self._known.get(digest)
        if data is None:
            return None
        try:
            found: T = msgspec.msgpack.decode(data, type=type)
        except msgspec.DecodeError:
            return None
        self._made[digest] = found
        return found

    def put(self, digest: bytes, value: object) -> None:
        """Remember it; `save` writes it down."""
        self._made[digest] = value
        _bound(self._made, KEPT)
        if self._folder is not None:
            self._new.add(digest)

    def save(self) -> None:
        """Write the file anew where something is new."""
        if not self._new or self._folder is None:
            return
        for digest in self._new:
            if digest in self._made:
                self._known[digest] = msgspec.msgpack.encode(self._made[digest])
        self._new.clear()
        _bound(self._known, KEPT)
        _write(self._folder / "texts.bin", msgspec.msgpack.encode(dict(self._known)))

    # --- whole answers

    def answer(self, question: bytes) -> Answer | None:
        """What was answered to the same question; None when it was not asked."""
        known = self._answers.get(question)
        if known is not None or self._folder is None:
            return known
        path = self._answer_path(question)
        body = _read(path)
        if body is None:
            return None
        try:
            found = msgspec.msgpack.decode(body, type=Answer)
        except msgspec.DecodeError:
            return None
        with suppress(OSError):
            os.utime(path)  # the one that is asked for stays
        self._answers[question] = found
        _bound(self._answers, ANSWERS)
        return found

    def put_answer(self, question: bytes, answer: Answer) -> None:
        """Remember an answer, on disk at once."""
        self._answers[question] = answer
        _bound(self._answers, ANSWERS)
        if self._folder is None:
            return
        _write(self._answer_path(question), msgspec.msgpack.encode(answer))
        with suppress(OSError):
            there = sorted(self._folder.glob("answer-*.bin"), key=lambda one: one.stat().st_mtime)
            for old in there[:-ANSWERS]:
                old.unlink(missing_ok=True)

    def _answer_path(self, question: bytes) -> Path:
        assert self._folder is not None
        return self._folder / f"answer-{question.hex()[:32]}.bin"


def _bound(values: OrderedDict[bytes, T], most: int) -> None:
    while len(values) > most:
        values.popitem(last=False)


def _read(path: Path) -> bytes | None:
    """What `_write` wrote; None where it is not there or not whole."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    head, body = data[:32], data[32:]
    return body if head == hashlib.sha256(_MARK + body).digest() else None


def _write(path: Path, body: bytes) -> None:
    if len(body) > LARGEST:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".hazards-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(_MARK + body).digest() + body)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


_MARK = f"muva hazards {FORM} {__version__}".encode()
