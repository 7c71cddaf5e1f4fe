"""The ends of the logs of an environment's processes, read once for all checks of a run.

Only ends of files are read (`ops/logs/files.py`), and what was not read is told. Times are the host's
own. A file that carries no times (PM2 without ``--time``) tells when it was last written to, and nothing
of the lines before: then it is unknown when they were, unless there are none.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct, structs

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.logs.files import MOST, Wanted, read_ends
from muva_console.ops.logs.merge import interleave
from muva_console.ops.logs.patterns import Event, errors
from muva_console.ops.logs.source import file_lines, log_files
from muva_console.ops.pm2.model import Process


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


async def read(ctx: CheckContext, host: str) -> Logs:
    """The ends of the logs of the environment's processes on one host, read once a run. Raises OpsError."""
    return await ctx.shared(f"logs {host}", lambda: _read(ctx, host))


async def _read(ctx: CheckContext, host: str) -> Logs:
    listed = await ctx.processes(host)
    names = ctx.environment.processes
    chosen = tuple(p for p in listed.processes if not names or p.name in names)
    if not chosen:
        wanted = ", ".join(names) or "anything"
        raise OpsError(f"PM2 does not have {wanted}, so there is no log to read", where=host)
    files = log_files(host, chosen)
    reading = await read_ends(ctx.hosts[host], [Wanted(file.path, None, MOST) for file in files])
    names_of = {process.pm_id: process.name for process in chosen}
    parts = []
    for file, part in zip(files, reading.parts, strict=True):
        name = names_of[min(file.pm_ids)]
        if part.problem:
            parts.append(LogPart(host=host, path=file.path, process=name, problem=part.problem))
            continue
        await asyncio.sleep(0)  # thousands of lines a file: others are let in between
        lines = file_lines(file.origin, part, reading.utc_offset)
        times = [line.at_ms for line in lines if line.at_ms is not None]
        if times:  # a line without a time goes with the line before it
            events = errors(interleave([(lines, part.modified_ms)]))
        else:
            events = [_dated(event, part.modified_ms) for event in errors(lines)]
        parts.append(
            LogPart(
                host=host,
                path=file.path,
                process=name,
                lines=len(lines),
                whole=part.start == 0,
                timed=bool(times),
                empty=part.size == 0,
                begins_ms=min(times) if times else None,
                modified_ms=part.modified_ms,
                events=tuple(events),
            )
        )
    now_ms = reading.done_ms
    if now_ms is None:
        now_ms = int((listed.at.timestamp() + listed.clock_offset) * 1000)
    return Logs(host=host, now_ms=now_ms, processes=chosen, parts=tuple(parts))


def _dated(event: Event, modified_ms: int) -> Event:
    """Of a file without times the last line alone has one: it was written when the file last changed."""
    return structs.replace(event, at_ms=modified_ms) if event.last else event


def reaches(part: LogPart, since: int) -> bool:
    """Whether what was read of a file holds everything of it since then."""
    if part.whole or part.modified_ms < since:
        return True
    return part.begins_ms is not None and part.begins_ms <= since
