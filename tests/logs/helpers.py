"""What the tests of the logs share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Origin, Stream
from muva_console.ops.pm2.model import Process
from tests.patience import HANG


async def until(condition: Callable[[], bool], *, within: float = HANG) -> None:
    """Wait for a condition; fail when it does not come."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)


def process(folder: Path, name: str = "muva-production", pm_id: int = 0) -> Process:
    return Process(
        host="here",
        pm_id=pm_id,
        name=name,
        status="online",
        out_log=str(folder / f"{name}-out.log"),
        err_log=str(folder / f"{name}-error.log"),
    )


def line(
    text: str,
    *,
    level: LogLevel = LogLevel.NONE,
    name: str = "muva-production",
    stream: Stream = Stream.OUT,
    host: str = "vps",
    at_ms: int | None = None,
) -> LogLine:
    clock = Clock.UNKNOWN if at_ms is None else Clock.STAMPED
    return LogLine(Origin(host, name, stream), text, level, at_ms, clock)


def numbered(start: int, count: int, *, every: int = 20) -> list[LogLine]:
    """Lines ``line 0`` …, a second apart, each `every`-th of them an error."""
    return [
        line(
            f"line {number} {'x' * (number % 120)}",
            level=LogLevel.ERROR if number % every == 0 else LogLevel.NONE,
            at_ms=1_762_344_000_000 + number * 1000,
        )
        for number in range(start, start + count)
    ]
