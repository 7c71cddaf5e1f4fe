"""The time line of a run under the hands of a reader: followed, folded, filtered, never moved by what comes.

Only the rows in sight are drawn. The cursor stays on its moment by the moment's id, so that a log that
comes late, between what is there already, moves nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.style import Style

from muva_console.ops.deploys.joblog import Mark
from muva_console.ops.deploys.timeline import Moment, Source, Timeline
from muva_console.ops.logs.model import LogLevel
from muva_console.widgets.level import muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.timeline_style import moment_line, plain

LOOK = 0.25
"""Seconds between two looks for what has come. Ours: four drawings a second are enough to read by."""


class TimelineView(Panel):
    """Shows a `Timeline`; follows its end until the reader moves up."""

    HELP = (
        "The time line: steps, the host's own lines as they are written, a job's log when GitHub gives it. "
        "It follows the end until you move up; `end` follows again, `p` pauses. `enter` folds a group, `z` "
        "all. `e` goes to the first error, `n` to the next one. `/` filters, `y` copies, `s` saves what is "
        "shown. `~` marks an estimated time."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="timeline.up", tooltip="One line up"),
        Binding("down,j", "move(1)", "Down", show=False, id="timeline.down", tooltip="One line down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="timeline.page_up", tooltip="A page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="timeline.page_down",
                tooltip="A page down"),
        Binding("home,g", "top", "Top", show=False, id="timeline.top", tooltip="The beginning"),
        Binding("end,G", "follow", "follow", id="timeline.follow", tooltip="Follow the end"),
        Binding("p", "pause", "pause", id="timeline.pause", tooltip="Stay here whatever comes, or go on"),
        Binding("enter", "fold", "fold", key_display="enter", id="timeline.fold", tooltip="Fold the group"),
        Binding("z", "fold_all", "fold all", id="timeline.fold_all", tooltip="Fold all groups, or open them"),
        Binding("e", "error(True)", "first error", id="timeline.first_error", tooltip="The first error"),
        Binding("n", "error(False)", "next error", id="timeline.next_error", tooltip="The next error"),
        Binding("s", "save", "save", id="timeline.save", tooltip="Save what is shown to a file"),
    ]  # fmt: skip

    @dataclass
    class SaveRequested(Message):
        """These lines are to be written to a file."""

        text: str
        lines: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(title="Time line", id=id)
        self._timeline: Timeline | None = None
        self._seen = -1
        self._moments: list[Moment] = []
        self._folded: set[str] = set()
        self._cursor = 0
        self._held = ""
        self.following = True
        """Whether the end is followed."""
        self.paused = False
        """Whether what comes is not taken up."""
        self._filter = ""
        self._empty: list[Content] = []

    # what is shown

    @property
    def moments(self) -> list[Moment]:
        """The moments that are shown, in the order of time."""
        return self._moments

    @property
    def filter(self) -> str:
        """The filter in force."""
        return self._filter

    @property
    def chosen(self) -> Moment | None:
        """The moment under the cursor."""
        return self._moments[self._cursor] if self._cursor < len(self._moments) else None

    def show(self, timeline: Timeline | None, *, empty: list[Content]) -> None:
        """Show a time line, from its end; the one that is shown already goes on as it is. `empty` is told
        while it has nothing.
        """
        self._empty = empty
        if timeline is not self._timeline:
            self._timeline, self._seen = timeline, -1
            self._folded.clear()
            self.following, self.paused, self._held = True, False, ""
        self.look()
        if not self._moments:
            self.refresh()

    def set_filter(self, text: str) -> None:
        """Show moments alone that have the text, whatever its case; all when it is empty."""
        if text != self._filter:
            self._filter = text
            self._take()

    def text(self) -> str:
        """All that is shown, as plain text."""
        return "\n".join(plain(one) for one in self._moments)

    # looking

    def on_mount(self) -> None:
        """Look for what comes."""
        self.set_interval(LOOK, self.look)
        self.look()

    def look(self) -> None:
        """Take up what has come."""
        number = self._timeline.next if self._timeline is not None else 0
        if number != self._seen and not (self.paused and self._seen >= 0):
            self._seen = number
            self._take()

    def _take(self) -> None:
        ordered = self._timeline.ordered() if self._timeline is not None else []
        wanted, folded = self._filter.lower(), self._folded
        self._moments = [
            one
            for one in ordered
            if not one.echo
            and not (one.group >= 0 and folded and f"{one.stream}#{one.group}" in folded)
            and (not wanted or wanted in one.text.lower())
        ]
        last = max(0, len(self._moments) - 1)
        if self.following:
            self._cursor = last
        else:
            at = next((place for place, one in enumerate(self._moments) if one.id == self._held), None)
            self._cursor = min(self._cursor, last) if at is None else at
        self._lay_out()

    def _lay_out(self) -> None:
        if not self.is_attached:
            return
        row = self._cursor - self.scroll_offset.y
        before = self.virtual_size.height
        self.virtual_size = Size(self.scrollable_content_region.width, max(1, len(self._moments)))
        if self.following:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True, immediate=True)
        elif before != self.virtual_size.height and row >= 0:
            self.scroll_to(y=max(0, self._cursor - row), animate=False, force=True, immediate=True)
        self.refresh()

    def redraw(self) -> None:
        """Draw for the present width."""
        if self.scrollable_content_region.width > 0:
            self._drawn_for = self.scrollable_content_region.width
            self._lay_out()

    def render_line(self, y: int) -> Strip:
        """A moment, or why there is none."""
        index = y + self.scroll_offset.y
        if not self._moments:
            empty = self._empty
            if self._filter and self._timeline is not None and len(self._timeline):
                empty = [muted("Nothing fits the filter; escape drops it.")]
            return self.draw(empty[y] if y < len(empty) else None, y)
        if index >= len(self._moments):
            return self.draw(None, index)
        one = self._moments[index]
        return self.draw(moment_line(one, folded=one.id in self._folded), index)

    def line_style(self, index: int) -> Style:
        """The cursor stands out while the keys go here."""
        style = super().line_style(index)
        if self.has_focus and self._moments and index == self._cursor:
            return style + Style.parse("$t-cursor")
        return style

    # moving

    def _go(self, index: int) -> None:
        if not self._moments:
            return
        self._cursor = max(0, min(index, len(self._moments) - 1))
        self._held = self._moments[self._cursor].id
        self.following = False
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= self._cursor < top + height:
            wanted = self._cursor if self._cursor < top else self._cursor - height + 1
            self.scroll_to(y=max(0, wanted), animate=False, force=True, immediate=True)
        self.refresh()

    def action_move(self, by: int) -> None:
        """A line up or down."""
        if not (by > 0 and self.following):
            self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self.action_move(by * max(1, self.scrollable_content_region.height - 1))

    def action_top(self) -> None:
        """To the beginning."""
        self._go(0)

    def action_follow(self) -> None:
        """Follow the end."""
        self.following, self.paused, self._held = True, False, ""
        self.look()
        self._take()

    def action_pause(self) -> None:
        """Take up nothing that comes, or go on."""
        if self.paused:
            self.action_follow()
            return
        self._go(self._cursor)
        self.paused = True

    def action_error(self, first: bool) -> None:
        """To the first error, or to the next one, round and round."""
        errors = [place for place, one in enumerate(self._moments) if one.level >= LogLevel.ERROR]
        if not errors:
            self.app.notify("There is no error in what is shown.", markup=False)
            return
        after = [place for place in errors if place > self._cursor]
        self._go(errors[0] if first or not after else after[0])

    # folding, saving

    def action_fold(self) -> None:
        """Fold the group under the cursor, or open it."""
        one = self.chosen
        if one is None:
            return
        head = one.id if one.mark is Mark.GROUP else f"{one.stream}#{one.group}" if one.group >= 0 else ""
        if head:
            self._folded ^= {head}
            self.following, self._held = False, head
            self._take()

    def action_fold_all(self) -> None:
        """Fold every group; when all are folded, open them."""
        every = self._timeline.ordered() if self._timeline is not None else []
        heads = {one.id for one in every if one.mark is Mark.GROUP and one.source is Source.JOB}
        self._folded = set() if heads <= self._folded else heads
        self._take()

    def action_save(self) -> None:
        """Have what is shown written to a file."""
        if self._moments:
            self.post_message(self.SaveRequested(self.text(), len(self._moments)))
