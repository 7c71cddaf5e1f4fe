"""The application's port: free of what PM2 does not keep, and the act that ends what has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from msgspec import structs

from muva_console.ops.checks import CheckContext, check
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, output, step, verified
from muva_console.ops.errors import OpsError
from muva_console.ops.health.port import Listener, find_port, listening
from muva_console.ops.operations import Event, Plan, PlannedCommand
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise, sanitise_line

PATIENCE = 10
"""Seconds that a program is given to end after it was asked to. Ours: twice what PM2 gives at most times."""


def has_port(ctx: CheckContext) -> bool:
    """Whether the environment has hosts and a port."""
    return bool(ctx.environment.hosts) and ctx.environment.port is not None


@check("port-free", title="The application's port", applies=has_port)
async def port_free(ctx: CheckContext) -> tuple[Finding, ...]:
    """Nobody else has the port. What PM2 does not keep is offered to be ended; another process of PM2's, or a
    program of another user's, is red: that is not ours to end here. A finding a host.
    """
    return tuple(await asyncio.gather(*(_free(ctx, host) for host in ctx.environment.hosts)))


async def _free(ctx: CheckContext, host: str) -> Finding:
    finding, found = await find_port(ctx, host)
    if found is None or not found.told:
        return finding
    if found.kept or found.unnamed:
        return structs.replace(finding, level=Level.FAIL)  # our act does not mend it
    return structs.replace(finding, level=Level.UNKNOWN, pending=True)


def ending(pid: int) -> str:
    """The command that asks a program to end, waits for it, and ends it where it does not."""
    return (
        f"kill -TERM {pid} && for n in $(seq {10 * PATIENCE}); do kill -0 {pid} 2>/dev/null || exit 0; "
        f"sleep 0.1; done; kill -KILL {pid}"
    )


class ClearPort(Deed):
    """Ends what listens on the port and is not kept by PM2, on each host; not what came since the plan."""

    NAME = "port-clear"

    async def _plan(self, ctx: CheckContext) -> Plan:
        found = await _strangers(ctx)
        commands = []
        for host, one in found:
            commands.append(PlannedCommand(host, ending(one.pid), await _whose(ctx, host, one)))
        return self._planned(
            f"End what has the port of {ctx.environment_name}",
            _target(found),
            commands,
            risks=[
                "what it does ends with it, whosever it is",
                "what started it may start it again: a unit, a cron job, a colleague's terminal",
            ],
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        found = await _strangers(ctx)
        if _target(found) != plan.target:
            raise OpsError(
                f"the port is taken by another now: {_target(found)}",
                means="Nothing was ended.",
                next="Plan it again, and look at what is shown.",
            )
        for host, one in found:
            yield step(f"{host}: ending {one.told}")
            result = await ctx.hosts[host].run(ending(one.pid), timeout=PATIENCE + 8.0)
            for told in sanitise(result.stdout + result.stderr).splitlines()[:5]:
                yield output(told)
        left = await _found(ctx)
        if not set(found).isdisjoint(left):
            raise OpsError(
                f"it did not end: {_target(left)}",
                next="It may be another user's: who may, ends it on the host.",
            )
        if left:
            raise OpsError(
                f"the port is taken again: {_target(left)}",
                next="Something starts it: find that first (systemctl status PID, on the host).",
            )
        yield verified(f"nobody listens on port {ctx.environment.port} whom PM2 does not keep")
        yield done("the port is the application's")


async def _found(ctx: CheckContext) -> list[tuple[str, Listener]]:
    now = ctx.fresh()  # a process list of before an act knows nothing of what was started since
    try:
        return [
            (host, one) for host in ctx.environment.hosts for one in (await listening(now, host)).strangers
        ]
    finally:
        now.end()


async def _strangers(ctx: CheckContext) -> list[tuple[str, Listener]]:
    found = await _found(ctx)
    if not found:
        raise AlreadyError("no stranger listens on the application's port")
    return found


def _target(found: list[tuple[str, Listener]]) -> str:
    return ", ".join(f"{one.told} on {host}" for host, one in found)


async def _whose(ctx: CheckContext, host: str, one: Listener) -> str:
    """What can be told of a program without its arguments, which may hold secrets."""
    line = f"readlink /proc/{one.pid}/exe; stat -c 'of %U, since %y' /proc/{one.pid}"
    result = await ctx.hosts[host].run(line, timeout=8.0)
    told = ", ".join(sanitise(result.stdout).splitlines()[:2])
    return sanitise_line(told, cap=160) or one.told


def factory(ctx: CheckContext) -> ClearPort:
    """The act for an environment."""
    return ClearPort(ctx)
