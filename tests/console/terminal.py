"""A terminal for tests: the console runs behind it as a process; it may be closed, stalled, resized."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

from tests import prepared
from tests.patience import HANG

_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")


class Terminal:
    """The controlling side of a pty with the console behind it."""

    def __init__(self, *arguments: str, columns: int = 120, rows: int = 40, **env: str) -> None:
        self.written = bytearray()
        self._stalled = threading.Event()
        self._stopped = False
        usual = {name: value for name, value in os.environ.items() if name != "TMUX"}
        environ = {**usual, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **env}
        self._begun: prepared.Begun | None = None
        if "PYTHONPATH" in env:  # which is read when Python begins
            self.pid, self._fd = pty.fork()
            if self.pid == 0:
                os.execve(sys.executable, [sys.executable, "-m", "muva_console", *arguments], environ)
        else:
            self._fd, far = os.openpty()
            try:
                self._begun = prepared.begin(
                    *arguments, env=environ, stdin=far, stdout=far, stderr=far, terminal=True
                )
            finally:
                os.close(far)
            self.pid = self._begun.pid
        self.resize(columns, rows)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.status: int | None = None

    def _read(self) -> None:
        while not self._stopped:
            if self._stalled.is_set():
                time.sleep(0.01)
                continue
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            if not data:
                return
            self.written += data

    @property
    def text(self) -> str:
        """Everything that was ever drawn, without escape sequences: enough to look for words."""
        return _ESCAPES.sub(b"", bytes(self.written)).decode("utf-8", "replace")

    def until(self, words: str, seconds: float = HANG, *, since: int = 0) -> None:
        """Wait until `words` were drawn, at or after byte `since` of what was written."""
        deadline = time.monotonic() + seconds
        while words not in _ESCAPES.sub(b"", bytes(self.written[since:])).decode("utf-8", "replace"):
            assert time.monotonic() < deadline, f"{words!r} was not drawn; the end is {self.text[-6000:]!r}"
            assert self.poll() is None, f"it ended with {self.status}: {self.text[-6000:]!r}"
            time.sleep(0.02)

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._fd, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGWINCH)

    def stall(self, stalled: bool) -> None:
        """Take nothing of what is written any more, as a dead connection does; or go on."""
        if stalled:
            self._stalled.set()
        else:
            self._stalled.clear()

    def hang_up(self) -> None:
        """Close the terminal: the console gets SIGHUP, and its writes fail."""
        self._stopped = True
        os.close(self._fd)

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.status is None and self._begun is not None:
            self.status = self._begun.wait(0)
        elif self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds: float = HANG) -> int:
        """Wait for its end; the exit status."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < deadline, f"it did not end; the end is {self.text[-800:]!r}"
            time.sleep(0.02)
        assert self.status is not None
        return self.status

    def cooked(self) -> bool:
        """Whether the terminal echoes and edits lines again."""
        flags = termios.tcgetattr(self._fd)[3]
        return bool(flags & termios.ECHO) and bool(flags & termios.ICANON)

    def kill(self) -> None:
        """End it whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError, AssertionError):
            self.wait(5)
        if not self._stopped:
            self._stopped = True
            with contextlib.suppress(OSError):
                os.close(self._fd)


def journal_of(directory: Path) -> list[dict[str, str]]:
    """The journal's entries, read without the console's own code."""
    import sqlite3

    file = directory / "journal.db"
    if not file.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=HANG)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM entry ORDER BY id")]
