"""The lines of a log buffer, as a reader wants them: the end followed, or a place kept that nothing moves.

Only the rows in sight are drawn. The view is woken by the buffer, takes up what is new at most ten times
a second, slower under a flood or on a large terminal (what is drawn again costs bytes: 56 KiB a second
at most), and not at all while it is out of sight.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from textual.cache import LRUCache
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.logs.filter import FilterError, LogFilter, parse_filter
from muva_console.ops.logs.index import LogIndex
from muva_console.ops.logs.model import LogLine
from muva_console.widgets.log_rows import LogRows
from muva_console.widgets.log_status import LogStatus
from muva_console.widgets.log_style import PROCESS_WIDTH, Columns, Painter

TICK = 0.1
"""Seconds between two looks at the buffer at least."""
FLOOD_TICK = 0.25
"""The same while a screenful or more comes between two looks: nobody reads that."""
READING_TICK = 1.0
"""The same while somebody reads further up: only the scroll bar and the count of new lines change."""
BYTES_A_SECOND = 56 * 1024
"""What drawing again may cost; the bar is 80 KiB/s for the whole terminal."""
BYTES_A_STYLE = 42
"""Bytes that a run of one style takes besides its text: 24-bit colours of text and ground, and the reset."""
NARROW = 60
"""Below this many cells the process gives way to the text."""
BUSY_TICK = 0.02
"""Seconds between two slices of a search over old lines: keys come in between."""
COPY_LINES = 100_000
"""Lines copied or saved at most at once."""


class LogLines(ScrollView, can_focus=True):
    """Shows a LogBuffer, follows its end or keeps a reader's place. LogView gives it its keys."""

    ALLOW_SELECT = True
    DEFAULT_CSS = """
    LogLines {
        overflow-x: scroll;
        overflow-y: scroll;
        scrollbar-size-horizontal: 0;
        scrollbar-size-vertical: 1;
        height: 1fr;
    }
    """

    @dataclass
    class StatusChanged(Message):
        """What the status line tells has changed."""

        view: LogLines
        status: LogStatus

        @property
        def control(self) -> LogLines:
            """The view."""
            return self.view

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, LogLines.StatusChanged) and message.view is self.view

    class _Grown(Message, bubble=False):
        """The buffer changed (posted by the writer's thread, one at a time)."""

    def __init__(
        self,
        buffer: LogBuffer | None = None,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._buffer = buffer if buffer is not None else LogBuffer()
        self._index = LogIndex(self._buffer)
        self._rows = LogRows(self._index)
        self._strips: LRUCache[tuple[int, int, str, int], Strip] = LRUCache(1024)
        self._painter: Painter | None = None
        self._columns = Columns()
        self._show_process: bool | None = None
        self._wrap = False
        self._following = True
        self._paused = False
        self._anchor = (0, 0)
        self._seen = 0
        self._problem = ""
        self._hint = ""
        self._status = LogStatus()
        self._placing = False
        self._grown = False
        self._asleep = False
        self._timer: Timer | None = None
        self._ticked = 0.0
        self._synced = 0.0
        self._widest = 0
        self._bytes = 0
        self._unlisten = self._buffer.listen(self._wake)

    # --- what others may ask and tell

    @property
    def in_sight(self) -> Size:
        """The cells that lines are drawn in: without the scroll bar."""
        return self.scrollable_content_region.size

    @property
    def buffer(self) -> LogBuffer:
        """The buffer in sight."""
        return self._buffer

    @property
    def status(self) -> LogStatus:
        """What a status line tells."""
        return self._status

    @property
    def following(self) -> bool:
        """Whether the end is followed."""
        return self._following

    @property
    def columns(self) -> Columns:
        """Which columns stand before the text."""
        return self._columns

    @property
    def top_line(self) -> int | None:
        """The number of the line at the top; None when there is none."""
        found = self._rows.at(self.scroll_offset.y)
        return None if found is None else found[0]

    @property
    def asleep(self) -> bool:
        """Whether it is out of sight and does nothing until it is drawn again."""
        return self._asleep

    @property
    def caught_up(self) -> bool:
        """Whether everything that the buffer holds has been taken up and drawn."""
        return not (self._grown or self._timer is not None or self._index.backlog)

    def show(self, buffer: LogBuffer) -> None:
        """Show another buffer, from its end; the filter stays."""
        self._unlisten()
        wanted = self._index.filter
        self._buffer = buffer
        self._index = LogIndex(buffer)
        self._index.set_filter(wanted)
        wrap = self._rows.width
        self._rows = LogRows(self._index)
        self._rows.wrap(wrap)
        self._strips.clear()
        self._unlisten = buffer.listen(self._wake)
        self.action_follow()

    def set_filter(self, text: str) -> str:
        """Show the lines that pass `text` (see ops.logs.filter); returns what is wrong with it, or "".

        A filter that cannot be used leaves the one before in force.
        """
        try:
            wanted = parse_filter(text)
        except FilterError as error:
            self._problem = str(error)
            self._tell()
            return self._problem
        self._problem = self._hint = ""
        if wanted != self._index.filter:
            self._use(wanted)
        else:
            self._tell()
        return ""

    # --- waking and looking

    def _wake(self) -> None:
        """The buffer changed; called in the writer's thread."""
        if not self._grown and self.is_running:
            self._grown = True
            self.post_message(self._Grown())

    def _on_log_lines__grown(self) -> None:
        self._grown = False
        self._schedule(self._pace())

    def _pace(self) -> float:
        cost = self._bytes / BYTES_A_SECOND
        if not self._following:
            return max(TICK, min(READING_TICK, cost))
        flood = self._buffer.next_seq - self._index.next_seq >= self.in_sight.height
        return max(cost, FLOOD_TICK if flood else TICK)

    def _schedule(self, pace: float) -> None:
        if self._timer is None and self.is_running:
            delay = max(0.001, self._ticked + pace - time.monotonic())
            self._timer = self.set_timer(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._in_sight():
            self._asleep = True  # being drawn again wakes it
            return
        self._ticked = time.monotonic()
        if self._look():
            self._timer = self.set_timer(BUSY_TICK, self._tick)

    def _in_sight(self) -> bool:
        front = self.app.screen
        # Textual counts the screen below as current even when the one above is opaque
        behind = front.styles.background.a < 1 and self.screen.is_current
        return (self.screen is front or behind) and self.is_on_screen

    def _look(self) -> bool:
        """Take up what is new and draw what changed; returns whether more is to be done."""
        before = self._index.version
        try:
            self._index.refresh()
        except FilterError as error:
            self._problem = str(error)
            self._strips.clear()
        measuring = self._rows.refresh()
        busy = measuring or self._index.backlog > 0
        if self._index.version != before or measuring:
            self._fit_columns()
            self._place()
        self._tell()
        return busy

    def _place(self) -> None:
        """Give the scroll bar its size and keep the end, or the reader's line, where it is."""
        now = time.monotonic()
        if not self._following and now - self._synced < READING_TICK and not self._index.backlog:
            self._schedule(READING_TICK)
            return
        self._synced = now
        size = Size(max(self._widest + self._columns.width, 1), self._rows.total)
        shown_before = min(self.virtual_size.height, self.scroll_offset.y + self.in_sight.height)
        self._placing = True
        try:
            if size != self.virtual_size:
                # not by assignment: that lays the whole screen out again, and our size does not depend on it
                self.set_reactive(Widget.virtual_size, size)
                self._scroll_update(size)
            top = self.scroll_offset.y
            wanted = self.max_scroll_y if self._following else self._rows.row_of(*self._anchor)
            self.scroll_to(y=wanted, animate=False, force=True, immediate=True)
        finally:
            self._placing = False
        if self._following or self._index.backlog or self._rows.width is not None:
            if top == self.scroll_offset.y == 0 and size.height <= self.in_sight.height:
                new = size.height - shown_before
                self.refresh_lines(shown_before, new) if new > 0 else self.refresh()
            else:
                self.refresh()

    def render_lines(self, crop: object) -> list[Strip]:
        """The rows in sight. Being asked for them is being in sight."""
        if self._asleep:
            self._asleep = False
            self._schedule(0.0)
        strips = super().render_lines(crop)  # type: ignore[arg-type]
        cells = sum(strip.cell_length for strip in strips)
        # each row's end is a piece of the scroll bar
        self._bytes = cells + BYTES_A_STYLE * (sum(map(len, map(list, strips))) + len(strips))
        return strips

    def render_line(self, y: int) -> Strip:
        """One row."""
        row = self.scroll_offset.y + y
        width = self.in_sight.width
        found = self._rows.find(row)
        if found is None:
            return Strip.blank(width, self._paint().base)
        entry, index, part = found
        seq = entry.block.first + entry.place(index)
        mark = self._mark(seq)
        left = 0 if self._wrap else self.scroll_offset.x
        key = (seq, part, mark, left)
        strip = self._strips.get(key)
        if strip is None:
            line = self._index.line_of(entry, index)
            strip = self._draw(line, part, mark, left, width)
            self._strips[key] = strip
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(row)) is not None:
            start, end = span
            end = width if end == -1 else min(end, width)
            if end > start:
                style = self.screen.get_component_rich_style("screen--selection")
                pieces = list(strip.divide([start, end, width]))
                pieces[1] = pieces[1].apply_style(style)
                strip = Strip.join(pieces)
        return strip.apply_offsets(0, row)

    def _draw(self, line: LogLine, part: int, mark: str, left: int, width: int) -> Strip:
        return self._paint().strip(
            line,
            part,
            self._columns,
            wrap=self._rows.width,
            left=left,
            width=width,
            mark=mark,
            spans=self._index.filter.spans(line.text),
        )

    def _paint(self) -> Painter:
        if self._painter is None:
            self._painter = Painter(self.app.theme_variables, self.rich_style)
        return self._painter

    def _fit_columns(self) -> None:
        """The process column is there when several processes are, unless somebody chose."""
        names = self._buffer.processes()
        several = len(names) > 1 and self.in_sight.width >= NARROW
        wanted = self._show_process if self._show_process is not None else several
        width = min(PROCESS_WIDTH, max(map(len, names), default=0)) if wanted else 0
        self._widest = max(self._widest, self._widest_in_sight())
        if width != self._columns.process:
            self._relayout(replace(self._columns, process=width))

    def _widest_in_sight(self) -> int:
        if self._wrap:
            return 0
        top = max(0, len(self._index) - self.in_sight.height) if self._following else self.scroll_offset.y
        return max((len(line.text) for line in self._index.lines(top, top + self.in_sight.height)), default=0)

    def _relayout(self, columns: Columns) -> None:
        """Draw all anew: other columns, another width, wrapped or not; the reader's line stays."""
        self._columns = columns
        self._strips.clear()
        room = max(8, self.in_sight.width - columns.width)
        if self._rows.wrap(room if self._wrap else None):
            self._rows.refresh()
        self._synced = 0.0
        self._place()
        self.refresh()

    def _use(self, wanted: LogFilter) -> None:
        self._index.set_filter(wanted)
        self._strips.clear()
        self._synced = 0.0
        self._look_again()
        self.refresh()

    def _look_again(self) -> None:
        if self.is_running and self.is_attached:
            if self._look():
                self._schedule(0.0)
        else:
            self._asleep = True

    # --- following, reading, pausing

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The reader moved, or `_place` did."""
        super().watch_scroll_y(old_value, new_value)
        if not self._placing:
            self._moved()

    def _moved(self) -> None:
        top = self.scroll_offset.y
        if top >= self.max_scroll_y and self._following:
            return
        self._leave()
        self._anchor = self._rows.at(top) or self._anchor
        if top >= self.max_scroll_y and not self._paused and not self._held():
            self._synced = 0.0
            self._place()  # lines may have come that the scroll bar does not know of
            if self.scroll_offset.y >= self.max_scroll_y:
                self.action_follow()
                return
        self._tell()

    def _leave(self) -> None:
        """Stay with the line at the top from now on."""
        if self._following:
            self._following = False
            self._seen = self._index.next_seq
            self._index.pin(True)
            self._anchor = self._rows.at(self.scroll_offset.y) or (self._index.next_seq, 0)

    def action_follow(self) -> None:
        """Go to the end and follow it."""
        self._paused = False
        self._following = True
        self._hint = ""
        self._released()
        self._index.pin(False)
        self._strips.clear()
        if self.is_attached:
            if self.text_selection is not None:
                self.screen.clear_selection()
            self._look_again()
            self._synced = 0.0
            self._place()
            self.refresh()

    def action_pause(self) -> None:
        """Stay here whatever comes; or go on."""
        if self._paused:
            self.action_follow()
            return
        self._leave()
        self._paused = True
        self._tell()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text selected with the mouse, as it stands on the screen."""
        start, end = selection.start or Offset(0, 0), selection.end
        last = min(self._rows.total - 1 if end is None else end.y, start.y + COPY_LINES)
        width = self.in_sight.width
        rows = []
        for row in range(start.y, last + 1):
            found = self._rows.find(row)
            if found is None:
                break
            entry, index, part = found
            line = self._index.line_of(entry, index)
            text = self._draw(line, part, " ", 0 if self._wrap else self.scroll_offset.x, width).text
            text = text[: end.x] if end is not None and row == end.y else text
            rows.append((text[start.x :] if row == start.y else text).rstrip())
        return "\n".join(rows), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Somebody drags the mouse: stay while they do."""
        if selection is not None:
            self._leave()
        self.refresh()

    # --- what a cursor adds

    def _mark(self, seq: int) -> str:
        """The marker before a line: blank for none."""
        return " "

    def _selected(self) -> int:
        """How many lines are selected."""
        return 0

    def _held(self) -> bool:
        """Whether something keeps the reader here although the end is in sight."""
        return False

    def _released(self) -> None:
        """The end is followed again: whatever was pointed at is let go."""

    # --- telling

    def _say(self, hint: str) -> None:
        self._hint = hint
        self._tell()

    def _tell(self) -> None:
        index = self._index
        pending = 0
        if not self._following:
            pending = len(index) - index.position(self._seen) if index.entries else 0
            if index.full:
                pending += self._buffer.next_seq - index.next_seq
        status = LogStatus(
            following=self._following,
            paused=self._paused,
            pending=pending,
            shown=len(index),
            total=len(self._buffer),
            errors=self._buffer.errors,
            filter=index.filter.source,
            problem=self._problem,
            searching=index.backlog,
            selected=self._selected(),
            wrap=self._wrap,
            left=self.scroll_offset.x,
            hint=self._hint,
            sources=tuple(self._buffer.states()),
        )
        if status != self._status:
            self._status = status
            if self.is_running:
                self.post_message(self.StatusChanged(self, status))

    # --- the widget's life

    def on_mount(self) -> None:
        """Look at what is there."""
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)
        self._schedule(0.0)

    def on_unmount(self) -> None:
        """Let the buffer go."""
        self._unlisten()

    def on_resize(self) -> None:
        """Another width wraps otherwise; the end, or the reader's line, stays."""
        self._fit_columns()
        self._relayout(self._columns)
        self._schedule(0.0)

    def notify_style_update(self) -> None:
        """Colours changed."""
        super().notify_style_update()
        self._painter = None
        self._strips.clear()

    def _theme_changed(self, _theme: object) -> None:
        self._painter = None
        self._strips.clear()
        self.refresh()
