"""A reading that several ask for at nearly the same time is taken once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_AGE = 1.5
"""Seconds for which an answer serves those who ask next. Ours: a refresh of all feeds begins within a
moment, while two readings that a person asks for are further apart."""


class SharedReading(Generic[T]):
    """Calls `take` once for all who wait, and hands its answer to who asks within `MAX_AGE` seconds.

    Failures are shared by those who wait, and not kept. One event loop's own.
    """

    def __init__(self, take: Callable[[], Awaitable[T]], *, max_age: float = MAX_AGE) -> None:
        self._take = take
        self._max_age = max_age
        self._task: asyncio.Task[T] | None = None
        self._began = 0.0

    async def __call__(self) -> T:
        """The reading. Raises what `take` raised; being cancelled here cancels it for nobody else."""
        task = self._task
        if task is None or self._spent(task):
            task = self._task = asyncio.create_task(self._run(), name="shared reading")
            task.add_done_callback(_heard)
            self._began = time.monotonic()
        return await asyncio.shield(task)

    def forget(self) -> None:
        """What was read before now serves nobody any more: something was just changed."""
        self._task = None

    def _spent(self, task: asyncio.Task[T]) -> bool:
        if not task.done():
            return False
        return (
            task.cancelled() or task.exception() is not None or time.monotonic() - self._began > self._max_age
        )

    async def _run(self) -> T:
        return await self._take()


def _heard(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()  # those who waited were told; nobody may have waited
