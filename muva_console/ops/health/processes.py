"""The check "processes": what PM2 keeps on every host of the environment."""

from __future__ import annotations

import asyncio

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import cannot_be_asked, has_hosts
from muva_console.ops.pm2.spoken import home_word, pm2_line
from muva_console.ops.process_findings import judge
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Finding, Level, utc_now


@check("processes", title="Processes", applies=has_hosts)
async def processes(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every process that the environment names is online on every host and has not been restarting: so many
    restarts within thresholds.restart_window are a crash loop; memory near its own limit is a warning. A host
    where PM2's daemon does not run is a failure, one that cannot be asked is unknown.
    """
    parts = await asyncio.gather(*(_of_host(ctx, host) for host in ctx.environment.hosts))
    return tuple(finding for part in parts for finding in part)


async def _of_host(ctx: CheckContext, host: str) -> tuple[Finding, ...]:
    settings = ctx.config.hosts[host]
    command = ctx.ssh_line(host, pm2_line(settings, "ls"))
    try:
        listed = await ctx.processes(host)
    except Pm2Down as error:
        # the host was asked and answered: no daemon is a thing we know, and nobody restarts what crashes
        return (
            tell(
                Level.FAIL,
                error.what,
                subject=host,
                evidence=error.lines()[1:],
                command=ctx.ssh_line(
                    host, f"cat {home_word(settings.pm2_home)}/pm2.pid; pgrep -af 'God Daemon'"
                ),
                next=error.next,
            ),
        )
    except OpsError as error:
        return (cannot_be_asked(error, host, command),)
    return judge(listed, ctx.environment.processes, ctx.environment.thresholds, utc_now(), command=command)
