"""What is told below a log: whether its end is followed, what passes the filter, how its lines come in."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.logs.buffer import LogState
from muva_console.ops.readings import Level
from muva_console.widgets.fit import Part, fit
from muva_console.widgets.format import plural
from muva_console.widgets.level import STYLE, muted, strong


@dataclass(frozen=True, slots=True)
class LogStatus:
    """What a status line tells of a view."""

    following: bool = True
    paused: bool = False
    pending: int = 0
    """Lines that passed the filter since the reader left the end."""
    shown: int = 0
    """Lines that pass the filter."""
    total: int = 0
    """Lines in the buffer."""
    errors: int = 0
    """Lines of level error in the buffer."""
    filter: str = ""
    """The filter in force, as it was typed."""
    problem: str = ""
    """Why the filter that was typed last is not in force."""
    searching: int = 0
    """Lines that the filter has not looked at yet."""
    selected: int = 0
    """Lines selected; 0 without a selection."""
    wrap: bool = False
    left: int = 0
    """Cells of the text scrolled away on the left."""
    hint: str = ""
    """What the last key could not do."""
    sources: tuple[LogState, ...] = ()
    """How the lines of each host come in."""


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
