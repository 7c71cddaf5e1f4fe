"""An act under way as the screens know it: its events, looked at or not, until its end and a while after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Event, EventKind, Operation, Plan
from muva_console.ops.performer import Confirmation

if TYPE_CHECKING:
    from muva_console.app import MuvaApp

KEPT = 20
"""Acts of this console that can be looked at again. Ours."""


class Deed:
    """One act. It goes on whether or not a dialog shows it; `app.deeds` has it for those who come back."""

    def __init__(self, operation: Operation, plan: Plan, confirmation: Confirmation) -> None:
        self.plan = plan
        self._operation, self._confirmation = operation, confirmation
        self.events: list[Event] = []
        self.refused: OpsError | None = None
        self.watchers: list[Callable[[], None]] = []
        """Called, in the screens' loop, when something happened."""
        self.begun = False
        self._began = time.monotonic()
        self._ended: float | None = None
        self._over = asyncio.Event()

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self._ended is None

    @property
    def took(self) -> float:
        """Seconds since it began, or until it ended."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def done(self) -> Event | None:
        """The event that ended it when it was done; None while it is under way, and when it failed."""
        last = self.events[-1] if self.events else None
        return last if last is not None and last.kind is EventKind.DONE else None

    async def outcome(self) -> Event | None:
        """Wait for the end, in sight or not; `done`."""
        await self._over.wait()
        return self.done

    def begin(self, app: MuvaApp) -> None:
        """Begin it, beside whatever is looked at."""
        self.begun, self._began = True, time.monotonic()
        app.deeds.append(self)
        ended = [deed for deed in app.deeds if not deed.under_way]
        for old in ended[: max(0, len(ended) - KEPT)]:
            app.deeds.remove(old)
        app.work_on(self.plan.title, lambda: self._perform(app), group="acts")

    async def _perform(self, app: MuvaApp) -> None:
        performer = app.workspace.performer
        try:
            async for event in app.engine.iterate(
                lambda: performer.perform(self._operation, self.plan, self._confirmation)
            ):
                self.events.append(event)
                self._tell()
        except OpsError as error:
            self.refused = error
        finally:
            self._ended = time.monotonic()
            self._over.set()
            seen = bool(self.watchers)
            app.acted()
            self._tell()
            if not seen:
                self._tell_outcome(app)

    def _tell(self) -> None:
        for watcher in tuple(self.watchers):
            watcher()

    def _tell_outcome(self, app: MuvaApp) -> None:
        last = self.events[-1] if self.events else None
        text = last.text if last is not None else str(self.refused or "ended without a word")
        good = self.done is not None
        app.tell(text, title=self.plan.title, severity="information" if good else "error", timeout=12)
