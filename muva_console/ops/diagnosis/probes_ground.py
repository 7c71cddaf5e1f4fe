"""Probes of what the application stands on: its variables, its schema, and what the kernel killed."""

from __future__ import annotations

import asyncio
import re
import shlex
from datetime import timedelta

from muva_console.ops import resources
from muva_console.ops.checks import CheckContext, tell
from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import cannot_be_asked
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.release.env_host import ask_host, names_line, remote_path
from muva_console.ops.release.env_names import read_template
from muva_console.ops.text import sanitise, sanitise_line

TIMEOUT = 8.0
"""Seconds for one command. Ours: below the whole probe's."""
LATELY = timedelta(hours=1)
"""How long a kill of the kernel is of now. Ours."""
_TEMPLATE_LIMIT = 256 * 1024
_VERSION = re.compile(r"(\d{3,20})_[^/]*\.sql")
NAMED = 6


async def variables(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """Which names of the template in each host's own checkout its environment file lacks, or has empty:
    names, never values.
    """
    directory, file = ctx.environment.directory, ctx.environment.env_file
    if not directory or not file:
        return ()
    template = remote_path(directory, ctx.config.project.template)

    async def one(host: str) -> Finding:
        command = ctx.ssh_line(host, names_line(directory, file))
        try:
            link = ctx.hosts[host]
            told = await link.run(f"cat -- {template}", timeout=TIMEOUT, limit=_TEMPLATE_LIMIT)
            if told.exit_status:
                return tell(Level.UNKNOWN, "its checkout has no template", subject=host, command=command)
            wanted = read_template(sanitise(told.stdout))
            found = await ask_host(link, directory, file, wanted.required)
        except OpsError as error:
            return cannot_be_asked(error, host, command)
        if found.trouble:
            level = Level.WARN if found.trouble == "missing" else Level.UNKNOWN
            seen.lacking |= {file} if found.trouble == "missing" else set()
            return tell(level, f"{file}: {found.trouble}", subject=host, command=command)
        lacking = sorted(found.lacks | found.empty)
        seen.lacking |= set(lacking)
        if not lacking:
            return tell(Level.OK, f"all {len(found.has)} names are set", subject=host, command=command)
        evidence = [f"{name} is {'empty' if name in found.empty else 'not there'}" for name in lacking]
        told_names = ", ".join(lacking[:NAMED])
        return tell(
            Level.WARN, f"not set: {told_names}", subject=host, evidence=evidence[:20], command=command
        )

    return tuple(await asyncio.gather(*(one(host) for host in ctx.environment.hosts)))


async def migrations(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """Which migrations of the code that serves the database never ran, and what a failed one has left."""
    link, directory = ctx.postgres, ctx.environment.directory
    if link is None:
        return ()
    command = f"muva migrations status --env {ctx.environment_name}"
    history = await read_history(link, statements=False)
    left = [one for one in await invalid_indexes(link) if one.building is False]
    seen.half_done = tuple(str(one) for one in left)
    applied, lacking = set(history.applied), set[str]()
    trouble = ""
    if directory:
        folder = remote_path(directory, ctx.config.project.migrations)
        for host in ctx.environment.hosts:
            try:
                told = await ctx.hosts[host].run(f"ls -1 -- {folder}", timeout=TIMEOUT)
            except OpsError as error:
                trouble = f"what the code on {host} has is not known: {error.what}"
                continue
            for line in told.stdout.decode("utf-8", "replace").splitlines():
                match = _VERSION.fullmatch(line.strip())
                if match is not None and match[1] not in applied:
                    lacking.add(sanitise_line(line.strip(), cap=120))
    seen.unapplied = tuple(sorted(lacking))
    evidence = [*(f"not applied: {one}" for one in seen.unapplied), *(f"left: {one}" for one in left)]
    if left or lacking:
        what = f"{len(lacking)} of the code's are not applied" if lacking else ""
        half = f"{len(left)} left half done" if left else ""
        told_line = ", ".join(one for one in (what, half) if one)
        return (tell(Level.WARN, told_line, evidence=evidence[:20], command=command),)
    if trouble:
        return (tell(Level.UNKNOWN, trouble, command=command),)
    return (tell(Level.OK, f"{len(applied)} applied, none of the code's is missing", command=command),)


async def kernel(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """What the kernel killed for want of memory in the last hour, where its log may be read."""

    async def one(host: str) -> Finding:
        command = ctx.ssh_line(host, "dmesg -T | grep -F " + shlex.quote("Killed process"))
        try:
            reading = await resources.read(ctx.hosts[host], ooms=True)
        except OpsError as error:
            return cannot_be_asked(error, host, command)
        if reading.recent_ooms is None:
            return tell(Level.UNKNOWN, "its log may not be read", subject=host, command=command)
        late = [kill for kill in reading.recent_ooms if kill.at is not None and utc_now() - kill.at <= LATELY]
        if not late:
            return tell(Level.OK, "nothing was killed in the last hour", subject=host, command=command)
        told = [f"{kill.process} (pid {kill.pid}) at {kill.at:%H:%M:%S}" for kill in late]
        seen.killed += tuple(told)
        return tell(
            Level.WARN,
            f"killed {len(late)} times: {told[-1]}",
            subject=host,
            evidence=told,
            command=command,
        )

    return tuple(await asyncio.gather(*(one(host) for host in ctx.environment.hosts)))
