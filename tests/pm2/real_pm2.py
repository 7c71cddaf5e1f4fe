"""A PM2 daemon of a test's own, with what it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from muva_console.config.model import Host
from muva_console.ops.processes import ProcessReader
from tests.patience import HANG
from tests.pm2.local_link import LocalLink

SERVER = """
const http = require('http');
setInterval(() => {}, 1000);
console.log('ready');
"""
LOOP = "setTimeout(() => { console.error('ECONNREFUSED 127.0.0.1:5432'); process.exit(1) }, 1100);\n"
WRAPPER = """
const { spawn } = require('child_process');
spawn(process.execPath, ['-e', 'const b = Buffer.alloc(80e6, 1); setInterval(() => {}, 1000)'],
  { stdio: 'inherit' });
"""
FLOOD = """
const chunk = ('x'.repeat(99) + '\\n').repeat(5000);
process.on('SIGUSR2', () => setInterval(() => process.stdout.write(chunk), 25));
setInterval(() => {}, 1000);
"""
"""20 MB/s from SIGUSR2 on."""


class Pm2:
    """One daemon in a folder of its own."""

    def __init__(self, program: Path, node: Path) -> None:
        self.program = program
        self.folder = Path(tempfile.mkdtemp(prefix="mp", dir="/tmp"))
        self.home = self.folder / "h"
        self.home.mkdir()
        (self.home / "touch").touch()
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "node").symlink_to(node)
        (bin_folder / "pm2").symlink_to(program)
        self.env = {
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "PM2_HOME": str(self.home),
            "PM2_WORKER_INTERVAL": "500",
            "PM2_DISABLE_VERSION_CHECK": "true",
            "LANG": "C.UTF-8",
        }

    def run(self, *arguments: str, check: bool = True, **env: str) -> str:
        done = subprocess.run(
            [str(self.folder / "bin" / "pm2"), *arguments],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=HANG,
            cwd=self.folder,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, **apps: str | dict[str, Any]) -> None:
        """Start applications; each is its script's source, or PM2's options with `source` beside."""
        declared = []
        for index, (name, app) in enumerate(apps.items()):
            options: dict[str, Any] = {"source": app} if isinstance(app, str) else dict(app)
            script = self.folder / f"app{index}-{time.monotonic_ns()}.js"
            script.write_text(options.pop("source"))
            declared.append({"name": name, "script": str(script), "cwd": str(self.folder), **options})
        file = self.folder / f"{time.monotonic_ns()}.config.json"
        file.write_text(json.dumps({"apps": declared}))
        self.run("start", str(file))

    @property
    def daemon(self) -> int:
        return int((self.home / "pm2.pid").read_text())

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to this daemon, orphans too."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HOME") == str(self.folder):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def kill_daemon(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process = psutil.Process(self.daemon)
        os.kill(process.pid, signal.SIGKILL)
        wait(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)

    def sweep(self) -> None:
        """End what is left without asking."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.Error:
                continue

    def destroy(self) -> None:
        self.sweep()
        wait(lambda: not self.processes())
        shutil.rmtree(self.folder, ignore_errors=True)

    def link(self, *, forwarding: bool = True) -> LocalLink:
        return LocalLink({k: v for k, v in self.env.items() if k != "PM2_HOME"}, forwarding=forwarding)

    def host_config(self) -> Host:
        return Host(address="127.0.0.1", pm2_home=str(self.home))

    def reader(self, *, forwarding: bool = True, window: float = 300.0) -> ProcessReader:
        return ProcessReader(self.link(forwarding=forwarding), self.host_config(), restart_window=window)


def wait(condition: Callable[[], bool], timeout: float = HANG) -> None:
    """Until `condition` holds; AssertionError when it does not in time."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
