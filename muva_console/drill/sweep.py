"""Finding and ending every process of an estate, whoever started it.

All of them inherit the variable `TAG` with the estate's id; it stands in ``/proc/PID/environ`` as it was
when the program began. PostgreSQL's children overwrite theirs with their title, so they are known by
their working directory instead.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from muva_console.drill.state import TAG


async def end_spawned(estate_id: str, pid: int, what: str) -> None:
    """End a program that a fault spawned, where it still is that one. Raises OpsError where it stays."""
    from muva_console.drill.ports import until

    if not pid or not has_tag(pid, estate_id):
        return
    end([pid], signal.SIGKILL)

    async def gone() -> bool:
        return not has_tag(pid, estate_id)

    await until(gone, f"{what} is gone")


def has_tag(pid: int, estate_id: str) -> bool:
    """Whether a process belongs to the estate: safe against a number that was given to another process."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{TAG}={estate_id}".encode() in environ.split(b"\0")


def members(estate_id: str, data: Path | None = None, *, spare: set[int] | None = None) -> list[int]:
    """The process ids of the estate, except this process, those it descends from, and `spare`."""
    without = _ancestry() | (spare or set())
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are wanted, not paths
        if entry.isdigit() and int(entry) not in without:
            pid = int(entry)
            if has_tag(pid, estate_id) or (data is not None and _works_in(pid, data)):
                found.append(pid)
    return found


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return (
            os.readlink(f"/proc/{pid}/cwd") == str(directory)  # noqa: PTH115
            and Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
        )
    except OSError:
        return False


def _ancestry() -> set[int]:
    pid, found = os.getpid(), set[int]()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            # "PID (name) state PPID …": the name may hold spaces and brackets.
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return found


def end(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each; one that has gone meanwhile is no mistake."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def sweep(estate_id: str, data: Path, *, spare: set[int] | None = None, timeout: float = 10.0) -> list[int]:
    """Kill every process of the estate and return those still there after `timeout` seconds.

    PostgreSQL is not killed at first but asked to stop at once (SIGQUIT), so that it takes its shared
    memory with it; what is left after half of the time is killed too.
    """
    began = time.monotonic()
    asked: set[int] = set()
    while left := members(estate_id, data, spare=spare):
        waited = time.monotonic() - began
        if waited > timeout:
            return left
        database = [pid for pid in left if _is_postgres(pid)]
        end([pid for pid in left if pid not in database], signal.SIGKILL)
        if waited > timeout / 2:
            end(database, signal.SIGKILL)
        else:
            # The server alone, once: it ends its children itself, and a second request makes it no faster.
            servers = {pid for pid in database if has_tag(pid, estate_id)} - asked
            end(list(servers), signal.SIGQUIT)
            asked |= servers
        time.sleep(0.02)
    return []


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except OSError:
        return False
