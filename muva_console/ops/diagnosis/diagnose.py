"""A diagnosis: every probe begun at once, each bounded, their states told as they change.

Reads only. The probes are the health checks over one set of readings, and the diagnosis's own beside them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec import structs

from muva_console.ops.checks import CheckContext, find, run_together, tell
from muva_console.ops.diagnosis import probes, probes_done, probes_ground, probes_reach
from muva_console.ops.diagnosis.model import Diagnosis, ProbeState
from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.diagnosis.scenarios import missing, rank
from muva_console.ops.diagnosis.weighing import HOST_HEALTH, facts_of
from muva_console.ops.errors import OpsError
from muva_console.ops.health.report import ALL, applicable
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.readings import Finding, Level, utc_now

PROBE_TIMEOUT = 9.0
"""Seconds for one probe: with a host that swallows everything the whole stays within ten."""
Probe = Callable[[CheckContext, Seen], Awaitable[tuple[Finding, ...]]]
OWN: dict[str, tuple[str, Probe]] = {
    "dns": ("DNS", probes_reach.name),
    "ssh": ("SSH", probes_reach.ssh),
    HOST_HEALTH: ("Health on the host", probes_reach.on_hosts),
    "log-patterns": ("Log patterns", probes.log_patterns),
    "kernel": ("Kernel log", probes_ground.kernel),
    "port": ("Port", probes.port),
    "database-from-host": ("Database from the host", probes_reach.database_from_hosts),
    "migrations": ("Migrations", probes_ground.migrations),
    "variables": ("Environment file", probes_ground.variables),
    "status-page": ("Provider's status", probes_reach.status_page),
    "elsewhere": ("GitHub", probes_reach.elsewhere),
    "what-changed": ("What changed lately", probes.changed),
    "done-lately": ("What was done lately", probes_done.done_lately),
}
"""The diagnosis's own probes, beside the health checks: what each is called, and who asks."""
ORDER = (
    "api-health", "dns", "certificate", "ssh", HOST_HEALTH, "processes", "log-patterns", "resources",
    "kernel", "port", "database", "database-from-host", "critical-tables", "migrations", "variables",
    "dependencies", "status-page", "elsewhere", "performance", "what-changed", "done-lately",
)  # fmt: skip
"""From the outside in, as the playbook has it: the order on the screen. All are begun at once."""
BY_SSH = frozenset(
    {"ssh", HOST_HEALTH, "processes", "log-patterns", "resources", "kernel", "port", "database-from-host",
     "variables", "what-changed"}
)  # fmt: skip
"""The probes that wait on the hosts."""


def probes_of(ctx: CheckContext) -> tuple[str, ...]:
    """The probes that have anything to look at in an environment, in their order."""
    known = {*applicable(ctx, ALL), "done-lately"}
    if ctx.environment.url is not None:
        known |= {"dns"}
    if ctx.hosts:
        known |= {"ssh", "log-patterns", "kernel", "what-changed", "variables"}
        known |= {HOST_HEALTH, "port"} if ctx.environment.port else set()
        known |= {"database-from-host"} if ctx.postgres is not None else set()
    known |= {"migrations"} if ctx.postgres is not None else set()
    known |= {"elsewhere"} if ctx.config.project.repository is not None else set()
    known |= {"status-page"} if ctx.config.project.status_page is not None else set()
    return tuple(name for name in ORDER if name in known)


def title_of(name: str) -> str:
    """What a probe is called."""
    if name in OWN:
        return OWN[name][0]
    known = find(name)
    return known.title if known is not None else name


async def watch(ctx: CheckContext) -> AsyncIterator[ProbeState | Diagnosis]:
    """Each probe as it is begun and as it is done, then the diagnosis. Raises nothing for what fails."""
    began = time.perf_counter()
    ctx = ctx.fresh()
    names = probes_of(ctx)
    seen = Seen()
    done: dict[str, tuple[Finding, ...]] = {}

    async def one(name: str) -> ProbeState:
        start = time.perf_counter()
        if name in OWN:
            findings = await _bounded(name, OWN[name][1](ctx, seen))
        else:
            findings = await run_together([name], ctx, PROBE_TIMEOUT)
        took = (time.perf_counter() - start) * 1000
        return ProbeState(name=name, title=title_of(name), done=True, findings=findings, took_ms=took)

    tasks = [asyncio.create_task(one(name)) for name in names]
    try:
        for name in names:
            yield ProbeState(name=name, title=title_of(name), waits_on=_waits_on(ctx, name))
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
        environment=ctx.environment_name,
        scenarios=scenarios,
        findings=tuple(finding for name in names for finding in done[name]),
        cannot_tell="" if scenarios else f"cannot tell, because this is not known: {lacking}",
        at=utc_now(),
        took_ms=(time.perf_counter() - began) * 1000,
    )


async def diagnose(ctx: CheckContext) -> Diagnosis:
    """The diagnosis alone."""
    async for state in watch(ctx):
        if isinstance(state, Diagnosis):
            return state
    raise AssertionError("a diagnosis ends with itself")


def _waits_on(ctx: CheckContext, name: str) -> str:
    """The hosts that are not connected yet, where the probe needs them."""
    if name not in BY_SSH:
        return ""
    away = [host for host, link in ctx.hosts.items() if link.state.status is not LinkStatus.UP]
    return f"SSH to {', '.join(away)}" if away else ""


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
        structs.replace(one, check=name, title=title_of(name), took_ms=one.took_ms or took)
        for one in findings
    )
