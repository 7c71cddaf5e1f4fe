"""PM2's daemon: is it there, and `pm2 resurrect` where it is not.

Source: PM2's documentation, "Saving the app list to be restored at reboot": `pm2 resurrect` starts the daemon
and what was saved last. The console itself never starts a daemon by looking, as any command of pm2's would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, failed, output, step, verified
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import cannot_be_asked, has_hosts
from muva_console.ops.operations import Event, Plan, PlannedCommand, Tier
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

TIMEOUT = 60.0
"""Seconds that `pm2 resurrect` may take. Ours: Node starts twice, and then each process."""
SETTLE = 30.0
"""Seconds within which the processes must be online. Ours."""
_POLL = 0.5


@check("daemon-up", title="PM2's daemon", applies=has_hosts)
async def daemon_up(ctx: CheckContext) -> tuple[Finding, ...]:
    """PM2's daemon runs on every host. Where it does not, what was saved last can be brought back."""
    return tuple(await asyncio.gather(*(_of_host(ctx, host) for host in ctx.environment.hosts)))


async def _of_host(ctx: CheckContext, host: str) -> Finding:
    command = ctx.ssh_line(host, pm2_line(ctx.config.hosts[host], "resurrect"))
    try:
        listed = await ctx.processes(host)
    except Pm2Down as error:
        return tell(Level.UNKNOWN, error.what, subject=host, command=command, pending=True)
    except OpsError as error:
        return cannot_be_asked(error, host, command)
    number = len(listed.processes)
    return tell(Level.OK, f"PM2's daemon runs and keeps {number} processes", subject=host, command=command)


class Resurrect(Deed):
    """`pm2 resurrect` on the first host where no daemon runs."""

    NAME = "pm2-resurrect"

    async def _plan(self, ctx: CheckContext) -> Plan:
        host = await _without_daemon(ctx)
        line = pm2_line(ctx.config.hosts[host], "resurrect")
        return self._planned(
            f"Bring back what PM2 had saved on {host}",
            f"PM2 on {host}",
            [PlannedCommand(host, line, "starts the daemon, and each process as it was saved last")],
            risks=["what was saved may be older than what ran: `pm2 save` is only as new as it was run"],
            undo=f"{pm2_line(ctx.config.hosts[host], 'kill')} ends the daemon and all it keeps",
            tier=Tier.CONFIRM,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        host = await _without_daemon(ctx)
        yield step(f"pm2 resurrect on {host}")
        result = await ctx.hosts[host].run(pm2_line(ctx.config.hosts[host], "resurrect"), timeout=TIMEOUT)
        for line in (result.stdout + result.stderr).decode("utf-8", "replace").splitlines()[-20:]:
            if text := sanitise_line(line, cap=300).strip():
                yield output(text)
        if result.exit_status:
            yield failed(f"pm2 resurrect ended with {result.exit_status}")
            return
        yield step("looking whether they stay up")
        missing = await _until_online(ctx, host)
        if missing:
            yield failed(f"the daemon runs, but not online: {', '.join(missing)}")
            return
        yield verified(f"online on {host}: {', '.join(ctx.environment.processes) or 'all that was saved'}")
        yield done(f"PM2 runs on {host} again")


async def _without_daemon(ctx: CheckContext) -> str:
    for host in ctx.environment.hosts:
        try:
            await ctx.processes(host)
        except Pm2Down:
            return host
    raise AlreadyError("PM2's daemon runs on every host")


async def _until_online(ctx: CheckContext, host: str) -> list[str]:
    """The environment's processes that are not online in time."""
    missing = list(ctx.environment.processes)
    try:
        async with asyncio.timeout(SETTLE):
            while True:
                look = ctx.fresh()
                try:
                    listed = await look.processes(host)
                    online = {one.name for one in listed.processes if one.status == "online"}
                    missing = [name for name in ctx.environment.processes if name not in online]
                    if not missing:
                        return []
                except OpsError:
                    pass  # the daemon is just starting
                finally:
                    look.end()
                await asyncio.sleep(_POLL)
    except TimeoutError:
        return missing


def factory(ctx: CheckContext) -> Resurrect:
    """The act for an environment."""
    return Resurrect(ctx)
