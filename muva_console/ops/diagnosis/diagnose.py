"""A diagnosis: every probe begun at once, each bounded, their states told as they change.

Reads only. The probes are the health checks over one set of readings, and the health endpoint asked on the
hosts themselves.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import structs

from muva_console.ops.checks import CheckContext, run_together, tell
from muva_console.ops.diagnosis.model import Diagnosis, Facts, ProbeState
from muva_console.ops.diagnosis.probes import (
    CHANGED,
    LOG_PATTERNS,
    PORT,
    TITLES,
    Seen,
    changed,
    log_patterns,
    port,
)
from muva_console.ops.diagnosis.scenarios import missing, rank
from muva_console.ops.errors import Fault, OpsError
from muva_console.ops.health.report import ALL, applicable
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps

PROBE_TIMEOUT = 9.0
"""Seconds for one probe: with a host that swallows everything the whole stays within ten."""
_AWAY = frozenset({Fault.REFUSED, Fault.TIMEOUT, Fault.UNREACHABLE, Fault.CLOSED})
HOST_HEALTH = "health-on-host"
OWN = (HOST_HEALTH, LOG_PATTERNS, PORT, CHANGED)
"""The diagnosis's own probes, asked after the health checks in the order of what is seen."""
BUSY = 0.95
"""Share of all cores that is busy, above which (with more waiting than there are cores) a host is saturated.
Ours."""


async def watch(of: EnvironmentOps) -> AsyncIterator[ProbeState | Diagnosis]:
    """Each probe as it is begun and as it is done, then the diagnosis. Raises nothing for what fails."""
    began = time.perf_counter()
    ctx = of.context().fresh()
    names = [*applicable(ctx, ALL), *(OWN if of.hosts and of.config.port else ())]
    seen = Seen()
    done: dict[str, tuple[Finding, ...]] = {}

    async def one(name: str) -> ProbeState:
        own = _OWN.get(name)
        if own is not None:
            findings = await _bounded(name, own(ctx, seen))
        else:
            findings = await run_together([name], ctx, PROBE_TIMEOUT)
        return ProbeState(name=name, done=True, findings=findings)

    tasks = [asyncio.create_task(one(name)) for name in names]
    try:
        for name in names:
            yield ProbeState(name=name)
        for ended in asyncio.as_completed(tasks):
            state = await ended
            done[state.name] = state.findings
            yield state
        facts = await facts_of(ctx, done, seen)
    finally:
        for task in tasks:
            task.cancel()
        ctx.end()
    scenarios = rank(facts)
    lacking = ", ".join(missing(facts)) or "the facts speak for no scenario"
    yield Diagnosis(
        environment=of.name,
        scenarios=scenarios,
        findings=tuple(finding for name in names for finding in done[name]),
        cannot_tell="" if scenarios else f"cannot tell, because this is not known: {lacking}",
        at=utc_now(),
        took_ms=(time.perf_counter() - began) * 1000,
    )


async def _bounded(name: str, probe: Awaitable[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """A probe of the diagnosis's own, as the health checks are run: bounded, and unknown where it fails."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            findings = await probe
    except (OpsError, TimeoutError) as error:
        findings = (tell(Level.UNKNOWN, f"{error or 'no answer in time'}"),)
    except Exception as error:  # a defect in a probe is told like a failure, and ends no diagnosis
        findings = (tell(Level.UNKNOWN, f"defect: {type(error).__name__}: {error}"),)
    took = (time.perf_counter() - began) * 1000
    return tuple(
        structs.replace(one, check=name, title=_TITLES[name], took_ms=one.took_ms or took) for one in findings
    )


async def _on_hosts(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    return tuple(await asyncio.gather(*(_on_host(ctx, host) for host in ctx.environment.hosts)))


async def _on_host(ctx: CheckContext, host: str) -> Finding:
    """The health endpoint from the host itself: tells the application from what stands before it."""
    url = f"http://localhost:{ctx.environment.port}{ctx.environment.health}"
    line = f"curl -sS -o /dev/null -m 5 -w '%{{http_code}}' {shlex.quote(url)}"
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            result = await ctx.hosts[host].run(line, timeout=PROBE_TIMEOUT)
    except (OpsError, TimeoutError) as error:
        level, summary = Level.UNKNOWN, f"waits on SSH: {error or 'no answer in time'}"
    else:
        code = result.stdout.decode("ascii", "replace").strip()
        if result.exit_status in (126, 127):
            level, summary = Level.UNKNOWN, "the host has no curl to ask with"
        elif result.exit_status:
            level, summary = Level.FAIL, f"no answer on the host: {result.stderr.decode('utf-8', 'replace')}"
        else:
            level, summary = (Level.OK if code == "200" else Level.FAIL), f"answers {code} on the host"
    took = (time.perf_counter() - began) * 1000
    found = tell(level, summary, subject=host, command=ctx.ssh_line(host, line))
    return structs.replace(found, took_ms=took)


_OWN: dict[str, Callable[[CheckContext, Seen], Awaitable[tuple[Finding, ...]]]] = {
    HOST_HEALTH: _on_hosts,
    LOG_PATTERNS: log_patterns,
    PORT: port,
    CHANGED: changed,
}
_TITLES = {HOST_HEALTH: "Health on the host", **TITLES}


async def facts_of(ctx: CheckContext, done: dict[str, tuple[Finding, ...]], seen: Seen) -> Facts:
    """The facts in what was found and read."""

    def well(name: str, subject: str = "") -> bool | None:
        levels = [f.level for f in done.get(name, ()) if not subject or f.subject == subject]
        if Level.FAIL in levels:
            return False
        return None if not levels or Level.UNKNOWN in levels else True

    limit = ctx.environment.thresholds.restarts
    ssh: list[bool | None] = []
    pm2: list[bool | None] = []
    processes = []
    gone = False
    for host in ctx.environment.hosts:
        try:
            async with asyncio.timeout(0.2):  # read already, or given up
                listed = await ctx.processes(host)
        except Pm2Down:
            ssh.append(True)
            pm2.append(False)
        except (OpsError, TimeoutError):
            # a link that is up and was answered badly says nothing against the way to the host
            ssh.append(_reached(ctx, host))
            pm2.append(None)
        else:
            ssh.append(True)
            pm2.append(True)
            names = ctx.environment.processes
            mine = [p for p in listed.processes if not names or p.name in names]
            gone = gone or bool(set(names) - {p.name for p in mine})
            processes += mine
    known = bool(pm2) and all(pm2)
    looping = [p for p in processes if (p.restarts_in_window or 0) >= limit]
    sample = done.get("performance", ())
    sampled = bool(sample) and sample[0].level is not Level.UNKNOWN
    failing = sampled and sample[0].level is Level.FAIL
    erring = failing and "failed" in sample[0].summary
    direct = well("database", "asked from here")
    reading = ctx.taken("database")
    return Facts(
        web=well("api-health"),
        local=well(HOST_HEALTH),
        tls=well("certificate"),
        ssh=_all(ssh),
        pm2=_all(pm2),
        stopped=(gone or any(p.status == "stopped" for p in processes)) if known else None,
        gave_up=any(p.status == "errored" for p in processes) if known else None,
        looping=bool(looping) if known else None,
        by_memory=any(2 * (p.memory_restarts or 0) > (p.restarts_in_window or 0) for p in looping),
        database=True if reading is not None else direct,
        database_free=direct if reading is not None else None,
        disk_full=_disk_full(ctx),
        slow=(failing and not erring) if sampled else None,
        errors=erring if sampled else None,
        dependency=well("dependencies"),
        tables=_tables(ctx),
        cpu=_saturated(ctx),
        taken_by=seen.taken_by,
        signs=tuple(sorted(seen.signs())),
        examples=tuple(sanitise_line(seen.example(sign), cap=160) for sign in sorted(seen.signs())),
        deployed=min((one for one in (seen.deployed, seen.configured) if one is not None), default=None),
        others=all(f.level is not Level.FAIL for findings in done.values() for f in findings),
    )


def _reached(ctx: CheckContext, host: str) -> bool | None:
    """Whether SSH reaches the host; None where it refuses us, which is no fault of the host."""
    state = ctx.hosts[host].state
    if state.status is LinkStatus.UP:
        return True
    return False if state.error is not None and state.error.fault in _AWAY else None


def _all(parts: list[bool | None]) -> bool | None:
    if False in parts:
        return False
    return None if not parts or None in parts else True


def _tables(ctx: CheckContext) -> bool | None:
    """Whether the critical tables are there; one that may not be read says nothing of that."""
    reading = ctx.taken("database")
    if reading is None:
        return None
    bad = [table.error or "" for table in reading.tables if not table.readable]
    if any("does not exist" in error for error in bad):
        return False
    return None if bad else True


def _saturated(ctx: CheckContext) -> bool | None:
    readings = [ctx.taken(f"resources {host}") for host in ctx.environment.hosts]
    if not readings or None in readings:
        return None
    return any(
        (reading.cpu_fraction or 0.0) >= BUSY and reading.load[0] > reading.cores for reading in readings
    )


def _disk_full(ctx: CheckContext) -> bool | None:
    from muva_console.ops.health.hosts import CRITICAL

    readings = [ctx.taken(f"resources {host}") for host in ctx.environment.hosts]
    if not readings or None in readings:
        return None
    shares = [s for r in readings for d in r.filesystems for s in (d.used_fraction, d.inodes_fraction or 0.0)]
    return max(shares) >= CRITICAL if shares else None
