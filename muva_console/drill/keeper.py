"""Takes an estate down when the process it was made for is gone, however that ended.

A killed program cannot clean up after itself, so this waits for its end in a session of its own.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from pathlib import Path

from muva_console.drill.run import spawn
from muva_console.drill.state import TAG, Estate
from muva_console.drill.sweep import end, has_tag


def start(estate: Estate, owner: int) -> int:
    """Keep watch over `owner`, a process id; returns the keeper's own. Raises OpsError."""
    env = {
        TAG: estate.id,
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    process = spawn(
        [sys.executable, "-m", __name__, estate.directory, str(owner)],
        env=env, cwd=Path("/"), log=estate.directory / "keeper.log",
    )  # fmt: skip
    return process.pid


def dismiss(estate: Estate, pid: int) -> None:
    """End a keeper: its estate now stands until somebody takes it down."""
    import signal

    if has_tag(pid, estate.id):
        end([pid], signal.SIGKILL)


def _wait_for_end_of(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)


def main() -> None:
    """`python -m muva_console.drill.keeper DIRECTORY PID`."""
    from muva_console.drill.estate import down

    directory, owner = Path(sys.argv[1]), int(sys.argv[2])
    _wait_for_end_of(owner)
    asyncio.run(down(directory))


if __name__ == "__main__":
    main()
