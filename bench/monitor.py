"""What looking costs the hosts: processor time of all that runs on the estate's host for a round of the
monitor, as a share of a core at one round every 30 seconds; beside it the playbook's `pm2 jlist` over SSH.

The host's SSH server is a program in Python here, which costs more than OpenSSH's: the share is at most this.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import psutil

from bench.report import Figure
from muva_console.drill import estate
from muva_console.drill.state import Estate

ROUNDS = 12
EVERY = 30.0
BAR = 1.0
"""Per cent of a core. Ours: the issue says "near zero"."""


async def measure() -> list[Figure]:
    """One figure."""
    with tempfile.TemporaryDirectory(prefix="muva-m-") as folder:
        made = await estate.up(Path(folder) / "e", owner=os.getpid())
        try:
            ours, peer, idle = await _costs(made)
        finally:
            await estate.down(made.directory)
    mine, other = (ours - idle) * 100 / EVERY, (peer - idle) * 100 / EVERY
    return [
        Figure(
            "the monitor's cost on a host, a round in 30 s",
            f"{max(mine, 0.0):.2f} % of a core",
            f"{max(other, 0.0):.2f} % jlist",
            mine / other if other > 0 else None,
            "≤ 1 %",
            mine <= BAR,
        )
    ]


async def _costs(made: Estate) -> tuple[float, float, float]:
    """Seconds of processor time a round: ours, the peer's, and of as long a time without any."""
    from muva_console.config.load import load
    from muva_console.ops.workspace import Workspace

    workspace = Workspace(load(made.config))
    try:
        await workspace.prepare()
        of = workspace.environments["production"]
        await of.watch_health()  # the connections are opened once
        host = workspace.host("vps")
        await host.run("pm2 --version", timeout=30.0)
        before, began = _spent(made), time.monotonic()
        for _ in range(ROUNDS):
            await of.watch_health()
            await asyncio.sleep(0.2)
        ours, took = _spent(made) - before, time.monotonic() - began
        before = _spent(made)
        for _ in range(3):
            await host.run(f". {made.directory}/tools.sh; pm2 jlist >/dev/null", timeout=30.0)
        peer = _spent(made) - before
        before = _spent(made)
        await asyncio.sleep(took)
        idle = _spent(made) - before
    finally:
        await workspace.close()
    return ours / ROUNDS, peer / 3, idle / ROUNDS


def _spent(made: Estate) -> float:
    """Processor seconds of the host's processes so far, those that have ended included where their parent
    has waited for them.
    """
    total = 0.0
    place = str(made.directory)
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if place in words and process.pid != os.getpid() and "postgres" not in words:
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        except psutil.Error:
            continue
    return total
