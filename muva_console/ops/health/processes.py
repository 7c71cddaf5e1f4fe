"""The check "processes": what PM2 keeps on every host of the environment."""

from __future__ import annotations

import asyncio
import shlex

from muva_console.ops.checks import CheckContext, check
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import cannot_be_asked, has_hosts
from muva_console.ops.process_findings import judge
from muva_console.ops.readings import Finding, utc_now


@check("processes", title="Processes", applies=has_hosts)
async def processes(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every process that the environment names is online on every host and has not been restarting: so many
    restarts within thresholds.restart_window are a crash loop; memory near its own limit is a warning.
    """
    parts = await asyncio.gather(*(_of_host(ctx, host) for host in ctx.environment.hosts))
    return tuple(finding for part in parts for finding in part)


async def _of_host(ctx: CheckContext, host: str) -> tuple[Finding, ...]:
    try:
        listed = await ctx.processes(host)
    except OpsError as error:
        return (cannot_be_asked(error, host, f"ssh {shlex.quote(host)} pm2 ls"),)
    return judge(listed, ctx.environment.processes, ctx.environment.thresholds, utc_now())
