"""The ends of the logs of an environment's processes, read once for all checks of a run.

Only ends of files are read (`ops/logs/files.py`), and what was not read is told. Times are the host's
own. A file that carries no times (PM2 without ``--time``) tells when it was last written to, and nothing
of the lines before: then it is unknown when they were, unless there are none.
"""

from __future__ import annotations

import asyncio
import shlex
import zlib
from collections.abc import Sequence

from msgspec import Struct, structs

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.links.base import HostLink
from muva_console.ops.logs.files import MOST, FilePart, Wanted, read_ends
from muva_console.ops.logs.merge import interleave
from muva_console.ops.logs.model import Origin
from muva_console.ops.logs.patterns import Event, errors
from muva_console.ops.logs.source import file_lines, log_files
from muva_console.ops.pm2.model import Process

DEEP = 8 * 1024 * 1024
"""Bytes read at most of one file that is busier than its usual end (`files.MOST`) can tell. Ours: 80,000
lines, 45 a second over half an hour."""
DEEP_TOTAL = 16 * 1024 * 1024
"""Bytes of all files of a host that are read so."""
PACKED = 4 * 1024 * 1024
"""Bytes that may come for one of them, packed: two seconds over a slow link (16 Mbit/s)."""


class LogPart(Struct, frozen=True, kw_only=True):
    """What was read of one log file."""

    host: str
    path: str
    process: str
    problem: str = ""
    """Why nothing was read: ``not there``, ``may not be read``."""
    lines: int = 0
    whole: bool = True
    """From the file's first line on."""
    timed: bool = False
    """Its lines carry times."""
    empty: bool = False
    begins_ms: int | None = None
    """The first time in what was read."""
    modified_ms: int = 0
    """When it was last written to."""
    events: tuple[Event, ...] = ()


class Logs(Struct, frozen=True, kw_only=True):
    """The ends of the logs of some processes of one host."""

    host: str
    now_ms: int
    """The host's clock when they were read."""
    processes: tuple[Process, ...]
    parts: tuple[LogPart, ...]


async def read(ctx: CheckContext, host: str, *, to_start: bool = False) -> Logs:
    """The ends of the logs of the environment's processes on one host, read once a run: back to where
    thresholds.error_window begins, or with `to_start` to before the newest start, as far as the limits
    allow. Raises OpsError.
    """
    key = f"logs {host} {'to the start' if to_start else 'of the window'}"
    return await ctx.shared(key, lambda: _read(ctx, host, to_start))


async def _read(ctx: CheckContext, host: str, to_start: bool) -> Logs:
    listed = await ctx.processes(host)
    names = ctx.environment.processes
    chosen = tuple(p for p in listed.processes if not names or p.name in names)
    if not chosen:
        wanted = ", ".join(names) or "anything"
        raise OpsError(f"PM2 does not have {wanted}, so there is no log to read", where=host)
    link = ctx.hosts[host]
    files = log_files(host, chosen)
    reading = await read_ends(link, [Wanted(file.path, None, MOST) for file in files])
    now_ms = reading.done_ms
    if now_ms is None:
        now_ms = int((listed.at.timestamp() + listed.clock_offset) * 1000)
    window_ms = int(ctx.environment.thresholds.error_window * 1000)
    names_of = {process.pm_id: process.name for process in chosen}
    parts = []
    for file, part in zip(files, reading.parts, strict=True):
        name = names_of[min(file.pm_ids)]
        if part.problem:
            parts.append(LogPart(host=host, path=file.path, process=name, problem=part.problem))
            continue
        since = now_ms - window_ms
        if to_start:
            since = (started(chosen, name) or now_ms) - window_ms
        read_part = await asyncio.to_thread(_taken, file.origin, name, part, reading.utc_offset)
        deep = min(DEEP, DEEP_TOTAL // len(files))
        if not reaches(read_part, since) and part.size - part.start < min(deep, part.size):
            deeper = await _deeper(link, part, deep)
            if deeper is not None:
                read_part = await asyncio.to_thread(_taken, file.origin, name, deeper, reading.utc_offset)
        parts.append(read_part)
    return Logs(host=host, now_ms=now_ms, processes=chosen, parts=tuple(parts))


async def _deeper(link: HostLink, part: FilePart, most: int) -> FilePart | None:
    """More of the end of a file, packed on the way; None where that cannot be had (no gzip, another file)."""
    size = min(part.size, most)
    start = part.size - size
    path = shlex.quote(part.path)
    command = f"tail -c +{start + 1} -- {path} | head -c {size} | gzip -1c"
    result = await link.run(command, limit=PACKED)
    if result.exit_status != 0 or result.truncated:
        return None
    try:
        data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(result.stdout, size)
    except zlib.error:
        return None
    return structs.replace(part, start=start, data=data) if len(data) == size else None


def _taken(origin: Origin, name: str, part: FilePart, utc_offset: float | None) -> LogPart:
    """What one part tells. Runs in a thread: it may be tens of thousands of lines."""
    lines = file_lines(origin, part, utc_offset)
    times = [line.at_ms for line in lines if line.at_ms is not None]
    if times:  # a line without a time goes with the line before it
        events = errors(interleave([(lines, part.modified_ms)]))
    else:
        events = [_dated(event, part.modified_ms) for event in errors(lines)]
    return LogPart(
        host=origin.host,
        path=part.path,
        process=name,
        lines=len(lines),
        whole=part.start == 0,
        timed=bool(times),
        empty=part.size == 0,
        begins_ms=min(times) if times else None,
        modified_ms=part.modified_ms,
        events=tuple(events),
    )


def _dated(event: Event, modified_ms: int) -> Event:
    """Of a file without times the last line alone has one: it was written when the file last changed."""
    return structs.replace(event, at_ms=modified_ms) if event.last else event


def reaches(part: LogPart, since: int) -> bool:
    """Whether what was read of a file holds everything of it since then."""
    if part.whole or part.modified_ms < since:
        return True
    return part.begins_ms is not None and part.begins_ms <= since


def started(processes: Sequence[Process], name: str) -> int | None:
    """When the process was last started on purpose (ms, the host's clock): a crash after a deployment is
    the deployment's, and so is the error that it crashed with.
    """
    moments = [
        process.asked_at or process.started_at
        for process in processes
        if process.name == name and (process.asked_at or process.started_at) is not None
    ]
    # instances are restarted one after the other: the round began with the first of them
    return min((int(at.timestamp() * 1000) for at in moments if at is not None), default=None)
