"""The console in a real terminal: its colours, its crash; how it ends is in tests/console."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Screen:
    """The near end of a pseudo-terminal with the console at its far end."""

    def __init__(self, near: int, pid: int) -> None:
        self.near, self.pid = near, pid
        self.seen = b""

    def read_until(self, what: bytes, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while what not in self.seen:
            assert time.monotonic() < deadline, f"{what!r} did not come: {self.seen[-2000:]!r}"
            self.read(0.1)

    def read(self, seconds: float) -> None:
        if select.select([self.near], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.near, 65536)
            except OSError:  # the far end is gone
                time.sleep(0.01)

    def ended(self, patience: float = PATIENCE, *, reading: bool = True) -> int:
        """The exit status, or minus the signal."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if reading:
                self.read(0.05)
            else:
                time.sleep(0.05)
        raise AssertionError("it did not end")


@contextmanager
def console(*arguments: str, **environ: str) -> Iterator[Screen]:
    pid, near = pty.fork()
    if pid == 0:
        for name in ("NO_COLOR", "COLORTERM", "TMUX", "LC_ALL"):
            os.environ.pop(name, None)
        os.environ.update({"TERM": "xterm-256color", "LANG": "C.UTF-8", **environ})
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "tests.screens.show", *arguments])
    fcntl.ioctl(near, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    screen = Screen(near, pid)
    try:
        yield screen
    finally:
        if screen.pid:
            os.kill(screen.pid, signal.SIGKILL)
            os.waitpid(screen.pid, 0)
        os.close(near)


def parameters(seen: bytes) -> set[str]:
    """The parameters of every SGR sequence (ECMA-48, 8.3.117)."""
    return {part for found in re.findall(rb"\x1b\[([0-9;]*)m", seen) for part in [found.decode()]}


def colours(seen: bytes) -> set[str]:
    """The SGR sequences that set a colour other than the terminal's own."""
    return {each for each in parameters(seen) if re.search(r"(^|;)(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;|$)", each)}


def drawn(screen: Screen) -> None:
    """Wait for the Overview, change to Health and back."""
    screen.read_until(b"Needs you")
    os.write(screen.near, b"6")
    screen.read_until(b"what was found")
    os.write(screen.near, b"?")
    screen.read_until(b"Back to where you came from")


@pytest.mark.parametrize(
    "environ", [{"NO_COLOR": "1", "COLORTERM": "truecolor"}, {"TERM": "vt100"}], ids=["NO_COLOR", "vt100"]
)
def test_no_colour_is_sent_where_none_is_wanted(environ: dict[str, str]) -> None:
    with console(**environ) as screen:
        drawn(screen)
        assert parameters(screen.seen)  # bold and dim are there
        assert colours(screen.seen) == set()


def test_sixteen_colours_are_the_terminals_own() -> None:
    with console(TERM="xterm") as screen:
        drawn(screen)
        assert colours(screen.seen)
        assert not [each for each in parameters(screen.seen) if re.search(r"[34]8;[25]", each)]


def test_nothing_but_ascii_is_sent_where_the_locale_has_no_more() -> None:
    with console(LANG="C", PYTHONUTF8="1") as screen:
        drawn(screen)
        assert screen.seen.isascii()


def test_a_terminal_that_does_not_read_cannot_hold_it_up() -> None:
    with console(COLORTERM="truecolor") as screen:
        screen.read_until(b"Needs you")
        for number in range(60):  # redraw all of it until nothing more fits into the terminal's buffers
            size = struct.pack("HHHH", 24 + number % 20, 100 + number, 0, 0)
            fcntl.ioctl(screen.near, termios.TIOCSWINSZ, size)
            time.sleep(0.03)
        os.kill(screen.pid, signal.SIGHUP)
        assert screen.ended(reading=False) in (128 + signal.SIGHUP, -signal.SIGHUP)


def test_a_crash_is_told_without_anybodys_secret() -> None:
    with console("crash", COLORTERM="truecolor") as screen:
        assert screen.ended() == 1
        screen.read(0.2)
        text = screen.seen.decode(errors="replace")
        assert "RuntimeError" in text
        assert "boom of 18 characters" in text
        assert "s3cret" not in text
