"""Facts in what the probes found and read: true, false or not known, never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from muva_console.ops.checks import CheckContext
from muva_console.ops.diagnosis.model import Facts
from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.diagnosis.probes_reach import reached
from muva_console.ops.errors import OpsError
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

HOST_HEALTH = "health-on-host"
BUSY = 0.95
"""Share of all cores that is busy, above which (with more waiting than there are cores) a host is saturated.
Ours."""
_DATABASE = frozenset({"database", "db", "postgres", "postgresql"})
"""What an application calls its database among its services: that has facts of its own."""
_TAKEN = frozenset({"53300", "53400"})
"""SQLSTATEs of a server that takes no more connections (PostgreSQL's appendix A, class 53)."""


async def facts_of(ctx: CheckContext, done: dict[str, tuple[Finding, ...]], seen: Seen) -> Facts:
    """The facts in what was found and read."""

    def well(name: str, subject: str = "") -> bool | None:
        return _level(f for f in done.get(name, ()) if not subject or f.subject == subject)

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
            ssh.append(reached(ctx, host))
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
    exhausted = _exhausted(ctx)
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
        database=True if reading is not None or exhausted else direct,
        database_free=False if exhausted else direct if reading is not None else None,
        disk_full=_disk_full(ctx),
        slow=(failing and not erring) if sampled else None,
        errors=erring if sampled else None,
        dependency=_level(f for f in done.get("dependencies", ()) if f.subject.lower() not in _DATABASE),
        told_database=_level(f for f in done.get("dependencies", ()) if f.subject.lower() in _DATABASE),
        tables=_tables(ctx),
        cpu=_saturated(ctx),
        taken_by=seen.taken_by,
        signs={sign: sanitise_line(seen.example(sign), cap=160) for sign in sorted(seen.signs())},
        deployed=min((one for one in (seen.deployed, seen.configured) if one is not None), default=None),
        onset=seen.onset,
        name=seen.name,
        database_from_host=seen.database_from_host,
        half_done=seen.half_done,
        unapplied=seen.unapplied,
        lacking=tuple(sorted(seen.lacking)),
        killed=seen.killed,
        elsewhere=seen.elsewhere,
        provider=seen.provider,
        others=all(f.level is not Level.FAIL for findings in done.values() for f in findings),
    )


def _level(findings: Iterable[Finding]) -> bool | None:
    """Whether all are well; None where one is not known, or there is none."""
    levels = [one.level for one in findings]
    if Level.FAIL in levels:
        return False
    return None if not levels or Level.UNKNOWN in levels else True


def _exhausted(ctx: CheckContext) -> bool:
    """Whether the database answers that it has no connection left: it is there, and says so itself."""
    error = ctx.postgres.state.error if ctx.postgres is not None else None
    return isinstance(error, DatabaseError) and error.sqlstate in _TAKEN


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
