"""A command on a pseudo-terminal, answered as a person would."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TOP = Path(__file__).parents[2]


def environment(home: Path) -> dict[str, str]:
    """Nothing of the tests' own surroundings but what finds programs."""
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(TOP)}
    return kept | {"HOME": str(home), "TERM": "xterm-256color", "GIT_CONFIG_NOSYSTEM": "1"}


def muva(
    *arguments: str | Path, home: Path, cwd: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command without a terminal: standard input is empty."""
    return subprocess.run(
        [sys.executable, "-m", "muva_console", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**environment(home), **(environ or {})},
        check=False,
        start_new_session=True,
    )


def on_a_terminal(
    arguments: Sequence[str | Path], answers: Sequence[tuple[str, str]], *, home: Path, cwd: Path
) -> tuple[int, str]:
    """Run the command on a terminal; each answer is typed once its question is in sight.

    Returns the exit status and everything that was on the terminal. Fails after 60 s.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "muva_console", *map(str, arguments)],
            environment(home),
        )
    seen, waiting, searched = "", list(answers), 0
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.5)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other side is closed
                data = b""
            if not data:
                _, status = os.waitpid(pid, 0)
                pid = 0
                assert not waiting, (waiting, seen)
                return os.waitstatus_to_exitcode(status), seen
            seen += data.decode("utf-8", "replace")
            while waiting and (place := seen.find(waiting[0][0], searched)) >= 0:
                searched = place + len(waiting[0][0])
                os.write(terminal, (waiting.pop(0)[1] + "\n").encode())
        raise AssertionError(f"not done; waiting for {waiting[:1]}: {seen}")
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)
