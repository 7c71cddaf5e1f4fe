"""Overview: every environment side by side, what changed lately, and what needs the engineer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Click, DescendantFocus
from textual.message import Message
from textual.widget import Widget

from muva_console.ops.feed import Freshness
from muva_console.ops.readings import Level
from muva_console.screens.board import MIGRATIONS, Concern, Topic
from muva_console.screens.cards import card_lines
from muva_console.screens.duty import duty_line
from muva_console.screens.evidence import finding_lines
from muva_console.screens.facts import kind_of
from muva_console.screens.frame import CopyItem, Frame, aside
from muva_console.screens.recent import Recent
from muva_console.widgets.dialog import Words
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import clock, short
from muva_console.widgets.level import GLYPH, STYLE, muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.screens.board import Board

CARD_WIDTH = 34
"""Cells that a card needs to show its sparklines beside the figures."""


class Card(Panel):
    """One environment."""

    HELP = "An environment. `enter` opens its health, `←` `→` go to the next one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "open",
            "health",
            key_display="enter",
            id="card.open",
            tooltip="Open this environment's health",
        ),
        Binding("right,l", "app.focus_next", "Next", show=False, id="card.next"),
        Binding("left,h", "app.focus_previous", "Previous", show=False, id="card.previous"),
    ]

    class Opened(Message):
        """The environment shall be looked at closely."""

        def __init__(self, environment: str) -> None:
            super().__init__()
            self.environment = environment

    def __init__(self, board: Board, environment: str) -> None:
        super().__init__(title=environment.upper(), classes="card")
        self.board = board
        self.environment = environment

    def build(self, width: int) -> Sequence[Content]:
        """The environment's lines."""
        return card_lines(self.board, self.environment, width, self.content_size.height)

    def update(self, board: Board) -> None:
        """Draw what is known now."""
        self.board = board
        title = Content.assemble(
            (f" {self.environment.upper()} ", f"$t-band-{kind_of(board, self.environment)}")
        )
        snapshot = board.health(self.environment)
        if board.feed(Topic("health", self.environment)) is not None:
            self.face(title, aside(snapshot, board.monotonic()))
            old = (Freshness.STALE, Freshness.UNREACHABLE)
            self.dim(snapshot.freshness(board.monotonic()) in old)
        else:
            self.face(title)
        self.redraw()

    def action_open(self) -> None:
        """Open the environment's health."""
        self.post_message(self.Opened(self.environment))

    def on_click(self, event: Click) -> None:
        """A double click opens."""
        if event.chain == 2:
            self.action_open()


class Overview(Frame):
    """Every environment side by side."""

    MODE = "overview"
    AUTO_FOCUS = ""
    HELP = (
        "Every environment side by side. Below: what changed lately, and what needs you, the worst first. "
        "`tab` goes from panel to panel, `enter` opens the evidence."
    )
    DEFAULT_CSS = """
    Overview #cards { layout: grid; grid-rows: 9; height: auto; max-height: 18; overflow-y: auto; }
    Overview .card { height: 100%; }
    Overview.-high #cards { grid-rows: 15; max-height: 60%; }
    Overview.-narrow #cards { grid-rows: 5; }
    Overview.-narrow.-tall #cards { grid-rows: 9; max-height: 27; }
    Overview.-narrow.-high #cards { grid-rows: 9; max-height: 36; }
    Overview #below { layout: grid; grid-size: 1; grid-rows: auto 1fr; height: 1fr; }
    Overview #duty { height: 1; max-height: 1; display: none; }
    Overview #duty.-any { display: block; }
    Overview #needs { height: auto; max-height: 20; }
    Overview #changed { height: 100%; }
    Overview #evidence { display: none; height: 100%; row-span: 2; }
    Overview.-wide #below { grid-size: 2; grid-columns: 1fr 1fr; grid-rows: 1fr; }
    Overview.-wide #needs { height: 100%; max-height: 100%; }
    Overview.-wide #below.-concerned { grid-rows: auto 1fr; }
    Overview.-wide #below.-concerned #needs { height: auto; max-height: 20; }
    Overview.-wide #below.-concerned #evidence { display: block; }
    Overview.-narrow.-short #below { grid-rows: 1fr; }
    Overview.-narrow.-short #needs { height: 100%; }
    Overview.-narrow.-short #changed { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._concerns: dict[str, Concern] = {}
        self._recent = Recent()

    def body(self) -> Iterable[Widget]:
        """Cards above, two lists below."""
        names = self.board.names
        cards = Container(*(Card(self.board, name) for name in names), id="cards")
        needs = Table(_NEEDS, title="Needs you", heading=False, id="needs")
        changed = Table(_CHANGED, title="What changed", heading=False, id="changed")
        evidence = Panel(self._evidence, title="Evidence", id="evidence")
        duty = Words(id="duty")
        yield Container(cards, duty, Container(needs, evidence, changed, id="below"), id="body")

    def topics(self) -> Iterable[Topic]:
        """Health, processes, branches and migrations of every environment."""
        return {MIGRATIONS, *self.board.topics("health", "processes", "resources", "repository")}

    def laid_out(self) -> None:
        """As many cards in a row as fit."""
        names = list(self.board.workspace.environments)
        columns = max(1, min(len(names), self.size.width // CARD_WIDTH))
        if self.narrow:
            columns = 1
        cards = self.query_one("#cards")
        cards.styles.grid_size_columns = columns
        self._draw_cards()

    def refresh_all(self) -> None:
        """Draw everything."""
        cards = {card.environment for card in self.query(Card)}
        if cards != set(self.board.workspace.environments):
            self.app.call_later(self._renew_cards)
        self._draw_duty()
        self._draw_cards()
        self._draw_needs()
        self._draw_changed()

    async def _renew_cards(self) -> None:
        """A changed configuration has other environments."""
        holder = self.query_one("#cards")
        await holder.remove_children()
        await holder.mount_all(Card(self.board, name) for name in self.board.names)
        self.laid_out()

    def changed(self, topic: Topic) -> None:
        """One environment's reading arrived."""
        for card in self.query(Card):
            if topic == MIGRATIONS or card.environment == topic.environment:
                card.update(self.board)
        self._draw_needs()
        self._draw_changed()

    def _draw_duty(self) -> None:
        duty = self.query_one("#duty", Words)
        line = duty_line(self.board, self.size.width - 2)
        duty.set_class(line is not None, "-any")
        duty.say_if_changed([] if line is None else [line])

    def tick(self) -> None:
        """Ages move on."""
        self._draw_duty()
        self._draw_cards()
        self._draw_needs()

    def _draw_cards(self) -> None:
        for card in self.query(Card):
            card.update(self.board)

    def _draw_needs(self) -> None:
        concerns = self.board.concerns()
        self._concerns = {concern.key: concern for concern in concerns}
        table = self.query_one("#needs", Table)
        table.fill([self._need(concern) for concern in concerns], empty=self._nothing())
        if concerns and not table.has_focus:
            table.choose(concerns[0].key)  # nobody is reading further down: the worst comes first
        table.face("Needs you", muted(f"{len(concerns)}") if concerns else "")

        self.query_one("#below").set_class(bool(concerns), "-concerned")
        self._draw_evidence()

    def _draw_evidence(self) -> None:
        panel = self.query_one("#evidence", Panel)
        if panel.display:
            concern = self._concerns.get(self.query_one("#needs", Table).chosen or "")
            panel.face(Content.assemble("Evidence", muted(f"  {concern.environment}") if concern else ""))
            panel.redraw()

    def _evidence(self, width: int) -> Sequence[Content]:
        concern = self._concerns.get(self.query_one("#needs", Table).chosen or "")
        if concern is None:
            return []
        return wrapped(finding_lines(self.board, concern.environment, concern.finding), width)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another concern: its evidence."""
        if event.table.id == "needs":
            self._draw_evidence()

    def _need(self, concern: Concern) -> Row:
        finding = concern.finding
        since = self.board.monotonic() - concern.since
        what = Content.assemble(finding.summary, muted(f"  {finding.subject}") if finding.subject else "")
        return Row(
            concern.key,
            (
                Content.styled(f"{GLYPH[finding.level]} {finding.level}", STYLE[finding.level]),
                Content(concern.environment),
                what,
                muted("now" if since < 60 else short(since)),
            ),
        )

    def _nothing(self) -> list[Content]:
        board = self.board
        names = [name for name in board.workspace.environments if board.topics("health", environment=name)]
        unasked = [name for name in names if board.health(name).value is None]
        if not board.workspace.environments:
            return [
                Content("No environment is configured."),
                muted("muva init writes a muva.toml from what is here; muva doctor checks it."),
            ]
        if unasked:
            return [muted(f"◐ waiting for {', '.join(unasked)} …")]
        doubtful = [name for name in names if board.level(name) is not Level.OK]
        if doubtful:
            return [Content.styled(f"? how {', '.join(doubtful)} stands is not known", STYLE[Level.UNKNOWN])]
        return [Content.assemble(("● ", STYLE[Level.OK]), "Nothing. Every check of every environment is ok.")]

    def _draw_changed(self) -> None:
        changes = self._recent.merged(self.board.latest_changes(100))
        table = self.query_one("#changed", Table)
        rows = []
        for number, change in enumerate(changes):
            text = Content.assemble(
                (f"{GLYPH[change.level]} ", STYLE[change.level]) if change.level is not Level.OK else "  ",
                change.text,
                muted(f"  {change.who}") if change.who else "",
            )
            key = f"{change.at.isoformat()} {number} {change.text}"
            rows.append(Row(key, (muted(clock(change.at, seconds=False)), Content(change.environment), text)))
        table.fill(rows, empty=[muted("Nothing since the console began to look.")])
        table.face("What changed", muted("UTC") if rows else "")

    def entered(self) -> None:
        """Shown again: what the journal has to say may be new."""
        self.refreshed()

    def on_mount(self) -> None:
        """The focus is on the environment in hand."""
        self.focus_card()

    def environment_changed(self) -> None:
        """A card that had the focus gives it to the environment in hand."""
        if isinstance(self.focused, Card) and self.focused.environment != self.environment:
            self.focus_card()

    def focus_card(self) -> None:
        """The focus is on the environment in hand."""
        for card in self.query(Card):
            if card.environment == self.environment:
                card.focus()

    def refreshed(self) -> None:
        """Read the journal's newest entries."""
        self.console_app.work_on("reading the journal", self._read_journal, group="recent", exclusive=True)

    async def _read_journal(self) -> None:
        if await self._recent.read(self.console_app):
            self._draw_changed()

    def on_card_opened(self, event: Card.Opened) -> None:
        """Take the environment in hand and look at its health."""
        self.console_app.set_environment(event.environment)
        self.console_app.action_mode("health")

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The card with the focus is the environment in hand."""
        if isinstance(event.widget, Card):
            self.console_app.set_environment(event.widget.environment)

    def on_table_opened(self, event: Table.Opened) -> None:
        """Open the evidence of what needs the engineer; the journal for what changed."""
        concern = self._concerns.get(event.key)
        if event.table.id == "changed":
            self.console_app.action_mode("journal")
        elif concern is not None:
            self.app.run_worker(self.console_app.open_finding(concern.environment, concern.finding))

    def copy_items(self) -> Sequence[CopyItem]:
        """The command behind what needs the engineer, or all that is listed."""
        items = []
        table = self.query_one("#needs", Table)
        concern = self._concerns.get(table.chosen or "")
        if concern is not None and concern.finding.command and table.has_focus:
            items.append(CopyItem("the command behind it", concern.finding.command))
            items.append(CopyItem("what it says", concern.finding.summary))
        items += [
            CopyItem(f"the card of {card.environment}", card.text())
            for card in self.query(Card)
            if card.environment == self.environment
        ]
        items.append(CopyItem("all that needs you", table.text()))
        return items


_NEEDS = (
    Column("level", 9, keep=90),
    Column("environment", 10, keep=40),
    Column("what", 20, flex=True),
    Column("since", 5, align="right", keep=60),
)
_CHANGED = (
    Column("at", 5),
    Column("environment", 10, keep=40),
    Column("what", 20, flex=True),
)
