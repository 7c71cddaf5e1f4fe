"""A program in a terminal of its own: what it writes, how fast it answers, what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


class Terminal:
    """The near end of a pseudo-terminal with a program at the far end."""

    def __init__(self, near: int, process: int) -> None:
        self._near = near
        self.process = psutil.Process(process)

    def read(self, seconds: float) -> int:
        """Read for `seconds`; how many bytes came."""
        until, count = time.monotonic() + seconds, 0
        while (left := until - time.monotonic()) > 0:
            count += len(self._some(left))
        return count

    def wait_for(self, what: bytes, seconds: float) -> float:
        """Read until `what` comes; seconds it took. Raises TimeoutError."""
        began, seen = time.perf_counter(), b""
        while what not in seen:
            left = began + seconds - time.perf_counter()
            if left <= 0:
                raise TimeoutError(f"{what!r} did not come within {seconds} s")
            seen = seen[-200:] + self._some(left)
        return time.perf_counter() - began

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._near, keys)

    def cpu(self) -> float:
        """Processor seconds used so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def _some(self, timeout: float) -> bytes:
        ready, _, _ = select.select([self._near], [], [], timeout)
        if not ready:
            return b""
        try:
            return os.read(self._near, 65536)
        except OSError:
            raise EOFError("the program ended") from None


@contextmanager
def terminal(
    *arguments: str, program: str = sys.executable, columns: int = 120, lines: int = 40
) -> Iterator[Terminal]:
    """Run a program (this Python) with `arguments` in a terminal; it is ended on leaving."""
    process, near = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
        os.execv(program, [program, *arguments])
    try:
        fcntl.ioctl(near, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        yield Terminal(near, process)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(near)
