"""The thread in which everything that is not the screen happens.

A terminal that stalls (a laptop lid, a dying SSH session) blocks the event loop that draws on it: with
Textual 8.2 a task of the same loop did not run for seconds. PM2's bus must be drained and an act
must be seen through to its record all the same, so `ops/` runs in an event loop and a thread of its
own; the screens send it work and get snapshots back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from muva_console.ops.feed import Feed, Snapshot

T = TypeVar("T")

STOP_TIMEOUT = 12.0
"""Seconds that `closing` may take when the console ends; it has smaller bounds of its own."""


class Engine:
    """Owns the ops loop. Start before the screens, stop after them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The ops loop. Raises RuntimeError before `start`."""
        if self._loop is None:
            raise RuntimeError("the engine is not running")
        return self._loop

    def start(self) -> None:
        """Start the thread; returns when its loop runs."""
        started = threading.Event()

        def main() -> None:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            self._loop = loop
            loop.call_soon(started.set)
            try:
                loop.run_forever()
            finally:
                pending = asyncio.all_tasks(loop)
                for task in pending:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()

        self._thread = threading.Thread(target=main, name="ops", daemon=True)
        self._thread.start()
        started.wait()

    def stop(self, closing: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run `closing` in the ops loop (bounded), then end the thread. Idempotent."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        if closing is not None:
            future = asyncio.run_coroutine_threadsafe(_as_coroutine(closing), loop)
            try:
                future.result(STOP_TIMEOUT)
            except Exception:
                future.cancel()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(STOP_TIMEOUT)
        self._thread = None

    async def call(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run what `make` returns in the ops loop and await it here. Cancelling here cancels there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_as_coroutine(make), self.loop))

    def post(self, function: Callable[[], object]) -> None:
        """Run a plain function in the ops loop; nothing is awaited."""
        self.loop.call_soon_threadsafe(function)

    def watch(self, feed: Feed[T], viewer: Callable[[Snapshot[T]], None]) -> Callable[[], None]:
        """Deliver a feed's snapshots to `viewer` in the calling loop, the newest only; returns how to stop.

        However fast the feed publishes, one delivery at most is queued: a stalled screen holds one
        snapshot, not a thousand.
        """
        return _Watch(self, feed, viewer, asyncio.get_running_loop()).stop

    async def iterate(self, make: Callable[[], AsyncIterator[T]]) -> AsyncGenerator[T, None]:
        """Iterate, from the calling loop, over work that runs in the ops loop and goes on at its own pace.

        Leaving the iteration does not end the work: an act must not be half done because nobody looks any
        more. Items wait in an unbounded queue, for the events of an act are few.
        """
        queue, _ = self._pump(make)
        async for item in _drained(queue):
            yield item

    async def stream(self, make: Callable[[], AsyncIterator[T]]) -> AsyncGenerator[T, None]:
        """As `iterate`, for what somebody only looks at: leaving the iteration ends what is iterated."""
        queue, pump = self._pump(make)
        try:
            async for item in _drained(queue):
                yield item
        finally:
            pump.cancel()

    def _pump(
        self, make: Callable[[], AsyncIterator[T]]
    ) -> tuple[asyncio.Queue[tuple[bool, Any]], concurrent.futures.Future[None]]:
        here = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue()

        async def pump() -> None:
            items = make()
            try:
                async for item in items:
                    here.call_soon_threadsafe(queue.put_nowait, (True, item))
                ended: BaseException | None = None
            except asyncio.CancelledError:
                if isinstance(items, AsyncGenerator):
                    await items.aclose()
                raise
            except BaseException as error:  # handed to the one who iterates
                ended = error
            try:
                here.call_soon_threadsafe(queue.put_nowait, (False, ended))
            except RuntimeError:
                return  # the screen's loop is gone; the work is done and recorded

        return queue, asyncio.run_coroutine_threadsafe(pump(), self.loop)


async def _drained(queue: asyncio.Queue[tuple[bool, Any]]) -> AsyncIterator[Any]:
    while True:
        more, item = await queue.get()
        if more:
            yield item
        elif item is not None:
            raise item
        else:
            return


class _Watch(Generic[T]):
    def __init__(
        self,
        engine: Engine,
        feed: Feed[T],
        viewer: Callable[[Snapshot[T]], None],
        here: asyncio.AbstractEventLoop,
    ) -> None:
        self._engine, self._viewer, self._here = engine, viewer, here
        self._newest: Snapshot[T] | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._unwatch: Callable[[], None] | None = None
        engine.post(lambda: self._begin(feed))

    def _begin(self, feed: Feed[T]) -> None:  # in the ops loop
        if not self._stopped:
            self._unwatch = feed.watch(self._arrived)

    def _arrived(self, snapshot: Snapshot[T]) -> None:  # in the ops loop
        with self._lock:
            queued = self._newest is not None
            self._newest = snapshot
        if not queued:
            try:
                self._here.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the screen's loop is closed
                self._end()

    def _deliver(self) -> None:  # in the screen's loop
        with self._lock:
            snapshot, self._newest = self._newest, None
        if snapshot is not None and not self._stopped:
            self._viewer(snapshot)

    def stop(self) -> None:
        """Stop delivering."""
        self._stopped = True
        try:
            self._engine.post(self._end)
        except RuntimeError:
            return

    def _end(self) -> None:  # in the ops loop
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None


async def _as_coroutine(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
