"""What a command prints, cut into lines that are fit for a screen and a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from muva_console.config.redact import REDACTED, redact, redactor
from muva_console.ops.text import sanitise, sanitise_line

LONGEST = 16 * 1024
"""Bytes kept of one line; the rest of it is left out."""
AT_ONCE = 200
"""Lines told of one piece of output; of more only the last are, for nobody can read them."""
KEEP = 50 * 1024 * 1024
"""Bytes kept of a command's output in a file."""
_MARGIN = 256
"""Bytes before a cut that are left out too: half a secret is no longer known for one."""
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")


class Lines:
    """Cuts one pipe's bytes into clean lines; a carriage return ends a line as a newline does, so that
    a progress bar is many short lines and not one long one.
    """

    def __init__(self, tell: Callable[[list[str]], None]) -> None:
        self._tell = tell
        self._rest = b""
        self._cut = False
        """The line that has begun was longer than `LONGEST`: what follows of it is left out."""
        self._after_return = False
        self._clean = Cleaner()

    def feed(self, data: bytes) -> None:
        """Take what was read next."""
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        if not data:
            return
        self._after_return = data.endswith(b"\r")
        *whole, rest = (self._rest + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
        if whole and self._cut:
            whole, self._cut = whole[1:], False
        if self._cut:
            rest = b""
        elif len(rest) > LONGEST:
            whole.append(rest)
            rest, self._cut = b"", True
        self._rest = rest
        if whole:
            self._pass([_shorten(line) for line in whole])

    def end(self) -> None:
        """The pipe has ended: what has no newline is a line too."""
        if self._rest:
            self._pass([self._rest])
            self._rest = b""

    def _pass(self, lines: list[bytes]) -> None:
        self._tell(self._clean.clean(b"\n".join(lines)))


class Cleaner:
    """Makes lines harmless and takes secrets out, private keys over several lines included."""

    def __init__(self) -> None:
        self._in_key = False

    def clean(self, data: bytes) -> list[str]:
        """The lines of `data`, which ends where a line does."""
        text = sanitise(data)
        if not self._in_key and redactor.innocent(text):
            return text.split("\n")
        return [self._line(line) for line in text.split("\n")]

    def _line(self, line: str) -> str:
        if self._in_key:
            self._in_key = not _KEY_ENDS.search(line)
            return REDACTED
        begins = [found.end() for found in _KEY_BEGINS.finditer(line)]
        if begins and not _KEY_ENDS.search(line, begins[-1]):
            self._in_key = True
        return redact(line)


class Kept:
    """A file with what a command printed: readable by its owner alone, redacted, of bounded size."""

    def __init__(self, path: Path, *, limit: int = KEEP) -> None:
        """Raises OSError. What stood in the file is gone; a link there is not followed."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        self.path = path
        self._left = limit
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def add(self, lines: list[str]) -> None:
        """Write lines, as long as there is room. Raises OSError (a full disk)."""
        if self._left <= 0:
            return
        data = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        if len(data) > self._left:
            data = data[: self._left].rpartition(b"\n")[0] + "\n… the rest was not kept\n".encode()
            self._left = 0
        self._left -= len(data)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def clean_lines(data: bytes) -> list[str]:
    """All lines of some output: harmless, without secrets, none longer than a screen can bear, without
    empty ones at the end.
    """
    found: list[str] = []
    lines = Lines(found.extend)
    lines.feed(data)
    lines.end()
    shown = [sanitise_line(line) for line in found]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def _shorten(line: bytes) -> bytes:
    return line if len(line) <= LONGEST else line[: LONGEST - _MARGIN] + " …".encode()
