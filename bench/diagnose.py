"""Which scenario a diagnosis ranks first for each fault, beside one who reads the health endpoint and
`pm2 jlist` alone, on a real estate; and how long the diagnosis took.

The confusion matrix goes to standard error. The peer is granted that it sees when SSH or PM2's daemon
is gone.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from bench.report import Figure, median
from muva_console.drill import deploy, estate, faults
from muva_console.drill.faults.processes import daemon_pid
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

RIGHT = {
    "": "healthy",
    "process-stopped": "process-stopped",
    "process-frozen": "app-crashed",
    "crash-loop": "bad-deployment",
    "port-taken": "port-conflict",
    "variable-missing": "missing-configuration",
    "memory-exhausted": "out-of-memory",
    "slow-responses": "slow-responses",
    "elevated-errors": "elevated-errors",
    "database-stopped": "database-connectivity",
    "ssh-gone": "host-unreachable",
    "pm2-daemon-killed": "pm2-down",
}
"""The scenario that each fault is; the empty one is no fault at all."""
LONGEST = 10.0
"""Seconds."""


async def measure() -> list[Figure]:
    """How many were right, ours and the peer's, and the slowest diagnosis."""
    ours: dict[str, str] = {}
    peer: dict[str, str] = {}
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="muva-d-") as folder:
        made = await estate.up(Path(folder) / "e", owner=os.getpid())
        try:
            for fault in RIGHT:
                if fault:
                    await faults.break_in(made.directory, fault)
                ours[fault], seconds = await _ours(made)
                took.append(seconds)
                peer[fault] = await _peer(made, fault)
                if fault:
                    await _mend(made)
        finally:
            await estate.down(made.directory)
    for fault, right in RIGHT.items():
        row = f"  {fault or '(none)':<20} {right:<24} ours {ours[fault]:<24} peer {peer[fault]}"
        print(row, file=sys.stderr)
    score = sum(ours[fault] == right for fault, right in RIGHT.items())
    other = sum(peer[fault] == right for fault, right in RIGHT.items())
    return [
        Figure(
            name="diagnosis, the right scenario first",
            ours=f"{score} of {len(RIGHT)}",
            peer=f"health and jlist {other} of {len(RIGHT)}",
            ratio=score / other if other else None,
            bar="all",
            met=score == len(RIGHT),
        ),
        Figure(
            name="diagnosis, the slowest over the faults",
            ours=f"{max(took):.1f} s (median {median(took):.1f})",
            peer="",
            ratio=None,
            bar=f"≤ {LONGEST:g} s",
            met=max(took) <= LONGEST,
        ),
    ]


async def _mend(made: Estate) -> None:
    try:
        await faults.mend(made.directory)
    except OpsError as error:  # `pm2 restart` fails at times on a process that is just ending
        print(f"  mended at the second attempt: {error}", file=sys.stderr)
        await faults.mend(made.directory)


async def _ours(made: Estate) -> tuple[str, float]:
    from muva_console.config.load import load
    from muva_console.ops.diagnosis.diagnose import diagnose
    from muva_console.ops.workspace import Workspace

    workspace = Workspace(load(made.config))
    try:
        await workspace.prepare()
        told = await diagnose(workspace.environments["production"].context())
    finally:
        await workspace.close()
    return (told.scenarios[0].id if told.scenarios else "cannot tell"), told.took_ms / 1000


async def _peer(made: Estate, fault: str) -> str:
    site = made.sites["production"]
    if fault == "ssh-gone":
        return "host-unreachable"
    if daemon_pid(made) is None:  # asking jlist would start another, and hide it
        return "pm2-down"
    status = ""
    for entry in await deploy.pm2_list(made):
        env = entry.get("pm2_env")
        if entry.get("name") == site.process and isinstance(env, dict):
            status = str(env.get("status"))
    if status == "stopped":
        return "process-stopped"
    code, body, _ = await deploy.get(site, "/api/health")
    if code == 200 and b'"status":"healthy"' in body:
        return "healthy"
    return "database-connectivity" if code == 503 else "app-crashed"
