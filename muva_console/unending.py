"""An application that a defect does not end.

Textual ends the whole application when a handler, a timer or the drawing of a widget raises, and the queue
of the widget it happened in is read no more. For a console that an engineer leans on in trouble that is the
worst of answers: here the defect is told, and everything goes on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.dom import DOMNode
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

TOLD_AGAIN = 30.0
"""Seconds in which the same defect is told once: one in the drawing happens with every frame."""
_FORGET = 200


class UnendingApp(App[None]):
    """Survives defects once `awake`; before that there is nothing yet that could go on."""

    awake = False

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str, int], float] = {}

    def defect(self, what: str, error: BaseException) -> None:
        """Tell a failure."""
        raise NotImplementedError

    @property
    def _survives(self) -> bool:
        # in a test without a terminal a defect must fail the test
        return self.awake and self._running and not self._exit and not self.is_headless

    def _register_child(self, parent: DOMNode, child: Widget, before: int | None, after: int | None) -> None:
        """Take in a widget or a screen, with the queue of its messages guarded (Textual calls)."""
        if child not in self._registry:
            self._guard(child)
        super()._register_child(parent, child, before, after)

    def _start_widget(self, parent: Widget, widget: Widget) -> None:
        """The same for a scroll bar, which Textual starts in another way."""
        self._guard(widget)
        super()._start_widget(parent, widget)

    def _guard(self, pump: MessagePump) -> None:
        dispatch = pump._dispatch_message

        async def guarded(message: Message) -> None:
            await self._survive(pump, dispatch, message)

        pump._dispatch_message = guarded  # type: ignore[method-assign]

    async def _dispatch_message(self, message: Message) -> None:
        await self._survive(self, super()._dispatch_message, message)

    async def _survive(
        self, pump: MessagePump, dispatch: Callable[[Message], Awaitable[None]], message: Message
    ) -> None:
        try:
            await dispatch(message)
        except Exception as error:
            if not self._survives:
                raise
            self.tell_defect(f"{type(message).__name__} in {type(pump).__name__}", error)

    def _handle_exception(self, error: Exception) -> None:
        """What no queue of messages guards: timers, callbacks, layout and drawing (Textual calls)."""
        if self._survives:
            self.tell_defect("drawing, or a timer", error)
        else:
            super()._handle_exception(error)

    def tell_defect(self, what: str, error: Exception) -> None:
        """Tell a defect, unless the same was told a moment ago."""
        now = time.monotonic()
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ("", 0)
        key = (type(error).__name__, *place)
        if now - self._told.get(key, now - TOLD_AGAIN) < TOLD_AGAIN:
            return
        if len(self._told) > _FORGET:
            self._told.clear()
        self._told[key] = now
        try:
            self.defect(what, error)
        except Exception as another:  # it cannot even be told: the screens may yet come to rights
            self.log.error(f"{what}: {type(error).__name__}, and telling it: {type(another).__name__}")
