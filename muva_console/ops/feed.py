"""One reading, many viewers: a feed polls once for everybody who looks.

A feed never overlaps its own polls, backs off while what it asks is unreachable, keeps the last value
with its age and its last error, and rests when nobody looks. Ages are measured on the monotonic clock,
so a wall clock that jumps makes nothing look fresh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.readings import utc_now

T = TypeVar("T")

STALE_AFTER = 2.5
"""A value older than this many intervals is stale. Ours: one missed poll is forgiven, two are not."""
BACK_OFF_CAP = 60.0
"""Seconds between polls at most while the source is unreachable; the attempts never end."""


class Freshness(StrEnum):
    """What a viewer may believe of a snapshot."""

    NEVER = "not asked"
    ASKING = "asking"
    FRESH = "fresh"
    STALE = "stale"
    PAUSED = "paused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """What a feed knows now."""

    value: T | None = None
    taken: float | None = None
    """time.monotonic() when the value was taken."""
    at: datetime | None = None
    error: OpsError | None = None
    """Why the last poll failed; None when it did not."""
    failures: int = 0
    """Polls failed in a row."""
    asking: bool = False
    paused: bool = False
    interval: float = 30.0
    took_ms: float = 0.0

    def age(self, now: float | None = None) -> float | None:
        """Seconds since the value was taken, None when there is none."""
        if self.taken is None:
            return None
        return max(0.0, (time.monotonic() if now is None else now) - self.taken)

    def freshness(self, now: float | None = None) -> Freshness:
        """Whether the value may be believed, worst reason first."""
        age = self.age(now)
        if self.error is not None:
            return Freshness.UNREACHABLE
        if self.paused:
            return Freshness.PAUSED
        if age is None:
            return Freshness.ASKING if self.asking else Freshness.NEVER
        return Freshness.STALE if age > self.interval * STALE_AFTER else Freshness.FRESH


Viewer = Callable[[Snapshot[T]], None]


class Feed(Generic[T]):
    """Polls `fetch` every `interval` seconds while it has viewers. Lives in one event loop."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Awaitable[T]],
        *,
        interval: float = 30.0,
        timeout: float = 30.0,
    ) -> None:
        self.name = name
        self._fetch = fetch
        self._timeout = timeout
        self._viewers: list[Viewer[T]] = []
        self._snapshot: Snapshot[T] = Snapshot(interval=interval)
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._ask_now = False

    @property
    def snapshot(self) -> Snapshot[T]:
        """The last snapshot; immutable, so any thread may hold it."""
        return self._snapshot

    def watch(self, viewer: Viewer[T]) -> Callable[[], None]:
        """Call `viewer` with every snapshot, beginning with the present one; returns how to stop."""
        self._viewers.append(viewer)
        viewer(self._snapshot)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._poll(), name=f"feed {self.name}")

        def unwatch() -> None:
            if viewer in self._viewers:
                self._viewers.remove(viewer)
            if not self._viewers:
                self._rest()

        return unwatch

    def refresh(self) -> None:
        """Ask again now, paused or not. A poll under way is followed by another: it is older."""
        self._ask_now = True
        self._wake.set()

    def pause(self, paused: bool) -> None:
        """Stop asking, or go on."""
        self._publish(paused=paused)
        self._wake.set()

    def set_interval(self, seconds: float) -> None:
        """Ask every `seconds` seconds from now on."""
        self._publish(interval=seconds)
        self._wake.set()

    async def once(self) -> T:
        """Ask once, viewers or none, and return the value. Raises what the source raised."""
        await self._ask()
        snapshot = self._snapshot
        if snapshot.error is not None:
            raise snapshot.error
        assert snapshot.value is not None
        return snapshot.value

    async def close(self) -> None:
        """Stop for good."""
        self._viewers.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _rest(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._publish(asking=False)

    async def _poll(self) -> None:
        while True:
            self._ask_now = False
            await self._ask()
            asked = time.monotonic()
            while not self._ask_now:
                delay = self._delay()
                try:
                    async with asyncio.timeout(None if delay is None else asked + delay - time.monotonic()):
                        await self._wake.wait()
                except TimeoutError:
                    break
                self._wake.clear()  # something changed: a refresh, the pace, paused or not

    def _delay(self) -> float | None:
        """Seconds between the end of a poll and the next; None while paused."""
        snapshot = self._snapshot
        if snapshot.paused:
            return None
        if snapshot.failures:
            # a quick second try, then slower up to the cap, but never slower than was asked for
            return min(max(snapshot.interval, 1.0), 2.0 ** min(snapshot.failures, 6), BACK_OFF_CAP)
        return snapshot.interval

    async def _ask(self) -> None:
        self._publish(asking=True)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                value = await self._fetch()
        except TimeoutError:
            self._failed(LinkError(Fault.TIMEOUT, f"no answer within {self._timeout:g} s", where=self.name))
        except OpsError as error:
            self._failed(error)
        except asyncio.CancelledError:
            if _cancelling():
                raise
            # what it waited for was given up elsewhere (a link closed): no reason to look no more
            self._failed(LinkError(Fault.CLOSED, "given up before it was answered", where=self.name))
        except Exception as error:  # a defect must not silence the feed; it is shown like any failure
            self._failed(OpsError(f"defect: {type(error).__name__}: {error}", where=self.name))
        else:
            now = time.monotonic()
            self._publish(
                value=value,
                taken=now,
                at=utc_now(),
                error=None,
                failures=0,
                asking=False,
                took_ms=(now - began) * 1000,
            )

    def _failed(self, error: OpsError) -> None:
        self._publish(error=error, failures=self._snapshot.failures + 1, asking=False)

    def _publish(self, **changes: object) -> None:
        self._snapshot = replace(self._snapshot, **changes)  # type: ignore[arg-type]
        for viewer in tuple(self._viewers):
            viewer(self._snapshot)


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
