"""Faults of what the application stands on: the database and the way to the host."""

from __future__ import annotations

from muva_console.drill import postgres, sshd
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.state import Estate, Site


async def _stop_database(estate: Estate, site: Site, memory: Memory) -> None:
    await postgres.stop(estate)


async def _start_database(estate: Estate, site: Site, memory: Memory) -> None:
    await postgres.start(estate)


async def _stop_ssh(estate: Estate, site: Site, memory: Memory) -> None:
    await sshd.stop(estate)


async def _start_ssh(estate: Estate, site: Site, memory: Memory) -> None:
    await sshd.start(estate)


FAULTS = (
    Fault(
        name="database-stopped",
        title="The database is stopped",
        does="PostgreSQL is shut down (fast): connections are ended and new ones refused. The "
        "application stays up, answers 503 on /api/health and logs ECONNREFUSED. Staging shares the"
        " server and suffers too.",
        undone="PostgreSQL is started again.",
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
)
