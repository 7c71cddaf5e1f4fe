"""A run in hand: its walk lives in the ops loop, its newest view is here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError
from muva_console.ops.runbooks.run import Word
from muva_console.ops.runbooks.standing import ItemView, RunView, State

if TYPE_CHECKING:
    from textual.worker import Worker

    from muva_console.app import MuvaApp
    from muva_console.ops.walking.walk import Walk
    from muva_console.ops.workspace import Workspace


class Hand:
    """One run and its walk. It goes on while other modes are looked at: a build is not begun twice."""

    def __init__(self, app: MuvaApp, environment: str, title: str, changed: Callable[[Hand], None]) -> None:
        """Nothing is opened yet; `changed` is called in the screen's loop when there is something new."""
        self._app, self._changed = app, changed
        self.environment, self.title = environment, title
        self.workspace: Workspace = app.workspace
        self.walk: Walk | None = None
        self.view: RunView | None = None
        self.error: OpsError | None = None
        self.messages: dict[str, str] = {}
        """What operations would send, by item, as far as it was asked."""
        self.written: list[str] = []
        """The paths of the documents written last."""
        self._asking: dict[str, float] = {}
        self._worker: Worker[None] | None = None
        self._drawing = False

    def open(self, make: Callable[[], Awaitable[Walk]]) -> None:
        """Open the walk that `make` returns (called in the ops loop) and follow it."""
        self._worker = self._app.work_on(f"walking {self.title}", lambda: self._live(make), group="walks")

    async def _live(self, make: Callable[[], Awaitable[Walk]]) -> None:
        workspace = self.workspace

        async def opened() -> Walk:
            walk = await make()
            workspace.at_end(walk.close)
            walk.start()
            return walk

        try:
            walk = self.walk = await self._app.ask_ops(opened)
        except OpsError as error:
            self.error = error
            self._changed(self)
            return
        async for view in self._app.engine.stream(walk.views):
            self.take(view)

    def take(self, view: RunView) -> None:
        """A newer view. Several that come at once, after a terminal that stalled, are drawn once."""
        self.view = view
        now = self._app.monotonic()
        asking = [item.id for item in view.items if item.state is State.ASKING]
        self._asking = {name: self._asking.get(name, now) for name in asking}
        if not self._drawing:
            self._drawing = True
            self._app.call_later(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        self._changed(self)

    def asking_for(self) -> dict[str, float]:
        """How long (seconds) each item is being asked that is."""
        now = self._app.monotonic()
        return {name: now - since for name, since in self._asking.items()}

    def close(self) -> None:
        """Follow it no more; the run stays in the journal as it is."""
        if self._worker is not None:
            self._worker.cancel()
        walk = self.walk
        if walk is not None:
            self._app.work_on("leaving the run", lambda: self._app.ask_ops(walk.close), group="walks.close")

    # --- asking the walk

    def sense(self, *ids: str) -> None:
        """Sense these items anew, or all when none is named; what was remembered is asked too."""
        walk, view = self.walk, self.view
        if walk is not None and view is not None:
            chosen = ids or tuple(
                item.id for item in view.items if item.step.sensed and item.state is not State.WAITING
            )
            self._app.engine.post(lambda: walk.sense(chosen, again=True))
            self._app.engine.post(walk.look_again)

    def acted(self, id: str) -> None:
        """Sense an item again after its act."""
        walk = self.walk
        if walk is not None:
            self._app.engine.post(lambda: walk.acted(id))

    def look_again(self) -> None:
        """Look now whether another commit goes out."""
        walk = self.walk
        if walk is not None:
            self._app.engine.post(walk.look_again)

    async def answer(self, item: ItemView, word: Word, *, note: str = "", to: str = "") -> None:
        """Say something of an item as it was seen. Raises OvertakenError, JournalError, OpsError."""
        walk = self.opened
        await self._app.ask_ops(lambda: walk.answer(item.id, word, note=note, to=to, seen=item.said))

    async def end(self) -> None:
        """End the run. Raises OpsError, JournalError."""
        walk = self.opened
        await self._app.ask_ops(walk.end)

    async def message(self, item: ItemView) -> str:
        """What an operation's item would send. Raises OpsError."""
        walk = self.opened
        text = await self._app.ask_ops(lambda: walk.text_of(item.id))
        self.messages[item.id] = text
        return text

    @property
    def opened(self) -> Walk:
        """The walk. Raises OpsError while it is being opened."""
        if self.walk is None:
            raise OpsError("the run is being opened", next="wait a moment")
        return self.walk
