"""An application with nothing but a log panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import App, ComposeResult
from textual.css.stylesheet import Stylesheet
from textual.filter import LineFilter
from textual.screen import Screen

from muva_console.ops.logs.buffer import LogBuffer
from muva_console.widgets.filters import Ascii, Colourless, Sixteen
from muva_console.widgets.log_panel import LogPanel
from muva_console.widgets.log_view import LogView
from muva_console.widgets.theme import DARK, MONO, SIXTEEN, THEMES


class LogApp(App[None]):
    """The panel over a buffer, in one of the console's themes."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        buffer: LogBuffer,
        *,
        theme: str = DARK,
        ascii_only: bool = False,
        then: Callable[[LogApp], None] | None = None,
    ) -> None:
        super().__init__()
        for name in list(self.available_themes):
            self.unregister_theme(name)
        for one in THEMES:
            self.register_theme(one)
        self.set_reactive(App.theme, theme)
        self.stylesheet = Stylesheet(variables=self.get_css_variables())
        self.buffer = buffer
        self.copied: list[str] = []
        self.saved: list[str] = []
        self._ascii = ascii_only
        self._then = then

    def compose(self) -> ComposeResult:
        yield LogPanel(self.buffer)

    def on_mount(self) -> None:
        self.view.focus()
        if self._then is not None:
            self._then(self)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What Textual's own style sheet wants of every theme and its ANSI palette lacks."""
        return {"ansi-background": "ansi_default", "ansi-foreground": "ansi_default"}

    def get_line_filters(self) -> Sequence[LineFilter]:
        """As the console has them."""
        own: dict[str, LineFilter] = {MONO: Colourless(), SIXTEEN: Sixteen()}
        filters = [own[self.theme]] if self.theme in own else []
        return [*filters, Ascii()] if self._ascii else filters

    @property
    def view(self) -> LogView:
        return self.screen_stack[0].query_one(LogView)

    def on_log_view_copy_requested(self, event: LogView.CopyRequested) -> None:
        self.copied.append(event.text)

    def on_log_view_save_requested(self, event: LogView.SaveRequested) -> None:
        self.saved.append(event.text)

    def rows(self, *, status: bool = True) -> list[str]:
        """What is on the screen."""
        strips = self.screen_stack[0]._compositor.render_strips()
        rows = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
        return rows if status else rows[:-1]


class OtherScreen(Screen[None]):
    """Something else to look at."""
