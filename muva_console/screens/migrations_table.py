"""The matrix as a table, and the line of sections above the detail."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from muva_console.screens.migrations_text import CELL, Cells
from muva_console.widgets.table import Column, Row, Table


class Section(StrEnum):
    """What is shown of the migration under the cursor."""

    SQL = "SQL"
    HAZARDS = "Hazards"
    LOCKS = "Locks"
    HISTORY = "History"
    DIFF = "Diff"


def columns_for(names: Sequence[str], in_hand: str) -> list[Column]:
    """The table's columns: where it is narrow the environment in hand stays longest, then the name."""
    columns = [Column("version", 14, keep=60), Column("migration", 16, flex=True, keep=99)]
    for number, name in enumerate(names):
        keep = 100 if name == in_hand else 70 + number
        columns.append(Column(name, max(CELL, len(name) + 2), flex=True, keep=keep))
    return columns


class MatrixTable(Table):
    """A row a migration, a column an environment; the newest first."""

    HELP = (
        "Every migration of the branches and the histories, the newest first; a column an environment. "
        "`]` and `[` go to the next problem and the one before, `/` filters, `←` `→` choose what the detail "
        "shows. `a` applies what is pending in the environment in hand, `u` rolls back; both show all first."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "detail", key_display="enter", id="migrations.open", tooltip="See the detail"
        ),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(title="Migrations", id=id)
        self._in_hand = ""
        self._kind = "other"

    def environments(self, names: Sequence[str], in_hand: str, kind: str) -> None:
        """Which columns there are; the environment in hand wears its band."""
        columns = columns_for(names, in_hand)
        if columns != self._columns or (in_hand, kind) != (self._in_hand, self._kind):
            self._in_hand, self._kind = in_hand, kind
            self._rows, self._index = [], {}
            self.set_columns(columns)

    def same(self, before: Row, after: Row) -> bool:
        """Rows are compared by what they are made of: making them is what costs."""
        if isinstance(before.cells, Cells):
            return before.cells.alike(after.cells)
        return super().same(before, after)

    def titles(self) -> Sequence[Content]:
        """The environment in hand stands out."""
        return [
            Content.styled(f" {column.title.upper()} ", f"$t-band-{self._kind}")
            if column.title == self._in_hand and place >= 2
            else Content.styled(column.title, "$t-muted")
            for place, column in enumerate(self._columns)
        ]


class SectionBar(Widget):
    """The sections of the detail; a click chooses one."""

    DEFAULT_CSS = """
    SectionBar { height: 1; padding: 0 1; background: $background; color: $foreground; }
    """
    ALLOW_SELECT = False

    class Picked(Message):
        """A section was clicked."""

        def __init__(self, section: Section) -> None:
            super().__init__()
            self.section = section

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._chosen = Section.SQL
        self._counts: dict[Section, Content] = {}
        self._ends: list[tuple[int, Section]] = []

    def show(self, chosen: Section, counts: dict[Section, Content]) -> None:
        """Which is shown, and what to tell beside a name."""
        same = counts.keys() == self._counts.keys() and all(
            counts[one].is_same(self._counts[one]) for one in counts
        )
        if chosen is not self._chosen or not same:
            self._chosen, self._counts = chosen, dict(counts)
            self.refresh()

    def render(self) -> Content:
        """The names, the chosen one underlined."""
        parts: list[Content] = []
        self._ends.clear()
        at = 0
        for section in Section:
            here = section is self._chosen
            name = Content.styled(section.value, "$t-strong underline" if here else "$t-muted")
            count = self._counts.get(section)
            part = Content.assemble(" ", name, " ", count, " ") if count else Content.assemble(" ", name, " ")
            parts.append(part)
            at += part.cell_length
            self._ends.append((at, section))
        return Content("").join(parts)

    def on_click(self, event: Click) -> None:
        """Show that one."""
        offset = event.get_content_offset(self)
        for end, section in self._ends:
            if offset is not None and offset.x < end:
                self.post_message(self.Picked(section))
                return
