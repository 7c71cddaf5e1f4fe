"""What is seen beside the workflow while it runs: PM2's events, the application's log, the health endpoint.

Each is a coroutine that tells moments until it is cancelled, mends itself, and ends nothing else. These
moments are of who watched: GitHub and the host's file can be read again later, these cannot.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

from muva_console.ops.deploys.moments import LEVELS, note
from muva_console.ops.deploys.timeline import Moment, Source, microseconds
from muva_console.ops.errors import OpsError
from muva_console.ops.health.api import judge
from muva_console.ops.health.document import read_document
from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Stream
from muva_console.ops.pm2.model import BusNotice, NoticeKind, ProcessEvent
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.pm2.bus import Pm2Bus

Tell = Callable[[Iterable[Moment]], object]
"""Takes moments for the time line."""
Witness = Callable[[Tell], Awaitable[None]]
"""Tells until it is cancelled."""

PROBE_EVERY = 2.0
"""Seconds between two probes of the health endpoint. Ours: a restart takes a second or two."""
AGAIN = 5.0
"""Seconds before what could not be read is tried again. Ours."""
_BAD_EVENTS = frozenset({"exit", "exception", "restart overlimit"})


def witnesses_of(environment: EnvironmentOps, buses: Mapping[str, Pm2Bus]) -> tuple[Witness, ...]:
    """All that can be seen of an environment beside its workflow; `buses` are its hosts'."""
    names = frozenset(environment.config.processes)
    found: list[Witness] = [
        lambda tell, host=host, bus=bus: process_events(host, bus, names, tell)  # type: ignore[misc]
        for host, bus in buses.items()
    ]
    found += [
        lambda tell, host=host: application_lines(environment, host, names, tell)  # type: ignore[misc]
        for host in buses
    ]
    if environment.config.url is not None:
        found.append(lambda tell: health_probes(environment, tell))
    return tuple(found)


async def process_events(host: str, bus: Pm2Bus, names: frozenset[str], tell: Tell) -> None:
    """What PM2 tells of the environment's processes, from now on."""
    lost = False
    with closing(bus.subscribe(logs=False)) as subscription:
        numbers = itertools.count(1)
        async for item in subscription:
            if isinstance(item, ProcessEvent) and (not names or item.process in names):
                tell([event_moment(item, next(numbers))])
            elif isinstance(item, BusNotice):
                if item.kind is NoticeKind.LOST:
                    text = f"{host}: PM2 is not heard: {item.detail}"
                    tell([note(f"pm2/{host}", text, level=LogLevel.WARN)])
                elif lost:
                    tell([note(f"pm2/{host}", f"{host}: PM2 is heard again")])
                lost = item.kind is NoticeKind.LOST


def event_moment(event: ProcessEvent, number: int) -> Moment:
    """A line of PM2's bus: ``muva-production [0] exit, by hand: code 1``."""
    at = microseconds(event.at)
    by = ", by hand" if event.manually else ""
    detail = f": {event.detail}" if event.detail else ""
    bad = event.event in _BAD_EVENTS and not event.manually
    return Moment(
        source=Source.PM2,
        stream=f"pm2/{event.host}",
        seq=number,
        at_us=at,
        order_us=at,
        text=f"{event.process} [{event.pm_id}] {event.event}{by}{detail}",
        level=LogLevel.WARN if bad else LogLevel.INFO,
        where=event.host,
    )


async def application_lines(
    environment: EnvironmentOps, host: str, names: frozenset[str], tell: Tell
) -> None:
    """What the environment's processes on a host write, from now on."""
    numbers = itertools.count(1)
    told = ""
    while True:
        try:
            listed = await environment.read_processes(host)
            processes = tuple(one for one in listed.processes if not names or one.name in names)
            if processes:
                told = ""
                async with aclosing(environment.log_batches(processes, 0)) as batches:
                    async for batch in batches:
                        lines = [line for line in batch if not _is_event(line)]
                        tell([line_moment(line, next(numbers)) for line in lines])
        except OpsError as error:
            if str(error) != told:
                told = str(error)
                text = f"{host}: the application's log is not followed: {error}"
                tell([note(f"application/{host}", text, level=LogLevel.WARN)])
        await asyncio.sleep(AGAIN)


def _is_event(line: LogLine) -> bool:
    """Whether it is the follower's remark on what PM2 told, which is told from PM2 itself."""
    return line.stream is Stream.NOTE and bool(line.process) and line.at_ms is not None


def line_moment(line: LogLine, number: int) -> Moment:
    """A line of the application's log; a remark of the follower's is a note."""
    now = microseconds(utc_now())
    at = now if line.at_ms is None else line.at_ms * 1000
    remark = line.stream is Stream.NOTE
    return Moment(
        source=Source.NOTE if remark else Source.APPLICATION,
        stream=f"application/{line.host}",
        seq=number,
        at_us=at,
        order_us=at,
        text=line.text.strip("— ") if remark else line.text,
        clock=line.clock if line.at_ms is not None else Clock.ARRIVED,
        level=line.level,
        where=line.process if remark else f"{line.host} {line.process}",
    )


async def health_probes(environment: EnvironmentOps, tell: Tell, *, every: float = PROBE_EVERY) -> None:
    """The health endpoint, asked again and again: each answer is a mark."""
    for number in itertools.count(1):
        ctx = environment.context()
        try:
            answer = await ctx.health()
            document = read_document(answer.json)
            limit = environment.config.thresholds.response * 1000
            level, said = judge(answer, document, limit)
            commit = f", serves {document.commit[:7]}" if document is not None and document.commit else ""
            at = microseconds(answer.at)
            tell([
                Moment(
                    source=Source.HEALTH,
                    stream=f"health/{environment.name}",
                    seq=number,
                    at_us=at,
                    order_us=at,
                    text=f"{said}{commit}",
                    level=LEVELS[level],
                    where=answer.url,
                    value=answer.timing.total if answer.fault is None else None,
                )
            ])  # fmt: skip
        except OpsError as error:
            tell([note(f"health/{environment.name}", f"health is not asked: {error}", level=LogLevel.WARN)])
        finally:
            ctx.end()
        await asyncio.sleep(every)
