"""The lines of a run that are always in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content

from muva_console.ops.runbooks.standing import RunView
from muva_console.screens.checklist_text import standing_lines
from muva_console.widgets.dialog import Words


class Standing(Words):
    """The verdict and what stands between here and GO; reasons, notices, the end."""

    DEFAULT_CSS = """
    Standing, Standing:focus { max-height: 10; padding: 0 2; }
    """

    def __init__(self, view: Callable[[], RunView | None], *, id: str) -> None:
        super().__init__(id=id)
        self._view = view

    def show(self) -> None:
        """Show the newest view."""
        before = len(self.lines)
        self.redraw()
        if len(self.lines) != before:
            self.refresh(layout=True)

    def build(self, width: int) -> Sequence[Content]:
        """Its lines."""
        view = self._view()
        return standing_lines(view, width) if view is not None else ()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """As many rows as there are lines."""
        return max(1, len(self.build(width)))
