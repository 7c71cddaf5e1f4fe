"""`muva logs`: the processes' logs, out and err interleaved by time, then live."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    tell,
    tell_no_hosts,
    wait_while_read,
)
from muva_console.ops.errors import LinkError
from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Stream
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.logs.filter import LogFilter
    from muva_console.ops.pm2.model import Process

MOST_LINES = 100_000
_COLOUR = {LogLevel.ERROR: "red", LogLevel.WARN: "yellow"}


@click.command()
@click.argument("process", required=False)
@environment_option
@json_option
@click.option("--lines", "-n", default=50, show_default=True, type=click.IntRange(0, MOST_LINES))
@click.option("--follow", "-f", "live", is_flag=True, help="Go on with what is written from now on.")
@click.option("--grep", metavar="RE", help="Lines that match; a leading ! turns it round.")
@click.option("--level", type=click.Choice(["debug", "info", "warn", "error"]), help="That loud or louder.")
@click.pass_obj
def logs(
    invocation: Invocation,
    process: str | None,
    environment: str | None,
    as_json: bool,
    lines: int,
    live: bool,
    grep: str | None,
    level: str | None,
) -> int:
    """The logs of an environment's processes, out and err interleaved by time.

    PROCESS is a name as PM2 has it; all of the environment's when not given. With --json a line of JSON
    for each line of log. Exit status: 0 read, 1 no such process, 3 a host could not be asked.
    """
    wanted = _filter(grep, level)

    async def answer() -> int:
        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment)
            if not of.hosts:
                tell_no_hosts(of.name)
                return int(Exit.CANNOT_TELL)
            found, status = await _processes(of, process)
            if not found:
                return status or _no_such(of, process)
            if not live:
                return max(status, await _print_history(of, found, lines, wanted, as_json))
            async with asyncio.TaskGroup() as group:
                for chosen in found.values():
                    group.create_task(_follow(of, chosen, lines, wanted, as_json))
            return status

    return wait_while_read(answer)


def _filter(grep: str | None, level: str | None) -> LogFilter:
    from muva_console.ops.logs.filter import FilterError, parse_filter

    terms = [f"level:{level}"] if level else []
    if grep:
        inverted, expression = grep.startswith("!"), grep.removeprefix("!")
        terms.append(f"{'!' if inverted else ''}/{expression}/")
    try:
        return parse_filter(" ".join(terms))
    except FilterError as error:
        raise click.UsageError(f"--grep: {error}") from None


async def _processes(of: EnvironmentOps, name: str | None) -> tuple[dict[str, tuple[Process, ...]], int]:
    """The processes that were asked for, by host; and 3 when a host could not be asked."""
    names = of.config.processes if name is None else (name,)
    found: dict[str, tuple[Process, ...]] = {}
    status = int(Exit.OK)
    for host in of.hosts:
        try:
            told = await of.read_processes(host)
        except LinkError as error:
            tell(error)
            status = Exit.CANNOT_TELL
            continue
        chosen = tuple(p for p in told.processes if not names or p.name in names)
        if chosen:
            found[host] = chosen
    return found, status


def _no_such(of: EnvironmentOps, name: str | None) -> int:
    hosts = ", ".join(of.hosts)
    what = f"no process {name!r}" if name else "none of the environment's processes"
    click.echo(f"muva: PM2 on {hosts} has {what}", err=True)
    return Exit.BAD


async def _print_history(
    of: EnvironmentOps, found: dict[str, tuple[Process, ...]], count: int, wanted: LogFilter, as_json: bool
) -> int:
    # what is filtered out must not shorten the answer, so more is read than is shown
    reach = count if not wanted else min(MOST_LINES, max(count * 20, 2000))
    parts = await asyncio.gather(
        *(of.read_logs(chosen, reach) for chosen in found.values()), return_exceptions=True
    )
    status = int(Exit.OK)
    merged: list[LogLine] = []
    for part in parts:
        if isinstance(part, LinkError):
            tell(part)
            status = Exit.CANNOT_TELL
        elif isinstance(part, BaseException):
            raise part
        else:
            merged += part
    if len(found) > 1:
        merged.sort(key=lambda line: line.at_ms or 0)
    shown = [line for line in merged if wanted.matches(line)]
    _print(shown[-count:] if count else [], as_json, many=_many(found))
    return status


async def _follow(
    of: EnvironmentOps, chosen: tuple[Process, ...], count: int, wanted: LogFilter, as_json: bool
) -> None:
    many = len({process.name for process in chosen}) > 1 or len(of.hosts) > 1
    async for batch in of.log_batches(chosen, count):
        _print([line for line in batch if wanted.matches(line)], as_json, many=many)


def _many(found: dict[str, tuple[Process, ...]]) -> bool:
    return len(found) > 1 or len({p.name for chosen in found.values() for p in chosen}) > 1


def _print(lines: Sequence[LogLine], as_json: bool, *, many: bool) -> None:
    for line in lines:
        if as_json:
            print_json(line_data(line), line=True)
        elif line.stream is Stream.NOTE:
            click.echo(click.style(f"— {line.text} —", dim=True), err=True)
        else:
            click.echo(click.style(_shown(line, many), fg=_COLOUR.get(line.level)))
    sys.stdout.flush()


def _shown(line: LogLine, many: bool) -> str:
    at = f"{line.at:%m-%d %H:%M:%S}" if line.at is not None else " " * 14
    sure = " " if line.clock in (Clock.STAMPED, Clock.ARRIVED) else "~"
    who = f"{line.host}/{line.process} " if many else ""
    return f"{at}{sure} {who}{line.stream.value:<3} {line.text}"


def line_data(line: LogLine) -> dict[str, Any]:
    """A line of log as `--json` gives it; `clock` tells what its time rests on."""
    return {
        # always to the millisecond: text of one width sorts as time does
        "at": None if line.at is None else f"{line.at:%Y-%m-%dT%H:%M:%S}.{line.at.microsecond // 1000:03}Z",
        "clock": line.clock.name.lower(),
        "host": line.host,
        "process": line.process,
        "stream": line.stream,
        "level": line.level.word,
        "text": line.text,
    }
