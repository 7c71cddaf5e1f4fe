"""A piece of work that tells what happens, as the stream of events that an operation performs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Event, EventKind
from muva_console.ops.readings import utc_now

Tell = Callable[[EventKind, str], None]
"""Takes what happens, as it happens."""


async def narrated(work: Callable[[Tell], Awaitable[str]], name: str) -> AsyncIterator[Event]:
    """The events of `work`, which returns what to say when it is DONE; an OpsError of it is the FAILED one.

    Leaving early cancels the work and waits for its clean-up.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()

    def tell(kind: EventKind, text: str) -> None:
        events.put_nowait(Event(kind=kind, text=text, at=utc_now()))

    async def run() -> None:
        try:
            tell(EventKind.DONE, await work(tell))
        except OpsError as error:
            tell(EventKind.FAILED, spoken(error))
        finally:
            events.put_nowait(None)

    task = asyncio.create_task(run(), name=name)
    try:
        while (event := await events.get()) is not None:
            yield event
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def spoken(error: OpsError) -> str:
    """An error as one line: what, what it means, what next."""
    return " ".join(f"{line.rstrip('.')}." for line in error.lines())
