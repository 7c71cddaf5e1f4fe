"""One thread for one SQLite connection: no disk ever blocks the event loop, every call has a time-out.

A daemon thread of our own rather than an executor: an executor is joined at exit, and a thread that
hangs in the disk would keep the console from ending.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ClosedError(RuntimeError):
    """The thread was stopped; it takes no more work."""


class Job(Generic[T]):
    """One piece of work. The work itself may look at `abandoned` before it commits."""

    def __init__(self, work: Callable[[Job[T]], T]) -> None:
        self.work = work
        self.abandoned = False
        """Nobody waits for the outcome any more: do not begin, do not commit."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[T] | None = None


class DatabaseThread:
    """Runs jobs one after the other. Safe to use from several event loops and threads."""

    def __init__(self, name: str, connection: Callable[[], sqlite3.Connection | None] = lambda: None) -> None:
        """`connection` tells the one in use now, so that a time-out can interrupt its statement."""
        self._name, self._connection = name, connection
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._current: Job[Any] | None = None
        self._stopped = False

    async def run(self, work: Callable[[Job[T]], T], *, timeout: float) -> T:
        """Run `work` on the thread and await it.

        Raises what it raised, or TimeoutError after `timeout` seconds; then, and when the awaiting task
        is cancelled, work that has not begun never will, and a statement under way is interrupted.
        """
        job = Job(work)
        job.loop = asyncio.get_running_loop()
        job.future = job.loop.create_future()
        self._put(job)
        try:
            async with asyncio.timeout(timeout):
                return await job.future
        finally:
            # an outcome that is there was handed over; in every other case nobody waits any more
            if not job.future.done() or job.future.cancelled():
                self._abandon(job)

    def post(self, work: Callable[[Job[None]], None]) -> None:
        """Run `work` on the thread after all that waits there. Nobody awaits it: it tells its own errors."""
        self._put(Job(work))

    async def stop(self, closing: Callable[[Job[None]], None], *, timeout: float) -> None:
        """Run `closing` after the jobs that wait, then end the thread. Raises TimeoutError; final."""
        with self._lock:
            if self._stopped or self._thread is None:
                self._stopped = True
                return
        try:
            await self.run(closing, timeout=timeout)
        finally:
            with self._lock:
                self._stopped = True
                self._jobs.put(None)

    def _put(self, job: Job[Any]) -> None:
        with self._lock:
            if self._stopped:
                raise ClosedError(f"{self._name} was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def _abandon(self, job: Job[Any]) -> None:
        with self._lock:
            job.abandoned = True
            connection = self._connection() if self._current is job else None
            if connection is not None:
                with suppress(sqlite3.ProgrammingError):  # closed at this very moment
                    connection.interrupt()  # the one call that may come from another thread

    def _main(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                if job.abandoned:
                    continue
                self._current = job
            outcome: Any = None
            error: BaseException | None = None
            try:
                outcome = job.work(job)
            except BaseException as caught:  # handed to the one who waits, never lost in the thread
                error = caught
            with self._lock:
                self._current = None
            if job.loop is not None and job.future is not None:
                try:
                    job.loop.call_soon_threadsafe(_settle, job.future, outcome, error)
                except RuntimeError:  # that event loop is closed: nobody waits
                    continue


def _settle(future: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)
