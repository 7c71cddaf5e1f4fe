"""A table whose rows stand under headings: the cursor passes over them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.events import Resize

from muva_console.widgets.table import Row, Table

_HEADING = "\0"
"""How the key of a heading begins; no thing has such a key."""


def heading(key: str, text: Content) -> Row:
    """A line between rows that cannot be chosen."""
    return Row(f"{_HEADING}{key}", (text,))


def is_heading(key: str) -> bool:
    """Whether the row of that key is a heading."""
    return key.startswith(_HEADING)


class SectionTable(Table):
    """Rows under headings (see `heading`)."""

    def _line(self, cells: Sequence[Content], marker: Content) -> Content:
        return cells[0] if len(cells) == 1 else super()._line(cells, marker)

    def _set_cursor(self, key: str | None) -> None:
        if key is not None and is_heading(key):
            at = self._index[key]
            things = [row.key for row in (*self._rows[at:], *self._rows[:at]) if not is_heading(row.key)]
            key = things[0] if things else None
        super()._set_cursor(key)

    def _into_view(self, index: int) -> None:
        above = index
        while above > 0 and is_heading(self._rows[above - 1].key):
            above -= 1
        super()._into_view(index)
        if above < self.scroll_offset.y:
            super()._into_view(above)

    def on_resize(self, event: Resize) -> None:
        """What is chosen stays in sight."""
        if self.chosen is not None and self.chosen in self._index:
            self._into_view(self._index[self.chosen])

    def action_move(self, by: int) -> None:
        """Move the cursor by rows, over headings."""
        here = self._index[self.chosen] if self.chosen is not None else 0
        things = [index for index, row in enumerate(self._rows) if not is_heading(row.key)]
        if by > 0:
            self._go([index for index in things if index > here], min(by, len(self._rows)) - 1)
        else:
            self._go([index for index in reversed(things) if index < here], -by - 1)

    def _go(self, ahead: Sequence[int], steps: int) -> None:
        if ahead:
            self._move_to(ahead[min(steps, len(ahead) - 1)])
