"""What was once found out of a content, kept on disk by the content's hash: never wrong, only forgotten.

One file of fixed records behind a line that names what made them and their digest. A file that is cut,
changed or of another parser is as none; it is made again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

FORM = 1
"""Of the file and of what a shape is: raise it when either changes."""
KEPT = 200_000
"""Contents that are remembered, the newest: 9.6 MB. Ours."""
KEY, _VALUE = 32, 16
_RECORD = KEY + _VALUE
_DIGEST = 32
_NOTHING = bytes(_VALUE)


class ContentCache:
    """Values of 16 bytes by a digest. Never raises: a disk that is full costs time, not truth."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet; `path` is a file that several consoles may share."""
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[bytes, bytes] = {}
        self._loaded = False
        self._new = 0

    def load(self) -> None:
        """Read the file, once."""
        with self._lock:
            if not self._loaded:
                self._known = {**self._read(), **self._known}
                self._loaded = True

    def get(self, key: bytes) -> bytes | None:
        """What is known of a digest of 32 bytes; None when nothing is."""
        known = self._known.get(key)
        return b"" if known == _NOTHING else known

    def put(self, key: bytes, value: bytes) -> None:
        """Remember at most 16 bytes; `save` writes them down."""
        with self._lock:
            self._known[key] = value[:_VALUE].ljust(_VALUE, b"\0")
            self._new += 1

    def save(self) -> None:
        """Write what is new, together with what another console has written meanwhile."""
        with self._lock:
            if not self._new:
                return
            known = {**self._read(), **self._known}
            kept = list(known.items())[-KEPT:]
            body = b"".join(key + value for key, value in kept)
            self._known, self._new = dict(kept), 0
            with suppress(OSError):
                self._write(_head() + hashlib.sha256(body).digest() + body)

    def _read(self) -> dict[bytes, bytes]:
        try:
            data = self._path.read_bytes()
        except OSError:
            return {}
        head = _head()
        at = len(head) + _DIGEST
        body = data[at:]
        whole = data.startswith(head) and hashlib.sha256(body).digest() == data[len(head) : at]
        if not whole or len(body) % _RECORD:
            return {}
        return {
            body[start : start + KEY]: body[start + KEY : start + _RECORD]
            for start in range(0, len(body), _RECORD)
        }

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, beside = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(beside).replace(self._path)
        except OSError:
            with suppress(OSError):
                Path(beside).unlink()
            raise


def cache_in(folder: Path) -> ContentCache:
    """The cache of a workspace's folder for what can be made again; one for all who ask in this process."""
    with _making:
        return _caches.setdefault(folder, ContentCache(folder / "migrations.shapes"))


_making = threading.Lock()
_caches: dict[Path, ContentCache] = {}


def _head() -> bytes:
    """The line that names the file's form and the parser whose words shapes are made of."""
    global _parser
    if not _parser:
        from importlib.metadata import PackageNotFoundError, version

        try:
            _parser = version("postgast")
        except PackageNotFoundError:
            _parser = "unknown"
    return f"muva migrations {FORM} postgast {_parser}\n".encode()


_parser = ""
