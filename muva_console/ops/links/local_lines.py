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
_TOO_LONG = re.compile(rb"[^\n]{%d,}" % (LONGEST + 1))
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")


class Lines:
    """Cuts one pipe's bytes into clean lines; a carriage return ends a line as a newline does, so that
    a progress bar is many short lines and not one long one.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` gets one or more whole lines at a time, without the last one's newline."""
        self._tell = tell
        self._rest = b""
        self._cut = False
        """The line that has begun was longer than `LONGEST`: what follows of it is left out."""
        self._after_return = False
        self._in_key = False
        """A private key has begun and not ended."""

    def feed(self, data: bytes) -> None:
        """Take what was read next."""
        if self._after_return and data:
            data = data.removeprefix(b"\n")
            self._after_return = False
        if not data:
            return
        self._after_return = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._cut:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return
            self._cut = False
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._pass(whole)
        if len(rest) > LONGEST:
            self._pass(rest)
            rest, self._cut = b"", True
        self._rest = rest

    def end(self) -> None:
        """The pipe has ended: what has no newline is a line too."""
        if self._rest:
            self._pass(self._rest)
            self._rest = b""

    def _pass(self, data: bytes) -> None:
        text = sanitise(_TOO_LONG.sub(_shorten, data))
        # in one go where nothing can be a secret: the loop would hold the screen up in a flood
        if self._in_key or not redactor.innocent(text):
            text = "\n".join([self._redact(line) for line in text.split("\n")])
        self._tell(text)

    def _redact(self, line: str) -> str:
        if self._in_key:
            self._in_key = not _KEY_ENDS.search(line)
            return REDACTED
        begins = [found.end() for found in _KEY_BEGINS.finditer(line)]
        self._in_key = bool(begins) and not _KEY_ENDS.search(line, begins[-1])
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

    def add(self, text: str) -> None:
        """Write lines, as long as there is room. Raises OSError (a full disk)."""
        if self._left <= 0:
            return
        data = (text + "\n").encode("utf-8", "replace")
        if len(data) > self._left:
            data = data[: data.rfind(b"\n", 0, self._left) + 1] + "… the rest was not kept\n".encode()
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
    lines = Lines(lambda text: found.extend(text.split("\n")))
    lines.feed(data)
    lines.end()
    shown = [sanitise_line(line) for line in found]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def _shorten(line: re.Match[bytes]) -> bytes:
    return line[0][: LONGEST - _MARGIN] + " …".encode()
