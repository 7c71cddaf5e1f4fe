"""What the tests of this folder share: an estate reached in another way, feeds watched, ends of pipes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import tomli_w

from muva_console.config.load import load
from muva_console.drill.state import Estate
from muva_console.ops.feed import Feed, Freshness, Snapshot
from muva_console.ops.health.report import HealthReport
from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.logs.model import Stream
from muva_console.ops.readings import Level
from muva_console.ops.workspace import Workspace
from tests.patience import HANG

T = TypeVar("T")


def reconfigured(estate: Estate, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The estate's muva.toml with a change, written to `target`."""
    document = tomllib.loads(estate.config.read_text())
    change(document)
    target.write_text(tomli_w.dumps(document))
    target.chmod(0o600)
    return target


def by_way_of(estate: Estate, target: Path, port: int, **host: Any) -> Path:
    """The same estate, its SSH server reached at another port; `host` are further keys of the host."""

    def change(document: dict[str, Any]) -> None:
        document["hosts"]["vps"].update(port=port, **host)
        # the host key stands on record for the port that the estate told
        known = Path(document["hosts"]["vps"]["known_hosts"]).read_text()
        record = target.with_suffix(".known_hosts")
        record.write_text(known.replace(f":{estate.ssh_port}", f":{port}"))
        document["hosts"]["vps"]["known_hosts"] = str(record)

    return reconfigured(estate, target, change)


@asynccontextmanager
async def opened(config: Path, *, read_only: bool = False) -> AsyncIterator[Workspace]:
    """A workspace of a configuration."""
    workspace = Workspace(load(config), read_only=read_only)
    try:
        yield workspace
    finally:
        await workspace.close()


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that accepts connections and never says a word: the kernel takes them, nobody else does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Processes that stand still as on a host that is out of memory; they go on afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def until(
    condition: Callable[[], object], what: str | Callable[[], str], seconds: float = HANG
) -> None:
    """Wait until it is so; fails after `seconds` with what is so instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds:g} s: {told}")
        await asyncio.sleep(0.02)


async def until_true(ask: Callable[[], Awaitable[bool]], what: str, seconds: float = HANG) -> None:
    """As `until`, for what must be awaited."""
    deadline = time.monotonic() + seconds
    while not await ask():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


class Watched(Generic[T]):
    """A feed at a quick pace with somebody who looks, and all that they were shown."""

    def __init__(self, feed: Feed[T], interval: float = 0.3) -> None:
        self.feed = feed
        feed.set_interval(interval)
        self.seen: list[Snapshot[T]] = []
        self.stop = feed.watch(self.seen.append)

    @property
    def now(self) -> Snapshot[T]:
        return self.feed.snapshot

    async def since(self, moment: float) -> Snapshot[T]:
        """Wait for a fresh value that was taken after `moment` (monotonic)."""
        return await self.until(
            Freshness.FRESH, where=lambda now: now.taken is not None and now.taken > moment
        )

    async def until(
        self,
        freshness: Freshness,
        seconds: float = HANG,
        where: Callable[[Snapshot[T]], object] = lambda _: True,
    ) -> Snapshot[T]:
        """Wait for a snapshot of that freshness of which `where` holds."""

        def there() -> bool:
            return self.now.freshness() is freshness and bool(where(self.now))

        def told() -> str:
            return f"{self.feed.name} {freshness}; it is {self.now.freshness()} {self.now}"

        await until(there, told, seconds)
        return self.now


@asynccontextmanager
async def followed(workspace: Workspace, environment: str) -> AsyncIterator[LogBuffer]:
    """The log of an environment's process, live in a buffer."""
    of = workspace.environments[environment]
    names = of.config.processes
    mine = tuple(p for p in (await of.read_processes("vps")).processes if p.name in names)
    buffer = LogBuffer()
    task = asyncio.create_task(of.follow_logs("vps", mine, buffer))
    try:
        await until(lambda: live(buffer), "the log is live")
        yield buffer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def live(buffer: LogBuffer) -> bool:
    states = buffer.states()
    return bool(states) and all(state.live for state in states)


def lines(buffer: LogBuffer) -> list[tuple[Stream, str]]:
    return [
        (line.stream, line.text)
        for block in buffer.blocks()
        for line in (block.line(index, text) for index, text in enumerate(block.texts()))
    ]


def level(report: HealthReport | None, check: str) -> Level:
    assert report is not None
    return report.level_of(check)
