"""One session of the estate's SSH server: a command or a login shell, joined to its channel.

Bytes are carried by hand, with back-pressure in both directions and each end's end told to the other:
asyncssh's own redirection lost the tail of a large input when its end came early.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import shlex
import signal
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncssh
from asyncssh.process import SSHServerProcess

from muva_console.drill import host
from muva_console.drill.state import Estate

if TYPE_CHECKING:
    from asyncssh import SSHReader, SSHWriter
    from asyncssh.channel import SSHChannel, SSHServerChannel

_CHUNK = 65536
_ACCEPTED = ("LANG", "LC_")
"""The variables that a client may set, as Debian's sshd_config has it (AcceptEnv LANG LC_*)."""


def _files(channel: SSHChannel[bytes]) -> asyncssh.SFTPServer:
    return asyncssh.SFTPServer(cast("SSHServerChannel[bytes]", channel))


class Session(SSHServerProcess[bytes]):
    """A session; signals and terminal sizes reach the command at once, even while it reads no input."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(self._serve, _files, 3, True)
        self._estate = estate
        self._child: asyncio.subprocess.Process | None = None
        self._terminal: int | None = None

    def signal_received(self, signal: str) -> None:
        """Send it to the command's whole group, as OpenSSH does."""
        self._send(f"SIG{signal}")

    def break_received(self, msec: int) -> bool:
        """A break is an interrupt."""
        self._send("SIGINT")
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Resize the terminal; the kernel tells the command."""
        if self._terminal is not None:
            termios.tcsetwinsize(self._terminal, (height or 24, width or 80))

    def _send(self, name: str) -> None:
        number = signal.Signals.__members__.get(name)
        if number is not None and self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    async def _serve(self, process: SSHServerProcess[bytes]) -> None:
        shell = host.shell()
        words = [f"-{Path(shell).name}"] if self.command is None else [shell, "-c", self.command]
        env = host.session_environment(self._estate)
        env |= {name: value for name, value in self.env.items() if name.startswith(_ACCEPTED)}
        try:
            if self.term_type is None:
                status = await self._with_pipes(words, env)
            else:
                status = await self._with_terminal(words, env | {"TERM": self.term_type})
        except OSError as error:
            self.stderr.write(f"cannot start {shlex.join(words)}: {error.strerror}\n".encode())
            status = 127
        if self.is_closing():
            return
        if status < 0:
            self.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            self.exit(status)

    async def _start(self, words: list[str], env: dict[str, str], streams: dict[str, Any]) -> None:
        self._child = await asyncio.create_subprocess_exec(
            *words, executable=host.shell(), env=env, cwd=self._estate.host_home,
            start_new_session=True, **streams,
        )  # fmt: skip

    async def _with_pipes(self, words: list[str], env: dict[str, str]) -> int:
        (stdin, to_child), (from_out, stdout), (from_err, stderr) = (os.pipe() for _ in range(3))
        try:
            await self._start(words, env, {"stdin": stdin, "stdout": stdout, "stderr": stderr})
        except OSError:
            for descriptor in (to_child, from_out, from_err):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        return await self._join(to_child, [(from_out, self.stdout), (from_err, self.stderr)])

    async def _with_terminal(self, words: list[str], env: dict[str, str]) -> int:
        ours, theirs = pty.openpty()

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        width, height, *_ = self.term_size
        termios.tcsetwinsize(theirs, (height or 24, width or 80))
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "preexec_fn": take_terminal}
        try:
            await self._start(words, env, streams)
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._terminal = ours
        try:
            return await self._join(os.dup(ours), [(os.dup(ours), self.stdout)])
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    async def _join(self, to_child: int, sources: list[tuple[int, SSHWriter[bytes]]]) -> int:
        """Carry bytes until the command has ended and all that it printed is sent; its return code."""
        assert self._child is not None
        feeding = asyncio.create_task(_feed(self.stdin, to_child))
        carrying = [asyncio.create_task(_carry(descriptor, writer)) for descriptor, writer in sources]
        gone = asyncio.create_task(self.wait_closed())
        status = asyncio.create_task(self._child.wait())
        done = asyncio.create_task(asyncio.wait([status, *carrying]))
        try:
            # A channel that has closed takes its descriptors with it: a terminal hangs up, pipes break.
            await asyncio.wait([done, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            helpers = (feeding, gone, done, *carrying)
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._hang_up()
        return await status


class _Outlet(asyncio.Protocol):
    """The end of a pipe that is written to: knows whether it takes more."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.lost = asyncio.Event()

    def pause_writing(self) -> None:
        self.ready.clear()

    def resume_writing(self) -> None:
        self.ready.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self.ready.set()


async def _feed(source: SSHReader[bytes], descriptor: int) -> None:
    """What the client sends into a descriptor, and its end as the end; closes the descriptor."""
    loop = asyncio.get_running_loop()
    transport, outlet = await loop.connect_write_pipe(_Outlet, os.fdopen(descriptor, "wb", buffering=0))
    try:
        while not outlet.lost.is_set():
            data = await source.read(_CHUNK)
            if not data:
                break
            transport.write(data)
            await outlet.ready.wait()
        if not outlet.lost.is_set():
            transport.write_eof()  # closes once everything has been taken
            await outlet.lost.wait()
    except asyncssh.Error:
        pass  # the connection is gone; so is the input
    finally:
        if not outlet.lost.is_set():
            transport.abort()


async def _carry(descriptor: int, target: SSHWriter[bytes]) -> None:
    """What the command prints to the client, to its end; closes the descriptor."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        while data := await reader.read(_CHUNK):
            target.write(data)
            await target.drain()
    except (OSError, asyncssh.Error):
        pass  # a terminal ends with EIO; a closed channel takes no more
    finally:
        transport.close()
