"""What validation has found out of contents, kept by the content's hash: in memory, and in one file."""

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

T = TypeVar("T")

FORM = 1
"""Of what is remembered: raise it when a deed is read otherwise."""
KEPT = 5_000
"""Contents that are remembered, the newest. Ours: some megabytes."""
LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read."""


class Shelf:
    """Values by digest. Never raises: a disk that is full or a file that is not ours costs time alone."""

    def __init__(self, folder: Path | None) -> None:
        """Without a folder it remembers for as long as it lives."""
        self._path = None if folder is None else folder / "hazards.bin"
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._made: OrderedDict[bytes, object] = OrderedDict()
        self._loaded = self._path is None
        self._new = False

    def load(self) -> None:
        """Read the file, once."""
        if self._loaded or self._path is None:
            return
        self._loaded = True
        with suppress(OSError, msgspec.DecodeError, ValueError):
            if self._path.stat().st_size > LARGEST:
                return
            data = self._path.read_bytes()
            head, body = data[:32], data[32:]
            if head == hashlib.sha256(_MARK + body).digest():
                self._known.update(msgspec.msgpack.decode(body, type=dict[bytes, bytes]))

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
        self._made.move_to_end(digest)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        if self._path is not None:
            self._known[digest] = msgspec.msgpack.encode(value)
            self._known.move_to_end(digest)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            self._new = True

    def save(self) -> None:
        """Write the file anew where something is new."""
        if not self._new or self._path is None:
            return
        self._new = False
        body = msgspec.msgpack.encode(dict(self._known))
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=".hazards-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(_MARK + body).digest() + body)
                os.replace(name, self._path)  # noqa: PTH105 - beside open
            except OSError:
                with suppress(OSError):
                    os.unlink(name)  # noqa: PTH108
                raise


_MARK = f"muva hazards {FORM} {__version__}".encode()
