"""The probe of what was done lately: by the journal, and by PM2. Evidence, and never a failure by itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from muva_console.ops.checks import CheckContext, tell
from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Entry, Filter, Kind
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.release.records import KIND
from muva_console.ops.text import sanitise_line

LATELY = timedelta(hours=24)
"""How far back what was done is told. Ours: what was done before a whole day that went well is not why."""
HOST = 3.0
"""Seconds that a host may take for its part."""
_NAMED = 6
_KINDS = (Kind.ACT_ENDED, KIND)


async def done_lately(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """What somebody did to the environment in the last day, the newest first: deployments and acts that the
    journal has (restarts, migrations, restores), and restarts by hand that PM2 knows of.
    """
    now = utc_now()
    told: list[tuple[datetime, str]] = []
    unknown = ""
    if ctx.journal is not None:
        try:
            entries = await ctx.journal.read(
                Filter(environment=ctx.environment_name, since=now - LATELY, kinds=_KINDS, limit=200)
            )
        except OpsError as error:
            unknown = error.what
        else:
            told += [(one.at, _done(one)) for one in entries if one.outcome not in ("not-begun",)]
    with suppress(TimeoutError):  # a host that does not answer hides nothing of what the journal has
        async with asyncio.timeout(HOST):
            told += [one for one in await _restarted(ctx) if one[0] >= now - LATELY]
    told.sort(reverse=True)
    if not told and unknown:
        return (tell(Level.UNKNOWN, f"the journal cannot be read: {unknown}"),)
    lines = [f"{spell((now - at).total_seconds())} ago: {text}" for at, text in told]
    summary = lines[0] if lines else "nothing was done to it in the last day that anybody wrote down"
    more = f"; {len(lines) - 1} more before it" if len(lines) > 1 else ""
    command = f"muva journal --env {ctx.environment_name} --since 24h"
    return (tell(Level.OK, summary + more, evidence=lines[:_NAMED], command=command),)


def _done(entry: Entry) -> str:
    if entry.kind == KIND:
        commit, status = str(entry.data.get("commit", ""))[:7], str(entry.data.get("status", ""))
        return sanitise_line(f"deployed {commit}, {status} (written by {entry.engineer})", cap=160)
    how = "" if entry.outcome == "done" else f", {entry.outcome}"
    return sanitise_line(f"{entry.subject}{how}, by {entry.engineer}", cap=160)


async def _restarted(ctx: CheckContext) -> list[tuple[datetime, str]]:
    """Starts that somebody asked for, by PM2; none of a host that does not answer."""
    found = []
    for host in ctx.environment.hosts:
        try:
            listed = await ctx.processes(host)
        except OpsError:
            continue
        names = ctx.environment.processes
        found += [
            (one.asked_at, f"{one.name} on {host} was started by hand or by a deployment")
            for one in listed.processes
            if one.asked_at is not None and (not names or one.name in names)
        ]
    return found
