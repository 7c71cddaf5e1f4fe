"""The log view with its line of status below and its filter to type in."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.logs.buffer import LogBuffer, LogState
from muva_console.ops.readings import Level
from muva_console.widgets.fit import Part, fit
from muva_console.widgets.format import plural
from muva_console.widgets.level import STYLE, muted, strong
from muva_console.widgets.log_view import LogStatus, LogView

TYPING = 0.15
"""Seconds after the last key in which the filter waits for another."""


class LogStatusLine(Widget):
    """One line: whether the end is followed, what passes the filter, how the lines come in."""

    DEFAULT_CSS = """
    LogStatusLine { height: 1; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._status = LogStatus()
        self._said: Content | None = None

    def tell(self, status: LogStatus) -> None:
        """Show this from now on."""
        self._status = status
        said = self._line(self.size.width)
        if self._said is None or said.markup != self._said.markup:
            self.refresh()

    def render(self) -> RenderResult:
        """The line."""
        self._said = self._line(self.size.width)
        return self._said

    def _line(self, width: int) -> Content:
        status = self._status
        return fit(
            [Part(_place(status), 9), *_notes(status)],
            [*_sources(status.sources), *_counts(status)],
            width,
            gap="  ",
        )


def _place(status: LogStatus) -> Content:
    if status.paused:
        told = f"⏸ paused · {plural(status.pending, 'new line')} · p goes on"
        return Content.styled(told, STYLE[Level.WARN])
    if not status.following:
        if not status.pending:
            return muted("reading · end follows again")
        return strong(f"▼ {plural(status.pending, 'new line')} · end follows again")
    if status.sources and not any(state.live for state in status.sources):
        return muted("◌ not live")
    return muted("● following")


def _notes(status: LogStatus) -> list[Part]:
    parts = []
    if status.problem:
        parts.append(Part(Content.styled(f"▲ {status.problem}", STYLE[Level.WARN]), 10))
    if status.hint:
        parts.append(Part(muted(status.hint), 7))
    if status.selected:
        parts.append(Part(strong(f"{plural(status.selected, 'line')} selected · y copies"), 6))
    if status.wrap:
        parts.append(Part(muted("wrapped"), 1))
    if status.left:
        parts.append(Part(muted(f"→ {status.left}"), 1))
    return parts


def _sources(states: tuple[LogState, ...]) -> list[Part]:
    parts = []
    for state in states:
        if not state.live:
            word = f"⌛ {state.host}: {state.detail}"
            long = Content.styled(f"{word}{f', {state.error}' if state.error else ''}", STYLE[Level.WARN])
            parts.append(Part(long, 5, Content.styled(word, STYLE[Level.WARN])))
    if not parts:
        ways = sorted({state.detail for state in states})
        parts = [Part(muted(", ".join(ways)), 2)] if ways else []
    return parts


def _counts(status: LogStatus) -> list[Part]:
    parts = []
    if status.searching:
        parts.append(Part(muted(f"◐ {status.searching:,} to search"), 3))
    if status.filter:
        parts.append(Part(Content(f"{status.shown:,} of {status.total:,}"), 4))
    else:
        parts.append(Part(muted(plural(status.total, "line")), 3))
    if status.errors:
        parts.append(Part(Content.styled(f"✖ {plural(status.errors, 'error line')}", STYLE[Level.FAIL]), 4))
    return parts


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
