"""Checks beside an act on a process: is it up, does it answer, does it outgrow its memory.

Each is *not yet* (pending) where its act would help, so that it is offered; it is red where it would not.
Source: the playbook, "Emergency Response", scenarios A (stopped), B (crashed) and C (out of memory).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.api import has_url, judge
from muva_console.ops.health.document import read_document
from muva_console.ops.health.hosts import cannot_be_asked, has_hosts
from muva_console.ops.operations import Operation
from muva_console.ops.pm2.model import Process
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.process_findings import spell
from muva_console.ops.process_operations import Action, memory_limit
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Finding, Level

LIMIT = "1G"
"""The memory limit that the playbook gives in scenario C."""


class Found(Struct, frozen=True):
    """A process of the environment on a host, as it was read; `process`: None where PM2 does not have it."""

    host: str
    name: str
    process: Process | None
    uptime: float | None


async def _listed(ctx: CheckContext, host: str) -> tuple[list[Found], Finding | None]:
    """The environment's processes on a host, or why they are not known."""
    command = ctx.ssh_line(host, pm2_line(ctx.config.hosts[host], "ls"))
    try:
        listed = await ctx.processes(host)
    except Pm2Down as error:
        told = tell(Level.FAIL, error.what, subject=host, command=command, next=error.next)
        return [], told
    except OpsError as error:
        return [], cannot_be_asked(error, host, command)
    found = []
    for name in ctx.environment.processes or tuple(dict.fromkeys(p.name for p in listed.processes)):
        mine = [process for process in listed.processes if process.name == name]
        found += [Found(host, name, one, listed.uptime(one)) for one in mine] or [
            Found(host, name, None, None)
        ]
    return found, None


async def _each(ctx: CheckContext, judged: Callable[[CheckContext, Found], Finding]) -> tuple[Finding, ...]:
    hosts = await asyncio.gather(*(_listed(ctx, host) for host in ctx.environment.hosts))
    findings = [judged(ctx, one) for found, _ in hosts for one in found]
    return (*findings, *(trouble for _, trouble in hosts if trouble is not None))


# --- scenario A: stopped


@check("process-up", title="Processes are up", applies=has_hosts)
async def process_up(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every process of the environment is online. One that is stopped, or that PM2 gave up on, is to be
    started; one that PM2 does not have cannot be started by its name.
    """
    return await _each(ctx, _up)


def _up(ctx: CheckContext, one: Found) -> Finding:
    subject = f"{one.name} on {one.host}"
    command = ctx.ssh_line(one.host, pm2_line(ctx.config.hosts[one.host], "restart", one.name))
    process = one.process
    if process is None:
        line = pm2_line(ctx.config.hosts[one.host], "start", "ecosystem.config.js", "--only", one.name)
        return tell(
            Level.FAIL,
            f"PM2 on {one.host} does not have {one.name}",
            subject=subject,
            command=ctx.ssh_line(one.host, line),
            next=f"Start it from its configuration in {ctx.environment.directory or 'its directory'} "
            "on the host; then `pm2 save`.",
        )
    if process.status == "online":
        up = f" for {spell(one.uptime)}" if one.uptime is not None else ""
        return tell(Level.OK, f"{one.name} is up{up}", subject=subject, command=command)
    if _is_down(process):
        how = "PM2 gave up on it" if process.status == "errored" else "is stopped"
        summary = f"{one.name} {how}" if process.status != "errored" else f"{one.name}: {how}"
        return tell(Level.UNKNOWN, summary, subject=subject, command=command, pending=True)
    return tell(Level.UNKNOWN, f"{one.name} is {process.status}", subject=subject, command=command)


def _is_down(process: Process) -> bool:
    return process.status in {"stopped", "errored", "one-launch-status"}


async def start(ctx: CheckContext) -> Operation:
    """Start the first process that is down; a factory of acts. Raises OpsError where none is."""
    one = await _first(ctx, lambda found: found.process is not None and _is_down(found.process))
    if one is None:
        raise OpsError("no process is down that PM2 has")
    return _operate(ctx, Action.START, one)


# --- scenario B: up, and no answer


@check("process-answers", title="The application answers", applies=has_url)
async def process_answers(ctx: CheckContext) -> Finding:
    """The health endpoint answers well. Where it does not although a process is online, a restart may help;
    where none is, that comes first.
    """
    answer = await ctx.health()
    document = read_document(answer.json)
    level, summary = judge(answer, document, ctx.environment.thresholds.response * 1000)
    command = f"curl -sS {ctx.url(ctx.environment.health)}"
    if level is not Level.FAIL:
        return tell(level, summary, subject=answer.url, command=command)
    try:
        online = await _first(ctx, lambda found: found.process is not None and not _is_down(found.process))
    except OpsError as error:
        return tell(Level.FAIL, f"{summary}; the processes are not known: {error.what}", command=command)
    if online is None:
        return tell(Level.UNKNOWN, f"{summary}: waits on the process", subject=answer.url, command=command)
    return tell(
        Level.UNKNOWN,
        f"{summary}, although {online.name} is up on {online.host}",
        subject=answer.url,
        command=command,
        pending=True,
    )


async def restart(ctx: CheckContext) -> Operation:
    """Restart the first process that is up; a factory of acts. Raises OpsError where none is."""
    one = await _first(ctx, lambda found: found.process is not None and not _is_down(found.process))
    if one is None:
        raise OpsError("no process is up: it is to be started first")
    return _operate(ctx, Action.RESTART, one)


# --- scenario C: out of memory


@check("memory-limit", title="Memory limit", applies=has_hosts)
async def memory_enough(ctx: CheckContext) -> tuple[Finding, ...]:
    """No process was restarted for its memory limit lately. One that was wants more room, if only for the
    night: `limit` (a step's parameter, the playbook's 1G) is offered where its own is lower.
    """
    memory_limit(str(ctx.parameters.get("limit", LIMIT)))
    return await _each(ctx, _memory)


def _memory(ctx: CheckContext, one: Found) -> Finding:
    wanted = str(ctx.parameters.get("limit", LIMIT))
    subject, process = f"{one.name} on {one.host}", one.process
    line = pm2_line(ctx.config.hosts[one.host], "restart", one.name, "--max-memory-restart", wanted)
    command = ctx.ssh_line(one.host, line)
    if process is None:
        return tell(Level.FAIL, f"PM2 on {one.host} does not have {one.name}", subject=subject)
    times = process.memory_restarts
    if times is None:
        return tell(
            Level.UNKNOWN, f"why {one.name} was restarted is not known yet", subject=subject, command=command
        )
    limit = process.memory_limit
    if limit is not None and limit >= memory_limit(wanted):
        level = Level.OK if not times else Level.FAIL
        told = f"its limit is {limit / 1024**2:.0f}M already"
        return tell(level, f"{one.name}: {times} restarts for memory; {told}", subject=subject)
    if not times:
        return tell(
            Level.OK, f"{one.name} was not restarted for its memory lately", subject=subject, command=command
        )
    return tell(
        Level.UNKNOWN,
        f"{one.name} outgrew its limit {times} times lately",
        subject=subject,
        command=command,
        pending=True,
    )


async def raise_limit(ctx: CheckContext) -> Operation:
    """Restart with more memory the first process that outgrew its own; a factory of acts. Raises OpsError."""
    wanted = memory_limit(str(ctx.parameters.get("limit", LIMIT)))
    one = await _first(
        ctx, lambda found: bool(found.process and found.process.memory_restarts) and _less(found, wanted)
    )
    if one is None:
        raise OpsError("no process was restarted for its memory lately that has less than that")
    return _operate(ctx, Action.MEMORY_LIMIT, one, limit=wanted)


def _less(one: Found, wanted: int) -> bool:
    return one.process is not None and (one.process.memory_limit or 0) < wanted


# --- all of them


async def _first(ctx: CheckContext, fits: Callable[[Found], bool]) -> Found | None:
    """The first process that fits, in the order of hosts. Raises OpsError where a host cannot be asked and no
    other has one that fits.
    """
    trouble = None
    for host in ctx.environment.hosts:
        found, why = await _listed(ctx, host)
        trouble = trouble or why
        for one in found:
            if fits(one):
                return one
    if trouble is not None:
        raise OpsError(trouble.summary, where=trouble.subject, next=trouble.next)
    return None


def _operate(ctx: CheckContext, action: Action, one: Found, *, limit: int | None = None) -> Operation:
    if ctx.operate is None:
        raise OpsError("processes are not acted on from here")
    assert one.process is not None
    several = one.process.pm_id if limit is None else None
    return ctx.operate(action, one.host, one.name, pm_id=several, limit=limit)
