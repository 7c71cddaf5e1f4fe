"""Faults of what the application stands on: the database and the way to the host."""

from __future__ import annotations

import signal

from muva_console.drill import postgres, sshd
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.github import server
from muva_console.drill.ports import until
from muva_console.drill.state import Estate, Site
from muva_console.drill.sweep import end, has_tag
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


FAULTS = (
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
