"""What came of an act on a process: watched, never assumed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from muva_console.ops.errors import LinkError
from muva_console.ops.operations import EventKind
from muva_console.ops.pm2.bus import Subscription
from muva_console.ops.pm2.model import BusNotice, NoticeKind, Process, ProcessEvent
from muva_console.ops.process_findings import spell, spell_size
from muva_console.ops.processes import ProcessReader
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

HealthCheck = Callable[[], Awaitable[Finding]]
"""Asked when the process has been stable; its finding decides whether the operation succeeded."""
Tell = Callable[[EventKind, str], None]
"""Takes what happens, as it happens."""

SETTLE = 30.0
"""Seconds that a process may take until PM2 calls it online, or stopped."""
HEALTH_TIMEOUT = 30.0
POLL = 0.4
"""Seconds between looks while waiting."""
OUTPUT_LINES = 200
"""Lines of the process's own output that are passed on at most."""
_TORN = 65536


class Failed(Exception):
    """The act did not come to what was wanted; the text says why."""


class Watch:
    """Looks at the processes that were acted on, until it is known what became of them."""

    def __init__(self, reader: ProcessReader, before: Sequence[Process], tell: Tell) -> None:
        """`before`: the processes as they were just before the act."""
        self._reader = reader
        self._before = tuple(before)
        self._started: tuple[Process, ...] = ()
        self._tell = tell

    async def until_down(self) -> None:
        """Wait until none runs. Raises Failed when time is up."""
        await self._until(_is_down, "to stop", starting=False)
        self._tell(EventKind.VERIFIED, "stopped, no process left of it")

    async def until_anew(self) -> None:
        """Wait until each is online with a pid that it had not before. Raises Failed."""
        self._started = await self._until(_is_anew, "to come up", starting=True)
        for process in self._started:
            self._tell(EventKind.STEP, f"{process.name} [{process.pm_id}] is online with pid {process.pid}")

    async def stable(self, seconds: float) -> None:
        """Watch the same pids live for `seconds`, after `until_anew`. Raises Failed when one does not."""
        began = time.monotonic()
        self._tell(EventKind.STEP, f"watching whether it stays up for {seconds:g} s")
        while True:
            left = seconds - (time.monotonic() - began)
            await asyncio.sleep(max(0.0, min(POLL, left)))
            try:
                present = await self._present()
            except LinkError as error:  # its pid will tell afterwards what happened meanwhile
                if time.monotonic() - began >= seconds + SETTLE:
                    raise Failed(f"whether it stayed up is not known: {error}") from None
                continue
            for first, now in zip(self._started, present, strict=True):
                if now.pid != first.pid or now.status != "online":
                    lived = spell(max(1.0, time.monotonic() - began))
                    again = now.restarts - first.restarts
                    times = f"; PM2 restarted it {again} times" if again > 1 else ""
                    raise Failed(
                        f"{now.name} did not stay up: it ended within {lived}{_how(now)}{times}; "
                        f"it is {now.status} now"
                    )
            if time.monotonic() - began >= seconds:
                break
        self._tell(EventKind.VERIFIED, f"up and stable for {seconds:g} s, no restart")

    async def limited(self, limit: int) -> None:
        """Check that the memory limit is `limit` bytes. Raises Failed."""
        for process in await self._present():
            if process.memory_limit != limit:
                told = "none" if process.memory_limit is None else spell_size(process.memory_limit)
                raise Failed(f"the memory limit of {process.name} is {told} all the same")
        self._tell(EventKind.VERIFIED, f"its memory limit is {spell_size(limit)}")

    async def healthy(self, health: HealthCheck) -> None:
        """Ask for its health. Raises Failed when it is bad; not to know is a warning."""
        self._tell(EventKind.STEP, "asking for its health")
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                finding = await health()
        except TimeoutError:
            self._tell(EventKind.WARNING, f"its health is not known: no answer within {HEALTH_TIMEOUT:g} s")
            return
        if finding.level is Level.FAIL:
            raise Failed(f"it is up, but not healthy: {finding.summary}")
        ok = finding.level is Level.OK
        self._tell(EventKind.VERIFIED if ok else EventKind.WARNING, finding.summary)

    async def _present(self) -> tuple[Process, ...]:
        """The processes now, in the order of before. Raises Failed when one is gone."""
        reading = await self._reader.read()
        found = {(process.pm_id, process.name): process for process in reading.processes}
        for process in self._before:
            if (process.pm_id, process.name) not in found:
                raise Failed(f"{process.name} [{process.pm_id}] is not in PM2's list any more")
        return tuple(found[process.pm_id, process.name] for process in self._before)

    async def _until(
        self, reached: Callable[[Process, Process], bool], what: str, *, starting: bool
    ) -> tuple[Process, ...]:
        """Look until each has `reached` it. Raises Failed when time is up or PM2 gave up starting it."""
        deadline = time.monotonic() + SETTLE
        troubled = False
        while True:
            try:
                present = await self._present()
            except LinkError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"whether it was done is not known: {error}") from None
                if not troubled:
                    self._tell(EventKind.WARNING, str(error))
                troubled = True
            else:
                if all(map(reached, self._before, present)):
                    return present
                for process in present:
                    if process.status == "errored" and starting:
                        raise Failed(f"PM2 gave up starting {process.name}{_how(process)}")
                if time.monotonic() > deadline:
                    states = ", ".join(dict.fromkeys(process.status for process in present))
                    names = ", ".join(dict.fromkeys(process.name for process in present))
                    raise Failed(f"{SETTLE:g} s were not enough for {names} {what}: it is {states}")
            await asyncio.sleep(POLL)


async def relay(heard: Subscription, pm_id: int | None, tell: Tell, connected: asyncio.Event) -> None:
    """Pass on what the process says and what happens to it, in whole lines, up to `OUTPUT_LINES`.

    Sets `connected` when the bus is listened to. Runs until the subscription is closed.
    """
    lines = 0
    rest: dict[tuple[int, str], str] = {}
    async for item in heard:
        if isinstance(item, BusNotice):
            if item.kind is NoticeKind.CONNECTED:
                connected.set()
        elif pm_id not in {None, item.pm_id}:
            continue
        elif isinstance(item, ProcessEvent):
            tell(EventKind.OUTPUT, f"PM2: {item.event}{' ' if item.detail else ''}{item.detail}")
        elif lines <= OUTPUT_LINES:
            key = (item.pm_id, item.stream)
            *whole, rest[key] = (rest.get(key, "") + item.data).split("\n")
            rest[key] = rest[key][-_TORN:]
            for line in whole:
                lines += 1
                if lines > OUTPUT_LINES:
                    tell(EventKind.OUTPUT, "… more in its log")
                    break
                tell(EventKind.OUTPUT, f"{item.stream}: {sanitise_line(line)}")


def _is_down(_: Process, now: Process) -> bool:
    return now.status == "stopped" and now.pid is None


def _is_anew(before: Process, now: Process) -> bool:
    return now.status == "online" and now.pid is not None and now.pid != before.pid


def _how(process: Process) -> str:
    if process.last_signal:
        return f", by {process.last_signal}"
    return f", with code {process.exit_code}" if process.exit_code is not None else ""
