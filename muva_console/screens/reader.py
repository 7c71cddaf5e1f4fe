"""One text over the whole screen, kept up to date: evidence, the database, a journal entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.widget import Widget

from muva_console.screens.frame import ALL_MODES, CopyItem
from muva_console.widgets.dialog import Dialog
from muva_console.widgets.panel import Build, Panel

if TYPE_CHECKING:
    from muva_console.app import MuvaApp


class Reader(Dialog[None]):
    """Reads one thing whole."""

    YIELDS = True
    HELP = "One thing, whole. `y` copies the command behind it, `Y` all of the text, `escape` goes back."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy(0)", "copy", id="reader.copy", tooltip="Copy the command behind it"),
        Binding("Y", "copy(1)", "copy all", id="reader.copy_all", tooltip="Copy the whole text"),
        Binding("r", "app.refresh", "refresh", id="reader.refresh", tooltip="Ask again, now"),
        *(Binding(mode.key, f"mode('{mode.name}')", mode.title, show=False) for mode in ALL_MODES),
    ]
    DEFAULT_CSS = """
    Reader #box { width: 96%; max-width: 140; height: 90%; }
    Reader #text, Reader #text:focus { border: none; padding: 0; height: 1fr; }
    Reader.-narrow #box { width: 100%; height: 100%; }
    """

    def __init__(self, title: str, build: Build, *, command: str = "") -> None:
        super().__init__()
        self._heading, self._build, self._command = title, build, command

    def heading(self) -> str:
        """What is read."""
        return self._heading

    def content(self) -> Iterable[Widget]:
        """The text."""
        yield Panel(self._build, id="text")

    def on_mount(self) -> None:
        """Keep the text up to date while it is read."""
        panel = self.query_one("#text", Panel)
        panel.focus()
        self.set_interval(1.0, panel.redraw)

    def action_copy(self, which: int) -> None:
        """Copy the command, or the text."""
        from muva_console.screens.copying import copy_text

        text = self.query_one("#text", Panel).text()
        item = (
            CopyItem("the text", text)
            if which or not self._command
            else CopyItem("the command", self._command)
        )
        self.app.run_worker(copy_text(self.app, item))

    async def action_mode(self, name: str) -> None:
        """Close, and go to a mode."""
        await self.dismiss(None)
        cast("MuvaApp", self.app).action_mode(name)
