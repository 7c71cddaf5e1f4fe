"""Faults that keep the application from starting: its port is taken, its configuration lacks a name."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.faults.processes import starts
from muva_console.drill.host import on_host
from muva_console.drill.ports import listens, until
from muva_console.drill.run import spawn
from muva_console.drill.state import TAG, Estate, Site
from muva_console.drill.sweep import end_spawned
from muva_console.ops.errors import OpsError

NAME = "NEXT_PUBLIC_SUPABASE_URL"
"""The name that goes missing: the application wants it at its start."""
_SQUATTER = """
import socket, sys, time
with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        try:
            listener.bind(("127.0.0.1", int(sys.argv[1])))
            break
        except OSError:
            time.sleep(0.02)
    listener.listen(64)
    while True:
        listener.accept()[0].close()
"""


async def _fails(estate: Estate, site: Site, before: int) -> None:
    """Wait until PM2 has started it again and again."""

    async def again() -> bool:
        return starts(estate, site) >= before + 4

    await until(again, f"PM2 has started {site.process} again and again")


async def _take_port(estate: Estate, site: Site, memory: Memory) -> None:
    name = shlex.quote(site.process)
    await on_host(estate, f"pm2 stop {name}")

    async def free() -> bool:
        return not await listens(site.port)

    await until(free, f"{site.process} no longer listens")
    process = spawn(
        [sys.executable, "-c", _SQUATTER, str(site.port)],
        env={TAG: estate.id, "PATH": os.environ.get("PATH", os.defpath)},
        cwd=Path("/"),
        log=estate.logs / "squatter.log",
    )
    memory["pid"] = str(process.pid)

    async def taken() -> bool:
        return await listens(site.port)

    await until(taken, "something else listens on the port")
    before = starts(estate, site)
    await on_host(estate, f"pm2 start {name}")
    await _fails(estate, site, before)


async def _free_port(estate: Estate, site: Site, memory: Memory) -> None:
    await end_spawned(estate.id, int(memory.get("pid", "0")), "what had the port")
    await on_host(estate, f"pm2 restart {shlex.quote(site.process)}")


def _file(site: Site) -> Path:
    return Path(site.directory) / site.env_file


async def _lose_name(estate: Estate, site: Site, memory: Memory) -> None:
    file = _file(site)
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"{NAME}=")]
    lost = [line for line in lines if line.startswith(f"{NAME}=")]
    if not lost:
        raise OpsError(f"{site.env_file} does not name {NAME}")
    memory["line"] = lost[0]
    file.write_text("".join(kept))
    before = starts(estate, site)
    await on_host(estate, f"pm2 restart {shlex.quote(site.process)} || true")
    await _fails(estate, site, before)


async def _find_name(estate: Estate, site: Site, memory: Memory) -> None:
    file = _file(site)
    text = file.read_text()
    if f"\n{NAME}=" not in f"\n{text}":
        file.write_text(text + memory.get("line", ""))
    await on_host(estate, f"pm2 restart {shlex.quote(site.process)}")


FAULTS = (
    Fault(
        name="port-taken",
        title="Something else has the application's port",
        does="Another program listens on the port while the application is down; the application ends at "
        "each start with EADDRINUSE. The port takes connections and closes them.",
        undone="That program is ended, and `pm2 restart`.",
        rank=3,
        break_in=_take_port,
        mend=_free_port,
    ),
    Fault(
        name="variable-missing",
        title="A variable is missing from the environment file",
        does=f"Somebody edited the environment file on the host: {NAME} is gone, and the application ends at "
        "each start, saying so.",
        undone="The line is put back, and `pm2 restart`.",
        rank=3,
        break_in=_lose_name,
        mend=_find_name,
    ),
)
