"""Faults of PM2 and of what it keeps."""

from __future__ import annotations

import os
import re
import shlex
import signal
from pathlib import Path

from muva_console.drill import deploy
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.host import on_host
from muva_console.drill.ports import listens, until
from muva_console.drill.state import Estate, Site
from muva_console.drill.sweep import end, has_tag, members
from muva_console.ops.errors import OpsError


def daemon_pid(estate: Estate) -> int | None:
    """The process id of PM2's daemon when it runs."""
    try:
        pid = int((estate.pm2_home / "pm2.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if has_tag(pid, estate.id) else None


def starts(estate: Estate, site: Site) -> int:
    """How often PM2's daemon says in its log that it started the site's process.

    Read instead of asking `pm2 jlist` again and again, which would burden what is being watched.
    """
    try:
        text = (estate.pm2_home / "pm2.log").read_text(errors="replace")
    except FileNotFoundError:
        return 0
    return len(re.findall(rf"App \[{re.escape(site.process)}:\d+\] starting in", text))


async def _process(estate: Estate, site: Site) -> dict[str, object]:
    for entry in await deploy.pm2_list(estate):
        if entry.get("name") == site.process:
            found = entry["pm2_env"]
            assert isinstance(found, dict)
            return found
    raise OpsError(f"PM2 does not know {site.process}")


async def _stop_process(estate: Estate, site: Site, memory: Memory) -> None:
    await on_host(estate, f"pm2 stop {shlex.quote(site.process)}")

    async def refused() -> bool:
        return not await listens(site.port)

    await until(refused, f"{site.process} no longer listens")


async def _start_process(estate: Estate, site: Site, memory: Memory) -> None:
    if (await _process(estate, site))["status"] != "online":
        await on_host(estate, f"pm2 restart {shlex.quote(site.process)}")


async def _kill_daemon(estate: Estate, site: Site, memory: Memory) -> None:
    pid = daemon_pid(estate)
    if pid is None:
        raise OpsError("PM2's daemon does not run")
    end([pid], signal.SIGKILL)

    async def gone() -> bool:
        # Asking a site makes it print, and printing is what ends it: see `does`.
        answers = [await deploy.get(each, "/api/health") for each in estate.sites.values()]
        return not has_tag(pid, estate.id) and not any(status for status, _, _ in answers)

    await until(gone, "PM2's daemon and what it kept are gone")


async def _revive_daemon(estate: Estate, site: Site, memory: Memory) -> None:
    if daemon_pid(estate) is None:
        # What the dead daemon started lives on without it and holds the ports; a new one knows nothing of it.
        orphans = [pid for pid in members(estate.id) if _is_application(pid)]
        end(orphans, signal.SIGKILL)

        async def gone() -> bool:
            return not any(has_tag(pid, estate.id) for pid in orphans)

        await until(gone, "the processes without a daemon are gone")
        await on_host(estate, "pm2 resurrect")


async def _pid(estate: Estate, site: Site) -> int:
    for entry in await deploy.pm2_list(estate):
        if entry.get("name") == site.process and isinstance(pid := entry.get("pid"), int) and pid:
            return pid
    raise OpsError(f"{site.process} does not run")


async def _kill_process(estate: Estate, site: Site, memory: Memory) -> None:
    before = starts(estate, site)
    end([await _pid(estate, site)], signal.SIGKILL)

    async def back() -> bool:
        return starts(estate, site) > before and await deploy.healthy(site)

    await until(back, f"PM2 has started {site.process} again")


async def _nothing(estate: Estate, site: Site, memory: Memory) -> None:
    """PM2 mended it at once."""


async def _freeze_process(estate: Estate, site: Site, memory: Memory) -> None:
    pid = await _pid(estate, site)
    memory["pid"] = str(pid)
    os.kill(pid, signal.SIGSTOP)


async def _thaw_process(estate: Estate, site: Site, memory: Memory) -> None:
    pid = int(memory.get("pid", "0"))
    if pid and has_tag(pid, estate.id):
        os.kill(pid, signal.SIGCONT)


def _is_application(pid: int) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(entry.startswith(b"pm_exec_path=") for entry in environ)


FAULTS = (
    Fault(
        name="pm2-daemon-killed",
        title="PM2's daemon is killed",
        does="The daemon gets SIGKILL: its sockets stay as files that nobody listens on. The processes "
        "it kept live on as orphans until they next print; their output has no reader, so that ends"
        " them (EPIPE), and nobody starts them again. Production and staging share the daemon, so "
        "both go with their next request.",
        undone="What is left of them is killed, and `pm2 resurrect` starts a daemon with the saved list.",
        rank=1,
        break_in=_kill_daemon,
        mend=_revive_daemon,
    ),
    Fault(
        name="process-stopped",
        title="The process is stopped",
        does="`pm2 stop`: PM2 lists the process as stopped and the port refuses connections.",
        undone="`pm2 restart`.",
        rank=3,
        break_in=_stop_process,
        mend=_start_process,
    ),
    Fault(
        name="process-killed",
        title="The process was killed once",
        does="The process gets SIGKILL, as from a kernel that is out of memory; PM2 starts it again at once, "
        "and everything answers. That nobody asked for the restart is what is left of it.",
        items=("post-deploy-production/restarted", "post-deploy-staging/restarted"),
        undone="Nothing is left to do: PM2 did it. The restart is forgotten after `restart_window`.",
        rank=3,
        break_in=_kill_process,
        mend=_nothing,
    ),
    Fault(
        name="process-frozen",
        title="The process stands still",
        does="The process gets SIGSTOP: PM2 says online, the port takes connections, and no answer comes.",
        items=(
            "post-deploy-production/response-time",
            "post-deploy-production/health",
            "post-deploy-production/user-flows",
            "post-deploy-production/performance",
            "post-deploy-staging/response-time",
            "post-deploy-staging/health",
            "post-deploy-staging/user-flows",
        ),
        besides="Who never answers is neither healthy nor quick, and tells nothing of its commit, its "
        "database and its services.",
        undone="SIGCONT.",
        rank=3,
        break_in=_freeze_process,
        mend=_thaw_process,
    ),
)
