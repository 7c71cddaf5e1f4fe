"""A table whose rows keep their place: the cursor stays on its thing, columns fall away when it is narrow.

Textual's DataTable was measured first: it reads text as markup, loses cursor and scroll when it is
filled anew, has no column that takes the space left over and none that gives way. Here the rows are
compared with those shown and only the lines that changed are painted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Blur, Click, Focus
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style

from muva_console.widgets.fit import crop
from muva_console.widgets.panel import Panel


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `width` in cells; a `flex` column takes what is left, at least `width`.

    Where the columns do not fit the one with the lowest `keep` falls away first.
    """

    title: str
    width: int
    align: Literal["left", "right"] = "left"
    flex: bool = False
    keep: int = 100


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the key of its thing and a cell for each column."""

    key: str
    cells: Sequence[Content]


class Table(Panel):
    """Rows under a heading, with a cursor."""

    HELP = "A list. `↑` `↓` choose, `enter` opens what is chosen, `home` and `end` go to its ends."

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("home,g", "end(-1)", "First", show=False, id="table.first"),
        Binding("end,G", "end(1)", "Last", show=False, id="table.last"),
        Binding("enter", "open", "open", key_display="enter", id="table.open", tooltip="Open what is chosen"),
    ]

    class Chosen(Message):
        """The cursor is on another thing."""

        def __init__(self, table: Table, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    class Opened(Message):
        """What is under the cursor shall be opened."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column] = (),
        *,
        title: str = "",
        heading: bool = True,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(title=title, id=id, classes=classes)
        self._columns = list(columns)
        self._heading = 1 if heading else 0
        self._rows: list[Row] = []
        self._index: dict[str, int] = {}
        self._cursor: str | None = None
        self._empty: list[Content] = []
        self._widths: list[int] = []

    # what is shown

    @property
    def rows(self) -> Sequence[Row]:
        """The rows shown."""
        return self._rows

    @property
    def chosen(self) -> str | None:
        """The key of the row under the cursor."""
        return self._cursor

    def fill(self, rows: Iterable[Row], *, empty: Sequence[Content] = ()) -> None:
        """Show these rows; `empty` explains when there are none. The cursor stays on its thing.

        When its thing is gone the cursor goes to the row that took its place.
        """
        new = list(rows)
        old, old_index = self._rows, self._index
        self._rows = new
        self._index = {row.key: index for index, row in enumerate(new)}
        before_empty, self._empty = self._empty, list(empty)
        cursor = self._cursor
        if cursor not in self._index:
            if not new:
                cursor = None
            else:
                at = old_index.get(cursor, 0) if cursor is not None else 0
                cursor = new[min(at, len(new) - 1)].key
        if len(new) != len(old):
            self._lines_changed()
            self.refresh(layout=self.styles.is_auto_height)
        else:
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                if before.key != after.key or not self.same(before, after):
                    self._refresh_row(index)
        if not new and not _same(before_empty, self._empty):
            self.refresh(layout=self.styles.is_auto_height)
        if cursor != self._cursor:
            self._set_cursor(cursor)

    def same(self, before: Row, after: Row) -> bool:
        """Whether two rows of one thing are drawn alike."""
        return _same(before.cells, after.cells)

    def titles(self) -> Sequence[Content]:
        """What stands above the columns."""
        return [Content.styled(column.title, "$t-muted") for column in self._columns]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Where the height is `auto`: the heading and a line each."""
        return len(self._rows) + self._heading if self._rows else max(1, len(self._empty))

    def choose(self, key: str) -> bool:
        """Put the cursor on a thing; False when it is not there."""
        if key not in self._index:
            return False
        self._set_cursor(key)
        return True

    def redraw(self) -> None:
        """Lay the columns out for the present width."""
        width = self.scrollable_content_region.width
        if width <= 0 or not self.is_attached:
            self._drawn_for = -1  # out of sight: drawn when it has a width again
            return
        self._drawn_for = width
        self._widths = _widths(self._columns, width - 2)
        self._lines_changed()
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Use other columns; the next `fill` must bring the cells for them."""
        self._columns, self._widths = list(columns), []
        self.redraw()

    # drawing

    def _lines_changed(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows) + self._heading)

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + self._heading
        if self._heading <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _line(self, cells: Sequence[Content], marker: Content) -> Content:
        parts = [marker]
        for cell, column, width in zip(cells, self._columns, self._widths, strict=True):
            if width == 0:
                continue
            if column.align == "right":
                short = cell.truncate(width, ellipsis=True)
                parts.append(short.pad_left(width - short.cell_length))
            else:
                parts.append(crop(cell, width))
            parts.append(Content("  "))
        return Content("").join(parts[:-1]) if len(parts) > 1 else marker

    def render_line(self, y: int) -> Strip:
        """The heading, a row, or the explanation of an empty table."""
        if not self._widths:
            return self.draw(None, y)
        if not self._rows:
            return self.draw(self._empty[y] if y < len(self._empty) else None, y)
        if self._heading and y == 0:
            return self.draw(self._line(self.titles(), Content("  ")), -1)
        index = y - self._heading + self.scroll_offset.y
        if index >= len(self._rows):
            return self.draw(None, index)
        row = self._rows[index]
        on = row.key == self._cursor
        marker = Content.styled("▸ ", "$t-strong" if self.has_focus else "$t-muted") if on else Content("  ")
        return self.draw(self._line(row.cells, marker), index)

    def line_style(self, index: int) -> Style:
        """The cursor's row stands out while the table has the focus."""
        style = super().line_style(index)
        if self.has_focus and 0 <= index < len(self._rows) and self._rows[index].key == self._cursor:
            return style + Style.parse("$t-cursor")
        return style

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What the mouse has selected, as plain text."""
        return selection.extract(self.text()), "\n"

    def text(self) -> str:
        """All rows as plain text, for the clipboard."""
        marker = Content("")
        return "\n".join(self._line(row.cells, marker).plain.rstrip() for row in self._rows)

    def on_focus(self, event: Focus) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self, event: Blur) -> None:
        """Show the cursor as resting."""
        self.refresh()

    # moving

    def _set_cursor(self, key: str | None) -> None:
        before, self._cursor = self._cursor, key
        if key != before:
            for changed in (before, key):
                if changed is not None and changed in self._index:
                    self._refresh_row(self._index[changed])
        if key is not None:
            self._into_view(self._index[key])
        if key != before:
            self.post_message(self.Chosen(self, key))

    def _into_view(self, index: int) -> None:
        room = self.scrollable_content_region.height - self._heading
        if room <= 0:
            return
        top = self.scroll_offset.y
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif index >= top + room:
            self.scroll_to(y=index - room + 1, animate=False, force=True)

    def _move_to(self, index: int) -> None:
        if self._rows:
            self._set_cursor(self._rows[max(0, min(index, len(self._rows) - 1))].key)

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._move_to((self._index[self._cursor] if self._cursor is not None else 0) + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by pages."""
        room = max(1, self.scrollable_content_region.height - self._heading - 1)
        self.action_move(by * room)

    def action_end(self, which: int) -> None:
        """Go to the first or the last row."""
        self._move_to(0 if which < 0 else len(self._rows) - 1)

    def action_open(self) -> None:
        """Open what is under the cursor."""
        if self._cursor is not None:
            self.post_message(self.Opened(self, self._cursor))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to open in an empty table."""
        return not (action == "open" and self._cursor is None)

    def on_click(self, event: Click) -> None:
        """A click chooses, a double click opens."""
        offset = event.get_content_offset(self)
        if offset is None or not self._rows:
            return
        index = offset.y - self._heading + self.scroll_offset.y
        if offset.y < self._heading or index >= len(self._rows):
            return
        self._set_cursor(self._rows[index].key)
        if event.chain == 2:
            self.action_open()


def _same(before: Sequence[Content], after: Sequence[Content]) -> bool:
    return len(before) == len(after) and all(
        one.is_same(other) for one, other in zip(before, after, strict=True)
    )


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """The width of each column, 0 for one that has fallen away."""
    shown = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[index].width for index in shown) + 2 * max(0, len(shown) - 1)

    while len(shown) > 1 and needed() > room:
        shown.remove(min(shown, key=lambda index: (columns[index].keep, -index)))
    spare = max(0, room - needed())
    flexible = [index for index in shown if columns[index].flex]
    widths = [0] * len(columns)
    for index in shown:
        widths[index] = min(columns[index].width, room)
    for position, index in enumerate(flexible):
        share = spare // len(flexible) + (1 if position < spare % len(flexible) else 0)
        widths[index] += share
    return widths
