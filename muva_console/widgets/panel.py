"""A framed panel that draws lines: title left, age and source right, keys in the footer by focus.

One widget a panel, drawn line by line: a dashboard of a dozen panels is mounted and painted for what a
few containers would cost, and only the lines that changed are sent to the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Blur, Focus, Resize
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style

from muva_console.widgets.fit import crop

Build = Callable[[int], Sequence[Content]]
"""Makes a panel's lines for a width in cells."""


class Panel(ScrollView, can_focus=True):
    """Lines in a frame. What is drawn comes from `build`, called again by `redraw` and on every resize."""

    HELP = "Text in a panel. Scroll with the arrows; drag with the mouse to select, `ctrl+c` copies."
    ALLOW_MAXIMIZE = False

    DEFAULT_CSS = """
    Panel {
        border: round $line;
        padding: 0 1;
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    Panel:focus { border: round $line-focus; }
    .-ascii Panel { border: ascii $line; }
    .-ascii Panel:focus { border: ascii $line-focus; }
    .-mono Panel:focus { border: heavy $line-focus; }
    .-mono.-ascii Panel:focus { border: ascii $line-focus; }
    Panel.-bare, Panel.-bare:focus { border: none; padding: 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", show=False, id="panel.down"),
        Binding("up,k", "scroll_up", "Up", show=False, id="panel.up"),
        Binding("g,home", "scroll_home", "Top", show=False, id="panel.top"),
        Binding("G,end", "scroll_end", "Bottom", show=False, id="panel.bottom"),
    ]

    def __init__(
        self,
        build: Build | None = None,
        *,
        title: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._build = build
        self._title = Content(title)
        self._aside = Content("")
        self._lines: list[Content] = []
        self._dim = False
        self._drawn_for = -1

    @property
    def lines(self) -> Sequence[Content]:
        """What is drawn now."""
        return self._lines

    def build(self, width: int) -> Sequence[Content]:
        """The lines for `width` cells."""
        return self._build(width) if self._build is not None else ()

    def face(self, title: Content | str, aside: Content | str = "") -> None:
        """Set what stands in the frame: the title left; age, source and state right."""
        title = Content(title) if isinstance(title, str) else title
        aside = Content(aside) if isinstance(aside, str) else aside
        if not (title.is_same(self._title) and aside.is_same(self._aside)):
            self._title, self._aside = title, aside
            self._draw_frame()

    def dim(self, dim: bool) -> None:
        """Show old news as old: the last data dimmed."""
        if dim != self._dim:
            self._dim = dim
            self.refresh()

    def redraw(self) -> None:
        """Build the lines anew and repaint those that changed."""
        width = self.scrollable_content_region.width
        if width <= 0 or not self.is_attached:
            self._drawn_for = -1  # out of sight: drawn when it has a width again
            return
        self._drawn_for = width
        lines = list(self.build(width))
        old, self._lines = self._lines, lines
        if len(lines) != len(old):
            self._lines_changed()
            self.refresh()
            return
        top = self.scroll_offset.y
        for index, line in enumerate(lines):
            if not line.is_same(old[index]):
                self.refresh(Region(0, index - top, self.size.width, 1))

    def _lines_changed(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines))

    def _draw_frame(self) -> None:
        room = self.outer_size.width - 6
        if room <= 0 or self.styles.border_top[0] == "":
            return
        title = self._title.stylize_before("$t-strong" if self.has_focus else "$foreground bold")
        if self._aside and title.cell_length + self._aside.cell_length + 3 <= room:
            rule = room - title.cell_length - self._aside.cell_length - 2
            colour = "$line-focus" if self.has_focus else "$line"
            character = "-" if self.app.has_class("-ascii") else "─"
            if self.has_focus and self.app.has_class("-mono") and character == "─":
                character = "━"
            title = Content.assemble(title, " ", (character * rule, colour), " ", self._aside)
        shown = getattr(self, "_border_title", None)
        if shown is None:
            self.border_title = title
        elif not title.is_same(shown):
            # Textual repaints the whole widget for another title; the line with the title is enough
            self._border_title = title
            top, left = self.gutter.top, self.gutter.left
            self.refresh(Region(-left, -top, self.outer_size.width, 1))

    def on_mount(self) -> None:
        """Draw the frame as soon as there is one."""
        self._draw_frame()
        self.redraw()

    def on_resize(self, event: Resize) -> None:
        """Another width is another text."""
        self._draw_frame()
        if self.scrollable_content_region.width != self._drawn_for:
            self.redraw()

    def on_focus(self, event: Focus) -> None:
        """The frame tells where the keys go."""
        self._draw_frame()

    def on_blur(self, event: Blur) -> None:
        """The frame tells where the keys go."""
        self._draw_frame()

    def notify_style_update(self) -> None:
        """A new theme changes the frame's title too."""
        super().notify_style_update()
        if self.is_mounted:
            self._draw_frame()

    def line_style(self, index: int) -> Style:
        """The style under a line."""
        style = self.visual_style
        return style + Style(dim=True) if self._dim else style

    def render_line(self, y: int) -> Strip:
        """One line, cropped to the panel."""
        index = y + self.scroll_offset.y
        return self.draw(self._lines[index] if index < len(self._lines) else None, index)

    def draw(self, line: Content | None, index: int) -> Strip:
        """`line` as it goes to the terminal, selectable with the mouse."""
        width = self.scrollable_content_region.width
        style = self.line_style(index)
        if line is None:
            return Strip.blank(width, style.rich_style)
        line = crop(line, width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(index)) is not None:
            start, end = span
            selected = self.screen.get_visual_style("screen--selection")
            if self.app.has_class("-ansi-theme"):
                selected = Style(reverse=True)
            line = line.stylize(selected, start, len(line) if end == -1 else end)
        return Strip(line.render_segments(style), width).apply_offsets(0, index)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What the mouse has selected, as plain text."""
        return selection.extract("\n".join(line.plain.rstrip() for line in self._lines)), "\n"

    def text(self) -> str:
        """All of it as plain text, for the clipboard."""
        return "\n".join(line.plain.rstrip() for line in self._lines)
