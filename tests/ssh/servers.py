"""SSH servers to test against: asyncssh's in this process, and OpenSSH's own where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from muva_console.config.model import Host, Seconds
from tests.patience import HANG

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
USER = getpass.getuser()


def make_key(path: Path) -> Path:
    """A key pair without a passphrase."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.write_bytes(key.export_private_key())
    path.chmod(0o600)
    path.with_name(path.name + ".pub").write_bytes(key.export_public_key())
    return path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def until(condition: Callable[[], object], seconds: float = HANG, what: str = "") -> None:
    """Wait for a condition; fail when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        await asyncio.sleep(0.02)


class Tag:
    """Marks the processes of a command through their environment, to find the survivors."""

    def __init__(self) -> None:
        self.value = uuid.uuid4().hex

    def __call__(self, command: str) -> str:
        return f"export MUVA_TEST_TAG={self.value}; {command}"

    def alive(self) -> list[str]:
        """The command lines of the living processes that carry the tag."""
        found = []
        needle = f"MUVA_TEST_TAG={self.value}".encode()
        for directory in Path("/proc").iterdir():
            if directory.name.isdigit():
                with contextlib.suppress(OSError):
                    if needle in (directory / "environ").read_bytes():
                        status = (directory / "stat").read_text().rpartition(")")[2].split()[0]
                        if status != "Z":
                            found.append((directory / "cmdline").read_bytes().decode(errors="replace"))
        return found


class Server:
    """What both servers have in common: keys, a folder, and how a link reaches them."""

    kind = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.host_key = make_key(directory / "host_key")
        self.user_key = make_key(directory / "user_key")
        self.known_hosts = directory / "known_hosts"
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        self.port = 0
        self.forward_sockets = True
        self.max_sessions = 10

    def trust(self) -> None:
        """Put the host key on record."""
        key = self.host_key.with_name("host_key.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}")

    def host(self, **changes: Any) -> Host:
        """The host's table as it would stand in muva.toml."""
        given: dict[str, Any] = {
            "address": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "identity": self.user_key,
            "known_hosts": self.known_hosts,
            "ssh_config": self.empty_config,
            "connect_timeout": Seconds(HANG),
            "command_timeout": Seconds(HANG),
        }
        return Host(**(given | changes))

    @property
    def empty_config(self) -> Path:
        path = self.directory / "ssh_config"
        if not path.exists():
            path.write_text("# nothing\n")
        return path

    async def start(self) -> None:
        """Listen, on the same port as before after a `stop`."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Be gone: no listener, no connection."""
        raise NotImplementedError

    async def drop(self) -> None:
        """Cut every connection; go on listening."""
        raise NotImplementedError


class AsyncsshServer(Server):
    """In this process; commands run in a shell of their own session, as under sshd."""

    kind = "asyncssh"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._listener: asyncssh.SSHAcceptor | None = None
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.accepted = 0

    async def start(self) -> None:
        outer = self

        class Login(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self.conn = conn
                self.sessions = 0
                outer.accepted += 1
                outer.connections.add(conn)

            def connection_lost(self, exc: Exception | None) -> None:
                outer.connections.discard(self.conn)

            def connection_requested(self, *_: object) -> bool:
                return True

            def unix_connection_requested(self, dest_path: str) -> bool:
                return outer.forward_sockets

        self._listener = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[str(self.host_key)],
            authorized_client_keys=str(self.user_key) + ".pub",
            server_factory=Login,
            process_factory=self._process,
            encoding=None,
            line_editor=False,
            reuse_address=True,
        )
        self.port = self._listener.get_port()

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or "exec sh -i"
        ends = [os.pipe() for _ in range(3)]
        (stdin, our_in), (our_out, stdout), (our_err, stderr) = ends
        try:
            child = await asyncio.create_subprocess_exec(
                "/bin/bash",
                "-c",
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                env=dict(os.environ) | {"HOME": str(self.home)},
            )
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        await process.redirect(stdin=our_in, stdout=our_out, stderr=our_err, send_eof=False)
        try:
            status = await child.wait()
            await process.stdout.drain()
            await process.stderr.drain()
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                process.exit(status)
        finally:
            await process.wait_closed()

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None
        await self.drop()

    async def drop(self) -> None:
        for connection in list(self.connections):
            connection.abort()
        await until(lambda: not self.connections, what="connections dropped")


class OpenSshServer(Server):
    """OpenSSH's sshd with a configuration of its own."""

    kind = "openssh"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        assert SSHD is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # privilege separation's folder
        for _ in range(5):
            port = self.port or free_port()
            configuration = self.directory / "sshd_config"
            configuration.write_text(
                f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\n"
                f"AuthorizedKeysFile {self.user_key}.pub\nStrictModes no\nUsePAM no\n"
                f"PidFile {self.directory}/sshd.pid\nPermitRootLogin yes\nPasswordAuthentication no\n"
                f"KbdInteractiveAuthentication no\nMaxSessions {self.max_sessions}\nMaxStartups 100\n"
                f"AllowStreamLocalForwarding {'yes' if self.forward_sockets else 'no'}\nLogLevel VERBOSE\n"
                # Whoever runs the tests may have a slow or a noisy .bashrc, which bash reads under sshd.
                f"SetEnv HOME={self.home}\n"
            )
            with (self.directory / "sshd.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [SSHD, "-D", "-e", "-f", str(configuration)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            if await self._listens(port):
                self.port = port
                return
        raise AssertionError((self.directory / "sshd.log").read_text())

    async def _listens(self, port: int) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + HANG
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return True
        return False

    def _sessions(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            children = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        found = []
        for child in children:
            with contextlib.suppress(psutil.Error):
                if child.name().startswith("sshd"):
                    found.append(child)
        return found

    async def stop(self) -> None:
        if self._process is None:
            return
        sessions = self._sessions()
        self._process.kill()
        self._process.wait()
        self._process = None
        for session in sessions:
            with contextlib.suppress(psutil.Error):
                session.kill()

    async def drop(self) -> None:
        for session in self._sessions():
            with contextlib.suppress(psutil.Error):
                session.kill()


class Proxy:
    """A TCP way to a server that can be cut, or fall silent as a dead network does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.accepted = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on, say nothing, close nothing."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            other_reader, other = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(other)
            passing = [self._pass(reader, other), self._pass(other_reader, writer)]
            await asyncio.gather(*passing)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, *(() if "other" not in locals() else (other,))):
                end.transport.abort()
                self._writers.discard(end)
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    await server.start()
    server.trust()
    try:
        yield server
    finally:
        await server.stop()


MakeServer = Callable[..., Awaitable[Server]]
