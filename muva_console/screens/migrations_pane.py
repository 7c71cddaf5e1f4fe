"""The detail of the migration under the cursor: a line of sections, and the one that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from muva_console.ops.migrations.matrix import Cell, Matrix, Row
from muva_console.screens.frame import CopyItem
from muva_console.screens.migrations_detail import counts_of, detail_lines, section_of
from muva_console.screens.migrations_looking import Looking
from muva_console.screens.migrations_table import Section, SectionBar
from muva_console.screens.migrations_text import state_mark
from muva_console.widgets.panel import Panel

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.screens.migrations_read import Seen


class DetailPane(Container):
    """One migration, as the environment in hand has it."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._matrix: Matrix | None = None
        self._row: Row | None = None
        self._environment = ""
        self._names: Sequence[str] = ()
        self._section: Section | None = None
        self._looking: Looking | None = None

    def compose(self) -> ComposeResult:
        """The sections, the text."""
        yield SectionBar(id="sections")
        yield Panel(self._lines, title="Detail", id="text")

    @property
    def text(self) -> Panel:
        """The text."""
        return self.query_one("#text", Panel)

    @property
    def cell(self) -> Cell | None:
        """Where the migration stands in the environment in hand."""
        matrix, row = self._matrix, self._row
        if matrix is None or row is None or self._environment not in self._names:
            return None
        return row.cells[matrix.place(self._environment)]

    @property
    def seen(self) -> Seen | None:
        """What was read of it; what was not is asked for."""
        if self._matrix is None or self._row is None:
            return None
        if self._looking is None:
            self._looking = Looking(cast("MuvaApp", self.app), self.draw)
        return self._looking.seen(self._matrix, self._row, self._environment)

    @property
    def section(self) -> Section:
        """The section that is shown."""
        return section_of(self._section, self.seen, self.cell)

    def show(self, matrix: Matrix | None, row: Row | None, environment: str, names: Sequence[str]) -> None:
        """Show a migration of a matrix; `names` are its environments as they are told."""
        if environment != self._environment:
            self._section = None
        if row is None or self._row is None or row.title != self._row.title:
            self.text.scroll_home(animate=False)
        self._matrix, self._row, self._environment, self._names = matrix, row, environment, names
        self.draw()

    def draw(self) -> None:
        """Draw what is known."""
        row = self._row
        if not self.is_mounted:
            return
        if row is None:
            self.text.face("Detail")
        else:
            self.query_one(SectionBar).show(self.section, counts_of(self.seen))
            cell = self.cell
            self.text.face(row.title, state_mark(cell.state) if cell is not None else "")
        self.text.redraw()

    def _lines(self, width: int) -> Sequence[Content]:
        matrix, row = self._matrix, self._row
        if matrix is None or row is None:
            return []
        return detail_lines(self.section, matrix, row, self._names, self.seen, width)

    def turn(self, by: int) -> None:
        """The next section, or the one before."""
        if self._row is not None:
            sections = list(Section)
            self._choose(sections[(sections.index(self.section) + by) % len(sections)])

    def on_section_bar_picked(self, event: SectionBar.Picked) -> None:
        """A section was clicked."""
        self._choose(event.section)

    def _choose(self, section: Section) -> None:
        self._section = section
        self.text.scroll_home(animate=False)
        self.draw()

    def copy_items(self) -> list[CopyItem]:
        """The file's path, the SQL, what is shown, the name."""
        row, seen = self._row, self.seen
        if row is None:
            return []
        items = []
        if seen is not None and seen.detail is not None:
            items += [
                CopyItem("the file's path", seen.detail.path),
                CopyItem("the SQL", seen.detail.text),
            ]
        return [
            *items,
            CopyItem("the detail", self.text.text()),
            CopyItem("the migration's name", row.title),
        ]
