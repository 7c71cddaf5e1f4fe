"""The estate's SSH server: a process of its own that stands for the VPS.

It behaves as OpenSSH's does where that can be told from outside: one user with one key, commands by the
login shell in a session of their own, exit status and signal, terminals, SFTP, forwarding to loopback
and to UNIX sockets. A command with a terminal gets SIGHUP when its channel goes; one without lives on
until it notices that its pipes are closed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncssh

from muva_console.drill import host, keys
from muva_console.drill.ports import listens, until
from muva_console.drill.run import spawn
from muva_console.drill.session import Session
from muva_console.drill.state import Estate, load
from muva_console.drill.sweep import end, has_tag
from muva_console.ops.errors import OpsError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def pid_file(estate: Estate) -> Path:
    """Where the server's process id stands."""
    return estate.directory / "sshd.pid"


def server_pid(estate: Estate) -> int | None:
    """The server's process id when it runs."""
    try:
        pid = int(pid_file(estate).read_text())
    except (OSError, ValueError):
        return None
    return pid if has_tag(pid, estate.id) else None


async def start(estate: Estate) -> None:
    """Start the server and wait until it listens. Raises OpsError."""
    if server_pid(estate) is not None:
        return
    process = spawn(
        [sys.executable, "-m", __name__, estate.directory],
        env={**host.environment(estate), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        cwd=estate.host_home, log=estate.logs / "sshd.log",
    )  # fmt: skip
    pid_file(estate).write_text(f"{process.pid}\n")

    async def ready() -> bool:
        if process.poll() is not None:
            raise OpsError("the SSH server ended at once", where=str(estate.logs / "sshd.log"))
        return await listens(estate.ssh_port)

    await until(ready, "the SSH server listens")


async def stop(estate: Estate) -> None:
    """End the server and with it every connection. Raises OpsError when it does not end."""
    pid = server_pid(estate)
    if pid is not None:
        end([pid], signal.SIGKILL)

        async def gone() -> bool:
            return not has_tag(pid, estate.id) and not await listens(estate.ssh_port)

        await until(gone, "the SSH server is gone")


class _Server(asyncssh.SSHServer):
    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        # Keys are set for the one user there is: any other name has none that could match.
        if username == self._estate.user and self._connection is not None:
            self._connection.set_authorized_keys(str(self._estate.secrets / keys.AUTHORISED))
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False

    def session_requested(self) -> Session:
        return Session(self._estate)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:  # fmt: skip
        return dest_host in _LOOPBACK

    def unix_connection_requested(self, dest_path: str) -> bool:
        return True


async def serve(estate: Estate) -> None:
    """Serve until the process is ended."""

    def make_server() -> _Server:
        return _Server(estate)

    server = await asyncssh.listen(
        "127.0.0.1", estate.ssh_port, server_factory=make_server,
        server_host_keys=[str(estate.secrets / keys.HOST_KEY)], encoding=None, agent_forwarding=False,
        x11_forwarding=False, login_timeout=30, server_version="muva-drill", line_editor=False,
    )  # fmt: skip
    await server.wait_closed()


def main() -> None:
    """`python -m muva_console.drill.sshd DIRECTORY`."""
    os.umask(0o022)
    asyncio.run(serve(load(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
