"""A page that says "back soon": whether it stands before the application, and the acts for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import ClassVar

from muva_console.config.release import Maintenance
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, output, step, verified
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.health.hosts import has_hosts
from muva_console.ops.operations import Event, Plan, PlannedCommand
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise, sanitise_line

TIMEOUT = 15.0
"""Seconds for one command."""


def _configured(ctx: CheckContext) -> Maintenance:
    if ctx.environment.maintenance is None:
        raise OpsError(
            "no maintenance page is configured",
            next=f"Give [environments.{ctx.environment_name}.maintenance] on, off and test.",
        )
    return ctx.environment.maintenance


async def _there(ctx: CheckContext) -> dict[str, bool]:
    """By host whether the page is there. Raises OpsError."""
    line = _configured(ctx).test
    found = {}
    for host in ctx.environment.hosts:
        result = await ctx.hosts[host].run(line, timeout=TIMEOUT)
        if result.exit_status not in (0, 1):
            said = sanitise_line(sanitise(result.stderr), cap=200)
            raise LinkError(Fault.OTHER, f"the test ends with {result.exit_status}: {said}", where=host)
        found[host] = result.exit_status == 0
    return found


async def _sensed(ctx: CheckContext, *, wanted: bool) -> Finding:
    if ctx.environment.maintenance is None:
        return tell(
            Level.UNKNOWN,
            "no maintenance page is configured",
            next=f"Give [environments.{ctx.environment_name}.maintenance] on, off and test.",
            unconfigured=True,
        )
    there = await _there(ctx)
    command = ctx.ssh_line(ctx.environment.hosts[0], ctx.environment.maintenance.test)
    evidence = [f"{host}: {'there' if one else 'not there'}" for host, one in there.items()]
    other = [host for host, one in there.items() if one is not wanted]
    if not other:
        told = "the page is there" if wanted else "no page stands before the application"
        return tell(Level.OK, told, evidence=evidence, command=command)
    told = f"the page is {'not ' if wanted else ''}there on {', '.join(other)}"
    return tell(Level.UNKNOWN, told, evidence=evidence, command=command, pending=True)


@check("maintenance-on", title="Maintenance page", applies=has_hosts)
async def maintenance_on(ctx: CheckContext) -> Finding:
    """The page stands before the application on every host; offered while it does not."""
    return await _sensed(ctx, wanted=True)


@check("maintenance-off", title="No maintenance page", applies=has_hosts)
async def maintenance_off(ctx: CheckContext) -> Finding:
    """The page stands before it nowhere; what is there is offered to be taken away."""
    return await _sensed(ctx, wanted=False)


class _Turn(Deed):
    """Puts the page there or takes it away, on every host where it is otherwise."""

    WANTED: ClassVar[bool]

    async def _plan(self, ctx: CheckContext) -> Plan:
        hosts, line = await self._to_turn(ctx)
        put = "Put the maintenance page before" if self.WANTED else "Take the maintenance page away from"
        other = _configured(ctx).off if self.WANTED else _configured(ctx).on
        risk = (
            "guests see the page, and nothing else" if self.WANTED else "guests reach the application again"
        )
        return self._planned(
            f"{put} {ctx.environment_name}",
            f"{ctx.environment_name} on {', '.join(hosts)}",
            [PlannedCommand(host, line) for host in hosts],
            risks=[risk],
            undo=other,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        hosts, line = await self._to_turn(ctx)
        for host in hosts:
            yield step(f"{host}: {line}")
            result = await ctx.hosts[host].run(line, timeout=TIMEOUT)
            for told in sanitise(result.stdout + result.stderr).splitlines()[:20]:
                yield output(told)
            if result.exit_status:
                raise LinkError(Fault.OTHER, f"it ends with {result.exit_status}", where=host)
        there = await _there(ctx)
        if any(one is not self.WANTED for one in there.values()):
            raise OpsError(f"the test says that it is {'not ' if self.WANTED else ''}there all the same")
        yield verified(f"the page is {'' if self.WANTED else 'not '}there on {', '.join(there)}")
        yield done("guests see the page" if self.WANTED else "guests reach the application")

    async def _to_turn(self, ctx: CheckContext) -> tuple[list[str], str]:
        settings = _configured(ctx)
        hosts = [host for host, one in (await _there(ctx)).items() if one is not self.WANTED]
        if not hosts:
            raise AlreadyError(f"the page is {'' if self.WANTED else 'not '}there already")
        return hosts, settings.on if self.WANTED else settings.off


class MaintenanceOn(_Turn):
    """Puts it there."""

    NAME = "maintenance-on"
    WANTED = True


class MaintenanceOff(_Turn):
    """Takes it away."""

    NAME = "maintenance-off"
    WANTED = False


def on_factory(ctx: CheckContext) -> MaintenanceOn:
    """The act for an environment."""
    return MaintenanceOn(ctx)


def off_factory(ctx: CheckContext) -> MaintenanceOff:
    """The act for an environment."""
    return MaintenanceOff(ctx)
