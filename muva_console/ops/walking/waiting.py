"""Showing what is waited for: one item at a time, its showing ended when another is waited for, or none."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from muva_console.ops.runbooks.standing import ItemView
    from muva_console.ops.walking.leading import Face
    from muva_console.ops.walking.walk import Walk


class Waiting:
    """Used as ``async with``; nothing is shown any more on leaving."""

    def __init__(self, face: Face, walk: Walk) -> None:
        self._face, self._walk = face, walk
        self._item = ""
        self._task: asyncio.Task[None] | None = None

    def on(self, item: ItemView | None) -> None:
        """An item is waited for now; None for none."""
        name = item.id if item is not None else ""
        if name == self._item:
            return
        self._item = name
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if item is not None:
            self._task = asyncio.create_task(self._face.waits(item, self._walk), name=f"waiting for {name}")
            self._task.add_done_callback(_heard)

    async def __aenter__(self) -> Self:
        """Nothing is waited for yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what is shown, and wait for that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _heard(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # what could not be shown does not end what is done
