"""What every mode's screen shares: the band, the modes, the keys, and looking only while it is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize, ScreenResume, ScreenSuspend
from textual.screen import Screen
from textual.widget import Widget

from muva_console.ops.feed import Freshness, Snapshot
from muva_console.screens.board import Topic
from muva_console.screens.facts import band_state
from muva_console.widgets.bars import Band, KeyBar, Mode, ModeBar
from muva_console.widgets.fit import HEIGHTS, WIDTHS
from muva_console.widgets.format import STEP, age
from muva_console.widgets.level import freshness_word, muted

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.screens.board import Board

ALL_MODES = (
    Mode("1", "overview", "Overview", "Over"),
    Mode("2", "checklist", "Checklist", "Check"),
    Mode("3", "deploy", "Deploy", "Depl"),
    Mode("4", "migrations", "Migrations", "Migr"),
    Mode("5", "processes", "Processes", "Proc"),
    Mode("6", "health", "Health", "Heal"),
    Mode("7", "emergency", "Emergency", "Emer"),
    Mode("8", "metrics", "Metrics", "Metr"),
    Mode("9", "journal", "Journal", "Jour"),
)
"""The modes, in the order of their keys."""


class CopyItem:
    """Something that `y` can copy: what it is, and its text."""

    __slots__ = ("text", "what")

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.text = text


class Frame(Screen[None]):
    """A mode's screen."""

    MODE: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="back", tooltip="Back to where you came from"),
    ]

    DEFAULT_CSS = """
    Frame { background: $background; color: $foreground; overflow: hidden; }
    Frame > #body { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.shown = False

    # the console around it

    @property
    def console_app(self) -> MuvaApp:
        """The application, typed."""
        return cast("MuvaApp", self.app)

    @property
    def board(self) -> Board:
        """What is known now."""
        return self.console_app.board

    @property
    def environment(self) -> str:
        """The environment in hand."""
        return self.console_app.environment

    @property
    def narrow(self) -> bool:
        """Fewer than 100 columns."""
        return self.size.width < 100

    @property
    def wide(self) -> bool:
        """160 columns or more."""
        return self.size.width >= 160

    # what a mode defines

    def body(self) -> Iterable[Widget]:
        """The mode's widgets."""
        return ()

    def topics(self) -> Iterable[Topic]:
        """What the mode looks at while it is shown."""
        return ()

    def refresh_all(self) -> None:
        """Draw everything anew from what the board knows."""

    def changed(self, topic: Topic) -> None:
        """A snapshot of `topic` arrived."""
        self.refresh_all()

    def tick(self) -> None:
        """A second has passed: ages and clocks move on."""

    def laid_out(self) -> None:
        """The terminal has another size."""

    def copy_items(self) -> Sequence[CopyItem]:
        """What `y` copies; the first is what one most likely wants."""
        return ()

    def crumbs(self) -> str:
        """Where within the mode one is."""
        return ""

    def host_in_hand(self) -> str | None:
        """The host that `s` opens a shell on: of what is selected, else the environment's first."""
        hosts = self.board.environment(self.environment).hosts if self.environment else ()
        return hosts[0] if hosts else None

    # the frame

    def compose(self) -> ComposeResult:
        """Band, modes, the body, keys."""
        yield Band(self.console_app.now)
        yield ModeBar(ALL_MODES, self.MODE)
        yield from self.body()
        yield KeyBar()

    def on_screen_resume(self, event: ScreenResume) -> None:
        """Shown again: look, and draw what arrived meanwhile."""
        self.shown = True
        self.look()
        self.redraw()
        if self.console_app.awake:
            self.entered()

    def on_screen_suspend(self, event: ScreenSuspend) -> None:
        """Hidden: look no more. A dialog over this mode leaves it in sight, and looked at."""
        if self.app.screen_stack[:1] != [self]:
            self.shown = False
            self.board.want(self, ())
            self.left()

    def on_resize(self, event: Resize) -> None:
        """Lay out for the new size."""
        if self.is_mounted:
            self.laid_out()

    def look(self) -> None:
        """Watch what this mode shows, of the environment in hand."""
        self.board.want(self, self.topics())

    def redraw(self) -> None:
        """Draw frame and body anew."""
        self.draw_frame()
        self.refresh_all()

    def draw_frame(self) -> None:
        """Draw the band and the modes anew."""
        app = self.console_app
        if not self.query(Band):  # it is on its way in or out
            return
        self.query_one(Band).show(band_state(self.board, self.environment, app.engineer_label, app.alarm))
        self.query_one(ModeBar).show(pace=app.pace(), crumbs=self.crumbs())

    def deliver(self, topic: Topic) -> None:
        """A snapshot arrived; called by the application for the mode that is shown."""
        if self.shown and self.is_mounted:
            self.draw_frame()
            self.changed(topic)

    def beat(self) -> None:
        """Once a second, for the mode that is shown."""
        if self.shown and self.is_mounted:
            self.draw_frame()
            self.query_one(Band).tick()
            self.tick()

    def go_back(self) -> bool:
        """Go one step back within the mode; False when there is none."""
        return False

    def entered(self) -> None:
        """The mode is shown again."""

    def environment_changed(self) -> None:
        """Another environment is in hand."""

    def left(self) -> None:
        """The mode is shown no more."""

    def refreshed(self) -> None:
        """`r` was pressed: ask what no feed asks (the journal, say)."""

    def action_back(self) -> None:
        """Back; within a mode that has nowhere to go back to it does nothing."""
        self.go_back()

    def aside(self, snapshot: Snapshot[Any], source: str = "") -> Content:
        """What stands right in a panel's frame: the state when it is not fresh, the age, the source."""
        return aside(snapshot, self.board.monotonic(), source)


class Opening(Frame):
    """The frame alone: what is painted first, while the Overview is fetched."""

    MODE = "overview"

    def body(self) -> Iterable[Widget]:
        """Nothing yet."""
        yield Widget(id="body")


def aside(snapshot: Snapshot[Any], now: float, source: str = "") -> Content:
    """Age and source of a reading, and why it may not be believed when it may not."""
    freshness = snapshot.freshness(now)
    known = snapshot.age(now)
    parts: list[Content] = []
    match freshness:
        case Freshness.FRESH:
            parts.append(muted(age(known)))
        case Freshness.NEVER | Freshness.ASKING:
            parts.append(freshness_word(freshness))
        case _:
            old = f", {age(known)} old" if known is not None and known >= STEP else ""
            word = freshness_word(freshness)
            parts.append(word if not old else Content.assemble(word, muted(old)))
    if source:
        parts.append(muted(source))
    return muted(" · ").join(parts)


def why_not(snapshot: Snapshot[Any], what: str) -> list[Content]:
    """The words for a panel that has no value to show yet."""
    if snapshot.error is not None:
        first, *rest = snapshot.error.lines()
        lines = [Content.assemble(("✖ ", "$t-fail"), f"{what} cannot be read: {first}")]
        lines += [Content.assemble("  ", muted(line)) for line in rest]
        tries = f", {snapshot.failures} tries so far" if snapshot.failures > 1 else ""
        lines.append(Content.assemble("  ", muted(f"asked again by itself{tries}; r asks now")))
        return lines
    if snapshot.asking:
        return [Content.styled(f"◐ asking for {what} …", "$t-muted")]
    if snapshot.paused:
        return [Content.styled(f"⏸ paused before {what} was read; p goes on", "$t-muted")]
    return [Content.styled(f"◌ {what}: not asked yet", "$t-muted")]
