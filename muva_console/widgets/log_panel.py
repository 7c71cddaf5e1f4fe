"""The log view with its line of status below and its filter to type in."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input

from muva_console.ops.logs.buffer import LogBuffer
from muva_console.widgets.log_status import LogStatusLine
from muva_console.widgets.log_view import LogView

TYPING = 0.15
"""Seconds after the last key in which the filter waits for another."""


class LogPanel(Vertical):
    """A log view, its status line, and the filter, which `/` opens. Messages of the view bubble."""

    HELP = "`/` types a filter, `enter` returns to the lines and keeps it, `escape` drops it."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="logs.filter", tooltip="Show only lines that pass"),
    ]
    DEFAULT_CSS = """
    LogPanel { height: 1fr; }
    LogPanel > Input { height: 1; border: none; padding: 0; display: none; }
    LogPanel > Input:focus { border: none; }
    LogPanel.-filtering > Input { display: block; }
    """

    def __init__(
        self, buffer: LogBuffer | None = None, *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.view = LogView(buffer)
        """The view, for `show` and `set_filter`."""
        self._line = LogStatusLine()
        self._typing: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lines, status, filter."""
        yield self.view
        yield self._line
        yield Input(placeholder="text  !text  /expression/  level:warn  process:name", compact=True)

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one(Input)
        field.value = self.view.status.filter
        self.add_class("-filtering")
        field.focus()

    @on(LogView.StatusChanged)
    def _told(self, event: LogView.StatusChanged) -> None:
        event.stop()
        self._line.tell(event.status)
        if not event.status.filter and not event.status.problem and not self.query_one(Input).has_focus:
            self.remove_class("-filtering")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(TYPING, self._apply)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._apply():
            self.view.focus()

    def _apply(self) -> str:
        if self._typing is not None:
            self._typing.stop()
            self._typing = None
        return self.view.set_filter(self.query_one(Input).value)

    def on_key(self, event: events.Key) -> None:
        """`escape` in the filter drops it."""
        field = self.query_one(Input)
        if event.key == "escape" and field.has_focus:
            event.stop()
            event.prevent_default()
            field.value = ""
            self._apply()
            self.remove_class("-filtering")
            self.view.focus()
