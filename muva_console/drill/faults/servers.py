"""Faults of what the application stands on: the database and the way to the host."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from muva_console.drill import deploy, postgres, sshd
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.github import server
from muva_console.drill.host import on_host
from muva_console.drill.ports import listens, until
from muva_console.drill.run import spawn
from muva_console.drill.state import TAG, Estate, Site
from muva_console.drill.sweep import end, end_spawned, has_tag
from muva_console.ops.errors import OpsError


async def _stop_database(estate: Estate, site: Site, memory: Memory) -> None:
    await postgres.stop(estate)


async def _start_database(estate: Estate, site: Site, memory: Memory) -> None:
    await postgres.start(estate)


async def _stop_ssh(estate: Estate, site: Site, memory: Memory) -> None:
    await sshd.stop(estate)


async def _start_ssh(estate: Estate, site: Site, memory: Memory) -> None:
    await sshd.start(estate)


async def _stop_github(estate: Estate, site: Site, memory: Memory) -> None:
    pid = server.server_pid(estate)
    if pid is None:
        raise OpsError("the stand-in for GitHub does not run")
    end([pid], signal.SIGKILL)

    async def gone() -> bool:
        return not has_tag(pid, estate.id)

    await until(gone, "the stand-in for GitHub is gone")


async def _start_github(estate: Estate, site: Site, memory: Memory) -> None:
    if server.server_pid(estate) is None:
        await server.until_ready(estate, server.begin(estate))


_TAKER = """
import asyncio, os, sys
import asyncpg

async def main():
    host, port, user, database = sys.argv[1:5]
    held = []
    while True:
        try:
            held.append(await asyncpg.connect(
                host=host, port=int(port), user=user, database=database,
                password=os.environ["TAKER_PASSWORD"], ssl=False, timeout=5,
                server_settings={"application_name": "taker"},
            ))
        except (OSError, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(0.05)

asyncio.run(main())
"""
"""Takes every connection that comes free, as a program does that opens one for each request."""
_OTHERS = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
 WHERE backend_type = 'client backend' AND application_name <> 'taker' AND pid <> pg_catalog.pg_backend_pid()
"""


async def _has_room(estate: Estate, site: Site) -> bool:
    """Whether the database has a connection for an ordinary user."""
    import asyncpg

    try:
        async with postgres.connect(estate, site.database, site.role):
            return True
    except asyncpg.TooManyConnectionsError:
        return False


async def _take_connections(estate: Estate, site: Site, memory: Memory) -> None:
    process = spawn(
        [sys.executable, "-c", _TAKER, "127.0.0.1", str(estate.postgres_port), site.role, site.database],
        env={
            TAG: estate.id,
            "PATH": os.environ.get("PATH", os.defpath),
            "TAKER_PASSWORD": estate.password(site.role),
        },
        cwd=Path("/"),
        log=estate.logs / "taker.log",
    )
    memory["pid"] = str(process.pid)

    async def refused() -> bool:
        # what the application's pool holds would serve it for as long as it is asked: it loses that too
        async with postgres.connect(estate, site.database, "postgres") as connection:
            await connection.execute(_OTHERS)
        # one 503 may be of the session that was just ended: it is taken only when the next ones are too
        for _ in range(3):
            status, _, _ = await deploy.get(site, "/api/health")
            if status != 503 or await _has_room(estate, site):
                return False
        return True

    await until(refused, f"{site.process} gets no connection", timeout=40.0)


async def _free_connections(estate: Estate, site: Site, memory: Memory) -> None:
    await end_spawned(estate.id, int(memory.get("pid", "0")), "what took the connections")


async def _lose_machine(estate: Estate, site: Site, memory: Memory) -> None:
    await on_host(estate, "pm2 kill")
    await postgres.stop(estate)
    await sshd.stop(estate)


async def _find_machine(estate: Estate, site: Site, memory: Memory) -> None:
    if not await postgres.answers(estate):
        await postgres.start(estate)
    if not await listens(estate.ssh_port):
        await sshd.start(estate)
    await on_host(estate, "pm2 resurrect")


FAULTS = (
    Fault(
        name="machine-gone",
        title="Everything is away",
        does="PM2 and all it keeps are killed, PostgreSQL and the SSH server stopped, as when the machine is "
        "switched off: neither the application nor the host nor the database answers. GitHub does. Both "
        "environments are gone with it.",
        undone="The database and the SSH server are started again, and `pm2 resurrect`.",
        rank=0,
        break_in=_lose_machine,
        mend=_find_machine,
    ),
    Fault(
        name="connections-taken",
        title="The database has no connection left",
        does="A program takes every connection that PostgreSQL has for ordinary users, and each that comes "
        "free: the application's pool gets none and /api/health answers 503; asked from outside the database "
        "says that it has too many clients. It looks like a database that is away, and is not.",
        undone="That program is ended.",
        rank=1,
        break_in=_take_connections,
        mend=_free_connections,
    ),
    Fault(
        name="database-stopped",
        title="The database is stopped",
        does="PostgreSQL is shut down (fast): connections are ended and new ones refused. The "
        "application stays up, answers 503 on /api/health and logs ECONNREFUSED. Staging shares the"
        " server and suffers too.",
        undone="PostgreSQL is started again.",
        items=(
            "post-deploy-production/database",
            "post-deploy-production/health",
            "post-deploy-production/dependencies",
            "post-deploy-production/user-flows",
            "post-deploy-production/performance",
            "post-deploy-production/errors",
            "post-deploy-production/new-errors",
            "post-deploy-staging/database",
            "post-deploy-staging/health",
            "post-deploy-staging/user-flows",
        ),
        besides="All of it stands on the database, and what is asked of the database alone is unknown.",
        rank=0,
        break_in=_stop_database,
        mend=_start_database,
    ),
    Fault(
        name="ssh-gone",
        title="The host cannot be reached by SSH",
        does="The SSH server is killed: open connections are cut, new ones refused. The application goes on.",
        undone="The SSH server is started again, with the same host key on the same port.",
        rank=0,
        break_in=_stop_ssh,
        mend=_start_ssh,
    ),
    Fault(
        name="github-gone",
        title="GitHub cannot be reached",
        does="The stand-in for GitHub is killed: connections are refused, to its API and to Slack's webhook. "
        "Reviews cannot be looked at, and code-review is unknown, never ok.",
        undone="It is started again; what it remembers stands in a file.",
        rank=0,
        break_in=_stop_github,
        mend=_start_github,
    ),
)
