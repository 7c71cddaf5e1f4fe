"""The check "resources": memory, disks and inodes of every host of the environment."""

from __future__ import annotations

import asyncio

from muva_console.config.model import Thresholds
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.words import percent, spell_span
from muva_console.ops.readings import Finding, Level, worst
from muva_console.ops.resources import HostResources

CRITICAL = 0.97
"""Share from which a full resource is a failure whatever the threshold: what needs it fails next. Ours."""


def has_hosts(ctx: CheckContext) -> bool:
    """Whether the environment has hosts."""
    return bool(ctx.environment.hosts)


@check("resources", title="Host resources", applies=has_hosts)
async def resources(ctx: CheckContext) -> tuple[Finding, ...]:
    """Memory, disk and inodes of every host: over its threshold (90 %) is a warning, over 97 % a failure."""
    return tuple(await asyncio.gather(*(_of_host(ctx, host) for host in ctx.environment.hosts)))


async def _of_host(ctx: CheckContext, host: str) -> Finding:
    command = ctx.ssh_line(host, "free -h; df -h; df -i; uptime")
    try:
        reading = await ctx.resources(host)
    except OpsError as error:
        return cannot_be_asked(error, host, command)
    level, summary = judge(reading, ctx.environment.thresholds)
    return tell(level, summary, subject=host, evidence=_facts(reading), command=command, at=reading.at)


def cannot_be_asked(error: OpsError, host: str, command: str) -> Finding:
    """The finding on a host that cannot be reached: nothing is known of what it holds."""
    fault = f" ({error.fault})" if isinstance(error, LinkError) else ""
    return tell(
        Level.UNKNOWN,
        f"cannot be asked: {error.what}",
        subject=host,
        evidence=[f"{error.where or host}{fault}: {error.what}", error.means],
        command=command,
        next=error.next,
    )


def judge(reading: HostResources, thresholds: Thresholds) -> tuple[Level, str]:
    """The level and the line of one host's resources."""
    shares = [("memory", reading.memory_fraction, thresholds.memory)]
    for disk in reading.filesystems:
        shares.append((f"{disk.mount} space", disk.used_fraction, thresholds.disk))
        if disk.inodes_fraction is not None:
            shares.append((f"{disk.mount} inodes", disk.inodes_fraction, thresholds.inodes))
    if not reading.filesystems or not reading.memory_total:
        return Level.UNKNOWN, "the host does not tell its memory and disks"
    levels = [(_level(used, limit), name, used, limit) for name, used, limit in shares]
    level = worst(one[0] for one in levels)
    if level is Level.OK:
        # the fullest disk is the one to know of
        disk = max(reading.filesystems, key=lambda one: one.used_fraction)
        load = f"load {reading.load[0]:.1f} on {reading.cores}"
        memory = f"memory {percent(reading.memory_fraction)}"
        return level, f"{memory}, {disk.mount} {percent(disk.used_fraction)}, {load}"
    bad = [
        f"{name} {percent(used)} full (limit {percent(limit)})"
        for at, name, used, limit in levels
        if at is level
    ]
    return level, ", ".join(bad)


def _level(used: float, limit: float) -> Level:
    if used >= max(CRITICAL, limit):
        return Level.FAIL
    return Level.WARN if used >= limit else Level.OK


def _facts(reading: HostResources) -> list[str]:
    lines = [
        f"memory {percent(reading.memory_fraction)} of {_size(reading.memory_total)}, "
        f"{_size(reading.memory_available)} available",
        f"load {' '.join(f'{one:.2f}' for one in reading.load)} on {reading.cores} cores",
    ]
    if reading.cpu_fraction is not None:
        lines.append(f"CPU {percent(reading.cpu_fraction)} busy")
    if reading.swap_total:
        used = reading.swap_total - reading.swap_free
        lines.append(f"swap {_size(used)} of {_size(reading.swap_total)}")
    for disk in reading.filesystems:
        inodes = "" if disk.inodes_fraction is None else f", inodes {percent(disk.inodes_fraction)}"
        lines.append(f"{disk.mount} {percent(disk.used_fraction)} of {_size(disk.size)}{inodes}")
    if reading.oom_kills:
        lines.append(f"the kernel has killed for want of memory {reading.oom_kills} times since boot")
    lines.append(f"{reading.hostname} up {spell_span(reading.uptime)}")
    return lines


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
