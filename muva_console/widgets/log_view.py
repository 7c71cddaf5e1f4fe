"""The log view: the lines of a buffer (see log_lines) under the hands of a reader."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from muva_console.widgets.log_lines import COPY_LINES, LogLines
from muva_console.widgets.log_status import LogStatus
from muva_console.widgets.log_style import plain

__all__ = ["LogStatus", "LogView"]

_LEVELS = ("", "level:warn", "level:error")


class LogView(LogLines, can_focus=True):
    """Shows a LogBuffer. Make it with the buffer, or call `show` later."""

    HELP = (
        "The log. It follows the end until you scroll up; then nothing moves, and the count of new lines "
        "is shown. `end` follows again, `p` pauses.\n\n"
        "`/` filters: `text`, `!text`, `/expression/`, `level:warn`, `process:name`, `host:name`, "
        "`stream:err`; small letters match any case. `l` goes through all levels, warnings, errors.\n\n"
        "`[` and `]` go to the error before and after. `v` selects lines, `y` copies them (or what is in "
        "sight), `Y` copies and `ctrl+s` saves all that pass the filter. `w` wraps long lines, `t` changes "
        "the time column, `c` hides the process.\n\n"
        "Times are UTC; `~` marks an estimate, dashes a line whose time nobody knows."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "line(-1)", "Up", show=False, id="logs.up", tooltip="One line up"),
        Binding("down,j", "line(1)", "Down", show=False, id="logs.down", tooltip="One line down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="logs.page_up", tooltip="One page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="logs.page_down", tooltip="One page down"),
        Binding("left", "shift(-8)", "Left", show=False, id="logs.left", tooltip="Scroll to the left"),
        Binding("right", "shift(8)", "Right", show=False, id="logs.right", tooltip="Scroll to the right"),
        Binding("home,g", "top", "Oldest", show=False, id="logs.top", tooltip="The oldest line"),
        Binding("end,G", "follow", "follow", id="logs.follow", tooltip="Go to the end and follow it"),
        Binding("p", "pause", "pause", id="logs.pause", tooltip="Stay here whatever comes, or go on"),
        Binding("[", "error(-1)", "error before", id="logs.error_before", tooltip="The error before"),
        Binding("]", "error(1)", "error after", id="logs.error_after", tooltip="The error after"),
        Binding("l", "level", "level", id="logs.level", tooltip="All levels, warnings and worse, errors"),
        Binding("w", "wrap", "wrap", id="logs.wrap", tooltip="Wrap long lines or cut them"),
        Binding("t", "time", "time", show=False, id="logs.time", tooltip="Time, date and time, neither"),
        Binding("c", "process", "process", show=False, id="logs.process", tooltip="Show the process or not"),
        Binding("v", "select", "select", show=False, id="logs.select", tooltip="Select lines from here on"),
        Binding(
            "shift+up",
            "extend(-1)",
            "Select up",
            show=False,
            id="logs.extend_up",
            tooltip="Select the line above too",
        ),
        Binding(
            "shift+down",
            "extend(1)",
            "Select down",
            show=False,
            id="logs.extend_down",
            tooltip="Select the line below too",
        ),
        Binding("y", "copy", "copy", id="logs.copy", tooltip="Copy the selected lines, or those in sight"),
        Binding("Y", "copy_all", "Copy all", show=False, id="logs.copy_all", tooltip="Copy all that pass"),
        Binding("ctrl+s", "save", "save", show=False, id="logs.save", tooltip="Save all that pass to a file"),
        Binding("escape", "release", "Release", show=False, id="logs.release", tooltip="Drop the selection"),
    ]

    @dataclass
    class CopyRequested(Message):
        """These lines are to be copied."""

        text: str
        lines: int

    @dataclass
    class SaveRequested(Message):
        """These lines are to be saved to a file."""

        text: str
        lines: int

    _cursor: int | None = None
    _selected_from: int | None = None

    def text_of(self, *, everything: bool) -> tuple[str, int]:
        """The selected lines, or those in sight, or everything that passes the filter; and how many."""
        index = self._index
        if everything:
            start, stop = max(0, len(index) - COPY_LINES), len(index)
        elif self._cursor is not None:
            first, last = self._selection()
            start, stop = index.position(first), index.position(last + 1)
        else:
            top, end = self.scroll_offset.y, self.scroll_offset.y + self.in_sight.height
            first_row, last_row = self._rows.at(top), self._rows.at(min(end, self._rows.total) - 1)
            if first_row is None or last_row is None:
                return "", 0
            start, stop = index.position(first_row[0]), index.position(last_row[0] + 1)
        lines = [plain(line, self._columns) for line in index.lines(start, stop)]
        return "\n".join(lines), len(lines)

    def action_top(self) -> None:
        """Go to the oldest line."""
        self._leave()
        self.scroll_to(y=0, animate=False, force=True, immediate=True)
        self._moved()

    def action_line(self, step: int) -> None:
        """A line up or down; with a cursor, the cursor."""
        if self._cursor is not None:
            self._selected_from = None
            self._step(step)
        else:
            self._scroll_by(step)

    def action_page(self, step: int) -> None:
        """A page up or down; with a cursor, the cursor."""
        rows = max(1, self.in_sight.height - 1)
        if self._cursor is not None:
            self._selected_from = None
            self._step(step * rows)
        else:
            self._scroll_by(step * rows)

    def action_shift(self, cells: int) -> None:
        """Scroll to the side."""
        if self._wrap:
            self._say("lines are wrapped: nothing stands beside")
            return
        self._widest = max(self._widest, self._widest_in_sight())
        size = Size(self._widest + self._columns.width, self.virtual_size.height)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)
        self.scroll_to(x=max(0, self.scroll_x + cells), animate=False, force=True, immediate=True)
        self.refresh()
        self._tell()

    def _scroll_by(self, rows: int) -> None:
        if rows > 0 and self._following:
            return
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, force=True, immediate=True)
        if rows > 0:
            self._moved()

    # --- a cursor, a selection

    def _selection(self) -> tuple[int, int]:
        assert self._cursor is not None
        other = self._cursor if self._selected_from is None else self._selected_from
        return min(self._cursor, other), max(self._cursor, other)

    def _point(self, seq: int) -> None:
        """Put the cursor on a line and bring it in sight."""
        self._leave()
        self._cursor = seq
        self._hint = ""
        row, height = self._rows.row_of(seq), self.in_sight.height
        if not self.scroll_offset.y <= row < self.scroll_offset.y + height:
            near = abs(row - self.scroll_offset.y) <= 2 * height
            above = row < self.scroll_offset.y
            wanted = (row if above else row - height + 1) if near else row - height // 3
            self.scroll_to(y=max(0, wanted), animate=False, force=True, immediate=True)
        self.refresh()
        self._tell()

    def _step(self, lines: int) -> None:
        if not len(self._index):
            return
        at = self._cursor
        if at is None:
            last = self._rows.at(min(self.scroll_offset.y + self.in_sight.height, self._rows.total) - 1)
            if last is not None:
                self._point(last[0])
            return
        position = self._index.position(at) + lines
        self._point(self._index.line(max(0, min(len(self._index) - 1, position))).seq)

    def action_select(self) -> None:
        """Put the cursor on the last line in sight, or begin or end a selection at the cursor."""
        if self._cursor is None:
            self._step(0)
            return
        self._selected_from = self._cursor if self._selected_from is None else None
        self.refresh()
        self._tell()

    def action_extend(self, step: int) -> None:
        """Select on, upwards or downwards."""
        if self._cursor is None:
            self._step(0)
        if self._cursor is not None:
            if self._selected_from is None:
                self._selected_from = self._cursor
            self._step(step)

    def action_release(self) -> None:
        """Drop the selection, then the cursor, then the filter; beyond that the key is the screen's."""
        if self._selected_from is not None:
            self._selected_from = None
        elif self._cursor is not None:
            self._cursor = None
        elif self._index.filter or self._problem:
            self.set_filter("")
            return
        self.refresh()
        self._tell()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`escape` is ours only while there is something to drop."""
        if action == "release":
            return self._cursor is not None or bool(self._index.filter) or bool(self._problem)
        return super().check_action(action, parameters)

    def action_error(self, step: int) -> None:
        """Go to the error before or after the cursor, or what is in sight."""
        start = self._cursor
        if start is None:
            end = min(self.scroll_offset.y + self.in_sight.height, self._rows.total)
            found = self._rows.at(self.scroll_offset.y if step > 0 else end - 1)
            start = -1 if found is None else found[0] + (1 if step < 0 else -1)
        seq = self._index.find_level(max(0, start), step)
        if seq is None:
            self._say(f"no error {'after' if step > 0 else 'before'} this")
            return
        self._selected_from = None
        self._point(seq)

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a line."""
        if self.text_selection is None and (found := self._rows.at(self.scroll_offset.y + event.y)):
            self._selected_from = None
            self._point(found[0])

    def _mark(self, seq: int) -> str:
        if self._cursor is None:
            return " "
        first, last = self._selection()
        return "▶" if seq == self._cursor else "┃" if first <= seq <= last else " "

    def _selected(self) -> int:
        if self._cursor is None or self._selected_from is None:
            return 0
        first, last = self._selection()
        return self._index.position(last + 1) - self._index.position(first)

    def _held(self) -> bool:
        return self._cursor is not None

    def _released(self) -> None:
        self._cursor = self._selected_from = None

    # --- columns, wrapping, levels

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self._wrap = not self._wrap
        if self._wrap:
            self.scroll_to(x=0, animate=False, force=True, immediate=True)
        self._relayout(self._columns)
        self._look_again()

    def action_time(self) -> None:
        """Time of day, date and time, neither."""
        order = ("time", "full", "off")
        self._relayout(replace(self._columns, time=order[(order.index(self._columns.time) + 1) % 3]))

    def action_process(self) -> None:
        """Show the process's name, or don't."""
        self._show_process = not self._columns.process
        self._fit_columns()

    def action_level(self) -> None:
        """All levels, warnings and worse, errors only."""
        typed = self._index.filter.source
        words = [word for word in typed.split() if not word.startswith(("level:", "!level:"))]
        now = next((word for word in typed.split() if word in _LEVELS), "")
        wanted = _LEVELS[(_LEVELS.index(now) + 1) % len(_LEVELS)]
        rest = typed if len(words) == len(typed.split()) else " ".join(words)
        self.set_filter(f"{wanted} {rest}".strip())

    # --- copying, saving

    def action_copy(self) -> None:
        """Copy the selected lines, or those in sight."""
        text, lines = self.text_of(everything=False)
        if lines:
            self.post_message(self.CopyRequested(text, lines))

    def action_copy_all(self) -> None:
        """Copy all lines that pass the filter."""
        text, lines = self.text_of(everything=True)
        if lines:
            self.post_message(self.CopyRequested(text, lines))

    def action_save(self) -> None:
        """Save all lines that pass the filter."""
        text, lines = self.text_of(everything=True)
        if lines:
            self.post_message(self.SaveRequested(text, lines))
