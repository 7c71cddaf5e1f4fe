"""The log of the process in hand: followed in the engine's loop, shown here."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from muva_console.ops.logs.buffer import LogBuffer
from muva_console.screens.frame import CopyItem
from muva_console.widgets.format import plural
from muva_console.widgets.level import muted
from muva_console.widgets.log_panel import LogPanel
from muva_console.widgets.log_view import LogView

if TYPE_CHECKING:
    from textual.worker import Worker

    from muva_console.app import MuvaApp
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.pm2.model import Process


class Logs(Vertical):
    """A framed log; follows one process of one host, and nothing while nobody looks."""

    DEFAULT_CSS = """
    Logs { border: round $line; padding: 0 1; }
    Logs:focus-within { border: round $line-focus; }
    .-ascii Logs, .-ascii Logs:focus-within { border: ascii $line; }
    .-mono Logs:focus-within { border: heavy $line-focus; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._followed: tuple[EnvironmentOps, str, int] | None = None
        self._worker: Worker[None] | None = None
        self.panel = LogPanel()

    def compose(self) -> ComposeResult:
        """The log panel."""
        yield self.panel

    @property
    def _app(self) -> MuvaApp:
        return cast("MuvaApp", self.app)

    def follow(self, of: EnvironmentOps | None, process: Process | None) -> None:
        """Follow a process from now on; the one before is followed no more.

        A changed configuration brings another `of`, and with it another way to the host.
        """
        wanted = (of, process.host, process.pm_id) if of is not None and process is not None else None
        if wanted == self._followed:
            return
        self.rest()
        self._followed = wanted
        buffer = LogBuffer()
        self.panel.view.show(buffer)
        if of is None or process is None:
            self.border_title = Content.styled("Log", "$foreground bold")
            return
        self.border_title = Content.assemble(
            ("Log", "$foreground bold"), muted(f"  {process.name} on {process.host}")
        )
        self._worker = self._app.work_on(
            f"following the log of {process.name}",
            lambda: self._app.ask_ops(lambda: of.follow_logs(process.host, (process,), buffer)),
            group="logs",
        )

    def rest(self) -> None:
        """Follow nothing; what was read stays in sight."""
        self._followed = None
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None

    def focus_view(self) -> None:
        """Put the focus on the lines."""
        self.panel.view.focus()

    def ask_filter(self) -> None:
        """Type a filter."""
        self.panel.action_filter()

    def copy_items(self) -> list[CopyItem]:
        """The selected lines or those in sight, and all that pass the filter."""
        text, lines = self.panel.view.text_of(everything=False)
        return [CopyItem(plural(lines, "log line"), text)] if lines else []

    @on(LogView.CopyRequested)
    def _copy(self, event: LogView.CopyRequested) -> None:
        from muva_console.screens.copying import copy_text

        event.stop()
        item = CopyItem(plural(event.lines, "log line"), event.text)
        self._app.work_on("copying", lambda: copy_text(self.app, item))

    @on(LogView.SaveRequested)
    def _save(self, event: LogView.SaveRequested) -> None:
        from muva_console.clipboard import save

        event.stop()
        self._app.tell(str(save(event.text)), title=f"Written: {plural(event.lines, 'log line')}", timeout=12)
