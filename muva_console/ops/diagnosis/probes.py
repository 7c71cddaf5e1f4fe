"""Probes of a diagnosis beside the health checks: the logs' patterns, who has the port, what changed lately.

Read-only, and bounded by whoever runs them. None is ever a failure by itself: what they see is evidence,
weighed with what fails.
"""

from __future__ import annotations

import asyncio
import shlex
from datetime import UTC, datetime

from msgspec import Struct, field

from muva_console.ops.checks import CheckContext, tell
from muva_console.ops.diagnosis.signatures import Group, Sign, groups_of
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import cannot_be_asked
from muva_console.ops.health.port import find_port
from muva_console.ops.logs.patterns import Event
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.log_ends import Logs
from muva_console.ops.release.log_ends import read as read_logs
from muva_console.ops.text import sanitise_line

TIMEOUT = 8.0
"""Seconds for one command. Ours: below the whole probe's."""
HELD = 5000
"""Milliseconds for which a run must have held for what was before it to be over. Ours: what cannot start ends
within a second or two."""
NAMED = 6
"""Patterns that are told."""


class Seen(Struct, kw_only=True):
    """What the probes saw, apart from their words; None and empty are "not known"."""

    groups: tuple[Group, ...] = ()
    taken_by: str = ""
    """Who has the port although no process of the environment is up to have it."""
    deployed: float | None = None
    """Seconds since the newest deployment on a host: the last move of its checkout, or of what is served."""
    configured: float | None = None
    """Seconds since the environment file was changed."""
    onset: float | None = None
    """Seconds since the first of the errors that go on."""
    name: bool | None = None
    database_from_host: bool | None = None
    half_done: tuple[str, ...] = ()
    unapplied: tuple[str, ...] = ()
    lacking: set[str] = field(default_factory=set)
    killed: tuple[str, ...] = ()
    elsewhere: bool | None = None
    provider: str = ""
    """What the database's provider reports of itself; empty where nothing."""

    def signs(self) -> frozenset[Sign]:
        """What the errors of now speak for."""
        return frozenset(group.sign for group in self.groups if group.sign is not None)

    def example(self, sign: Sign) -> str:
        """One of them."""
        return next((group.example for group in self.groups if group.sign is sign), "")


# --- the logs


async def log_patterns(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """The errors of the last minutes, grouped, with counts and first and last seen; a finding a host."""
    return tuple(await asyncio.gather(*(_logs_of(ctx, host, seen) for host in ctx.environment.hosts)))


async def _logs_of(ctx: CheckContext, host: str, seen: Seen) -> Finding:
    try:
        logs = await read_logs(ctx, host)
    except OpsError as error:
        return cannot_be_asked(error, host, "")
    groups = groups_of(
        (
            event
            for part in logs.parts
            for event in part.events
            if not _over(event, _settled(logs, part.process))
        ),
        logs.now_ms,
    )
    seen.groups += groups
    first_ms = min((group.first_ms for group in groups if group.first_ms is not None), default=None)
    if first_ms is not None:
        seen.onset = max(seen.onset or 0.0, (logs.now_ms - first_ms) / 1000)
    if not groups:
        return tell(Level.OK, "no error in the last 15 minutes", subject=host)
    first = groups[0]
    more = f", and {len(groups) - 1} more patterns" if len(groups) > 1 else ""
    return tell(
        Level.WARN,
        f"{first.count} × {sanitise_line(first.example, cap=120)}{more}",
        subject=host,
        evidence=[_told(group) for group in groups[:NAMED]],
    )


def _settled(logs: Logs, name: str) -> int | None:
    """When the runs of a process that have held for a while began (ms, the host's clock); None where one has
    not: what it said before is of now.
    """
    mine = [process for process in logs.processes if process.name == name]
    begun = [int(one.started_at.timestamp() * 1000) for one in mine if one.started_at is not None]
    if len(begun) < len(mine) or not begun or any(one.status != "online" for one in mine):
        return None
    return min(begun) if logs.now_ms - max(begun) >= HELD else None


def _over(event: Event, settled: int | None) -> bool:
    """Whether an error is of a run that is over, and another has held since."""
    return settled is not None and event.at_ms is not None and event.at_ms < settled


def _told(group: Group) -> str:
    when = ""
    if group.first_ms is not None and group.last_ms is not None:
        first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (group.first_ms, group.last_ms))
        when = f" {first:%H:%M:%S} to {last:%H:%M:%S} UTC"
    return f"{group.count} ×{when}: {sanitise_line(group.example, cap=200)}"


# --- the port


async def port(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """Who listens on the environment's port on each host."""
    return tuple(await asyncio.gather(*(_port_of(ctx, host, seen) for host in ctx.environment.hosts)))


async def _port_of(ctx: CheckContext, host: str, seen: Seen) -> Finding:
    finding, found = await find_port(ctx, host)
    if found is not None and found.told:
        seen.taken_by = found.told
    return finding


# --- what changed


async def changed(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """When the checkout moved, and the environment file was changed."""
    return tuple(await asyncio.gather(*(_changed_on(ctx, host, seen) for host in ctx.environment.hosts)))


async def _changed_on(ctx: CheckContext, host: str, seen: Seen) -> Finding:
    directory = ctx.environment.directory
    if not directory:
        return tell(Level.UNKNOWN, "no directory is configured", subject=host)
    place, file = shlex.quote(str(directory)), shlex.quote(str(ctx.environment.env_file or ""))
    line = (
        f"cd {place} && date +%s && {{ stat -c %Y .git/logs/HEAD || echo -; }} 2>/dev/null; "
        f"{{ stat -c %Y -- {file} || echo -; }} 2>/dev/null; git rev-parse --short HEAD 2>/dev/null || echo -"
    )
    command = ctx.ssh_line(host, f"git -C {place} reflog -3 --date=iso; ls -l {file}")
    try:
        result = await ctx.hosts[host].run(line, timeout=TIMEOUT)
    except OpsError as error:
        return cannot_be_asked(error, host, command)
    words = result.stdout.decode("utf-8", "replace").split()
    if result.exit_status or len(words) < 4 or not words[0].isdecimal():
        return tell(Level.UNKNOWN, "the host does not tell", subject=host, command=command)
    now = int(words[0])
    deployed, configured = (_since(now, word) for word in words[1:3])
    seen.deployed = _newest(seen.deployed, deployed)
    seen.configured = _newest(seen.configured, configured)
    told = []
    if deployed is not None:
        told.append(f"checkout moved {spell(deployed)} ago, to {sanitise_line(words[3], cap=12)}")
    if configured is not None:
        told.append(f"environment file changed {spell(configured)} ago")
    return tell(
        Level.OK,
        "; ".join(told) or "when it was deployed is not known",
        subject=host,
        command=command,
    )


def _since(now: int, word: str) -> float | None:
    return float(max(0, now - int(word))) if word.isdecimal() else None


def _newest(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return min(known) if known else None
