"""The `muva` command as a process of its own, begun from one that has the libraries in memory.

Importing what others wrote is three quarters of what an answer of the command costs, and the tests ask for
two hundred. So each worker keeps one process, prepared with the libraries and nothing of ours, that forks for
each command: it gets its own arguments, environment, folder, descriptors and session, imports the console as
ever, and ends as a program ends. What is about the very beginning of a process (its locale, sitecustomize)
begins one in the ordinary way.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

TOP = Path(__file__).parents[1]
LIBRARIES = (
    "asyncio", "asyncpg", "asyncssh", "certifi", "click", "cryptography.x509", "h11", "msgspec", "sqlite3",
    "textual.app", "textual.containers", "textual.widgets", "tomli_w", "tomllib",
)  # fmt: skip


class Begun:
    """A command that runs. Whoever passed pipes or a terminal reads them."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self._told = told
        self.status: int | None = None

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status, minus the signal that ended it; None when it runs for longer than `seconds`."""
        if self.status is None:
            self._told.settimeout(seconds)
            try:
                answer = self._told.recv(64)
            except (TimeoutError, BlockingIOError):
                return None
            self._told.close()
            assert answer, "the prepared process is gone"
            self.status = os.waitstatus_to_exitcode(int(answer))
        return self.status

    def kill(self) -> None:
        """End it whatever it does."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()


class _Prepared:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking = ours
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.prepared", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=TOP, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def begin(self, asked: dict[str, Any], descriptors: Sequence[int]) -> Begun:
        mine, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with told:
            socket.send_fds(self._asking, [json.dumps(asked).encode()], [*descriptors, told.fileno()])
        return Begun(int(mine.recv(64)), mine)


_prepared: _Prepared | None = None


def begin(
    *arguments: str | Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    session: bool = False,
    terminal: bool = False,
) -> Begun:
    """Begin `muva ARGUMENTS`; what is not given is /dev/null.

    With `session` it leads one; with `terminal` too, and `stdin` is the terminal that controls it.
    """
    global _prepared
    if _prepared is None or _prepared.process.poll() is not None:
        _prepared = _Prepared()
    with Path(os.devnull).open("r+b", buffering=0) as nothing:
        descriptors = [nothing.fileno() if each is None else each for each in (stdin, stdout, stderr)]
        asked = {
            "words": [*map(str, arguments)], "env": dict(env), "cwd": str(cwd or Path.cwd()),
            "session": session or terminal, "terminal": terminal,
        }  # fmt: skip
        return _prepared.begin(asked, descriptors)


def run(
    *arguments: str | Path, env: Mapping[str, str], cwd: Path | None = None, seconds: float
) -> tuple[int, str, str]:
    """Run `muva ARGUMENTS` in a session of its own: its exit status, what it printed, what it told beside."""
    (out, their_out), (err, their_err) = os.pipe(), os.pipe()
    try:
        begun = begin(*arguments, env=env, cwd=cwd, stdout=their_out, stderr=their_err, session=True)
    finally:
        os.close(their_out)
        os.close(their_err)
    try:
        told = _read(out, err, time.monotonic() + seconds)
        status = begun.wait(seconds)
        assert status is not None, f"it did not end within {seconds:g} s"
        return status, told[out].decode(), told[err].decode()
    finally:
        begun.kill()
        os.close(out)
        os.close(err)


def _read(out: int, err: int, deadline: float) -> dict[int, bytearray]:
    told = {out: bytearray(), err: bytearray()}
    with selectors.DefaultSelector() as waiting:
        for each in told:
            waiting.register(each, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(deadline - time.monotonic())
            assert ready or time.monotonic() < deadline, f"it did not end; it told {told}"
            for key, _ in ready:
                if data := os.read(key.fd, 65536):
                    told[key.fd] += data
                else:
                    waiting.unregister(key.fd)
    return told


# ------------------------------------------------------- in the prepared process


def _serve(asking: socket.socket) -> None:
    """Fork for each that is asked for, until nobody can ask any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, descriptors, _, _ = socket.recv_fds(asking, 1 << 20, 4)
        if not data:
            return
        if os.fork() == 0:
            break
        for each in descriptors:
            os.close(each)
    # one that waits for the command, so that whoever asked is told of its end
    asking.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, told = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(json.loads(data), standard)
    for each in standard:
        os.close(each)
    with socket.socket(fileno=told) as telling:
        telling.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            telling.send(str(status).encode())
    os._exit(0)


def _become(asked: dict[str, Any], standard: list[int]) -> NoReturn:
    """Be the command, as `python -m muva_console` is."""
    import fcntl
    import termios

    if asked["session"]:
        os.setsid()
    for number, each in enumerate(standard):
        os.dup2(each, number)
        os.close(each)
    if asked["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["muva", *asked["words"]]
    runpy.run_module("muva_console", run_name="__main__", alter_sys=True)
    sys.exit()


def _main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    assert not [name for name in sys.modules if name.startswith("muva_console")], "nothing of ours"
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    _main()
