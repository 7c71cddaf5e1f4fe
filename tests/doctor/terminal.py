"""A command on a pseudo-terminal, answered as a person would."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import prepared
from tests.patience import HANG

TOP = Path(__file__).parents[2]


def environment(home: Path) -> dict[str, str]:
    """Nothing of the tests' own surroundings but what finds programs."""
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(TOP)}
    return kept | {"HOME": str(home), "TERM": "xterm-256color", "GIT_CONFIG_NOSYSTEM": "1"}


def muva(
    *arguments: str | Path, home: Path, cwd: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command without a terminal: standard input is empty."""
    status, out, err = prepared.run(
        *arguments, env={**environment(home), **(environ or {})}, cwd=cwd, seconds=HANG
    )
    return subprocess.CompletedProcess(["muva", *map(str, arguments)], status, out, err)


def on_a_terminal(
    arguments: Sequence[str | Path], answers: Sequence[tuple[str, str]], *, home: Path, cwd: Path
) -> tuple[int, str]:
    """Run the command on a terminal; each answer is typed once its question is in sight.

    Returns the exit status and everything that was on the terminal. Fails when it hangs.
    """
    terminal, far = os.openpty()
    try:
        begun = prepared.begin(
            *arguments, env=environment(home), cwd=cwd, stdin=far, stdout=far, stderr=far, terminal=True
        )
    finally:
        os.close(far)
    seen, waiting, searched = "", list(answers), 0
    deadline = time.monotonic() + HANG
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.5)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other side is closed
                data = b""
            if not data:
                status = begun.wait(HANG)
                assert status is not None, seen
                assert not waiting, (waiting, seen)
                return status, seen
            seen += data.decode("utf-8", "replace")
            while waiting and (place := seen.find(waiting[0][0], searched)) >= 0:
                searched = place + len(waiting[0][0])
                os.write(terminal, (waiting.pop(0)[1] + "\n").encode())
        raise AssertionError(f"not done; waiting for {waiting[:1]}: {seen}")
    finally:
        begun.kill()
        os.close(terminal)
