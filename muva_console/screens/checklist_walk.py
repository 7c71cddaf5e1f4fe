"""The walk: the verdict always in sight, the items, and the one under the cursor whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from muva_console.ops.errors import OpsError
from muva_console.ops.runbooks.model import StepKind
from muva_console.ops.runbooks.run import Word
from muva_console.ops.runbooks.standing import ItemView, RunView, State
from muva_console.ops.walking.moves import act_needed
from muva_console.screens.checklist_standing import Standing
from muva_console.screens.checklist_text import (
    ITEM_COLUMNS,
    NARROW_COLUMNS,
    Enter,
    enter_does,
    item_aside,
    item_lines,
    item_rows,
    sayable,
)
from muva_console.screens.frame import CopyItem
from muva_console.widgets.level import muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.sections import SectionTable
from muva_console.widgets.table import Table

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.screens.hand import Hand

_WORDS: dict[str, Word] = {
    "a": Word.YES,
    "x": Word.NO,
    "o": Word.OVERRIDDEN,
    "n": Word.NOT_APPLICABLE,
    "h": Word.HANDED,
    "u": Word.WITHDRAWN,
}


_NOT_YET = (State.ASKING, State.WAITING)


class Items(SectionTable):
    """The items of a run; `enter` begins what is next for the one under the cursor."""

    HELP = (
        "The items of this run. `enter` begins what is next for the one under the cursor: answer it, perform "
        "it, sense it, or see it whole. `tab` goes to the next that is open. Each row: how it stands, what "
        "was found or asked, how old that is."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "begin('answer')", "answer", key_display="enter", id="checklist.answer",
                tooltip="Answer it"),
        Binding("enter", "begin('perform')", "see and do", key_display="enter", id="checklist.perform",
                tooltip="See what would be done or sent, then do it"),
        Binding("enter", "begin('sense')", "sense", key_display="enter", id="checklist.sense_it",
                tooltip="Sense it"),
        Binding("enter", "begin('see')", "see all", key_display="enter", id="checklist.see",
                tooltip="See all that is known of it"),
    ]  # fmt: skip

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`enter` is what is next for the item."""
        if action == "begin":
            pane = self.parent_pane
            item = pane.item
            return item is not None and enter_does(item, ended=pane.ended) == parameters[0]
        return super().check_action(action, parameters)

    @property
    def parent_pane(self) -> WalkPane:
        """The walk they belong to."""
        return self.query_ancestor(WalkPane)

    def action_begin(self, what: str) -> None:
        """Begin it."""
        self.parent_pane.begin(Enter(what))


class WalkPane(Container):
    """A run in hand."""

    HELP = (
        "A run is kept after every step, and anybody on the same journal may go on with it. What a machine "
        "can tell is sensed, with evidence; what only a person knows is asked. Evidence expires, visibly. "
        "A red item is overridden only with a reason, and the reason stays beside the verdict."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "say('a')", "yes", id="checklist.yes", tooltip="Attest it, with a note"),
        Binding("x", "say('x')", "no", id="checklist.no", tooltip="Say no, with the reason"),
        Binding("o", "say('o')", "override", id="checklist.override", tooltip="Pass over it, with a reason"),
        Binding("n", "say('n')", "n/a", id="checklist.not_applicable", tooltip="Not applicable, and why"),
        Binding("h", "say('h')", "hand on", id="checklist.hand", tooltip="Hand it to somebody"),
        Binding("u", "say('u')", "withdraw", id="checklist.withdraw", tooltip="Withdraw what was said"),
        Binding("tab,right_square_bracket", "jump(1)", "next open", key_display="tab", id="checklist.next",
                tooltip="To the next item that is open"),
        Binding("shift+tab,left_square_bracket", "jump(-1)", "previous open", show=False,
                id="checklist.previous", tooltip="To the one before that is open"),
        Binding("r", "sense", "sense again", id="checklist.sense", tooltip="Sense this item again"),
        Binding("R", "sense_all", "all again", id="checklist.sense_all", tooltip="Sense every item again"),
        Binding("w", "write", "write", id="checklist.write", tooltip="Write the run as Markdown and JSON"),
        Binding("E", "end", "end", id="checklist.end", tooltip="End the run with its verdict; asks"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    WalkPane { layout: vertical; height: 1fr; }
    WalkPane #standing { height: auto; max-height: 10; padding: 0 2; margin: 0; }
    WalkPane #both { layout: vertical; height: 1fr; }
    WalkPane #items { height: auto; max-height: 58%; min-height: 4; }
    WalkPane #item { height: 1fr; min-height: 5; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.hand: Hand | None = None
        self._chosen_once = False
        self._led_to = ""
        self._narrow: bool | None = None
        self._wanted: bool | None = None
        self._offered: object = None

    def compose(self) -> ComposeResult:
        """The standing, the items, the item."""
        yield Standing(lambda: self.view, id="standing")
        yield Container(
            Items(ITEM_COLUMNS, title="Items", heading=False, id="items"),
            Panel(self._item_lines, title="Item", id="item"),
            id="both",
        )

    @property
    def items(self) -> Items:
        """The list."""
        return self.query_one("#items", Items)

    @property
    def console_app(self) -> MuvaApp:
        """The application, typed."""
        return cast("MuvaApp", self.app)

    @property
    def view(self) -> RunView | None:
        """The newest view."""
        return self.hand.view if self.hand is not None else None

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.view is not None and self.view.run.ended_at is not None

    @property
    def item(self) -> ItemView | None:
        """The item under the cursor."""
        chosen = self.items.chosen
        return self.view.item(chosen) if self.view is not None and chosen is not None else None

    # drawing

    def take(self, hand: Hand | None) -> None:
        """Show another run, from its next item on."""
        if hand is not self.hand:
            self.hand = hand
            self._chosen_once = False
            if self.composed:
                self.items.fill(())
        self.draw()

    def laid_out(self, *, narrow: bool) -> None:
        """The terminal has another width."""
        self._wanted = narrow
        if narrow != self._narrow and self.composed:
            self._narrow = narrow
            self.items.set_columns(NARROW_COLUMNS if narrow else ITEM_COLUMNS)

    def on_mount(self) -> None:
        """Draw what was taken while the pane was being made."""
        if self._wanted is not None:
            self.laid_out(narrow=self._wanted)
        self.draw()

    @property
    def composed(self) -> bool:
        """Whether its parts are there: a run that was opened at once may be told before they are."""
        return bool(self.query("#item"))

    def draw(self) -> None:
        """Draw the newest view; rows and the cursor keep their place."""
        if not self.composed:
            return
        self.query_one(Standing).show()
        view, hand = self.view, self.hand
        rows = item_rows(view, hand.asking_for()) if view is not None and hand is not None else []
        self.items.fill(rows, empty=self._empty())
        if view is not None and not self._chosen_once:
            self._chosen_once = True
            self._led_to = view.next or next((item.id for item in view.items), "")
            self.items.choose(self._led_to)
        elif view is not None and self._led_to:
            self._lead_to_act(view)
        if view is not None:
            begun = f"begun by {', then '.join(view.run.people)}" if view.run.people else ""
            self.items.face(Content.assemble("Items  ", muted(f"run {view.run.id[:8]}")), muted(begun))
        self._draw_item()
        offered = self._offers()
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def _lead_to_act(self, view: RunView) -> None:
        """Once, and unless the cursor was moved: to the first act that is found to be needed."""
        if self.items.chosen != self._led_to:
            self._led_to = ""
            return
        if needed := act_needed(view):
            self._led_to = ""
            self.items.choose(needed)

    def _empty(self) -> list[Content]:
        hand = self.hand
        if hand is None:
            return []
        if hand.error is not None:
            first, *rest = hand.error.lines()
            lines = [Content.styled(f"✖ {first}", "$t-fail"), *(muted(f"  {line}") for line in rest)]
            return [*lines, muted("escape goes back to the list")]
        return [muted(f"◐ opening {hand.title} …")] if hand.view is None else [muted("It has no items.")]

    def _draw_item(self) -> None:
        panel = self.query_one("#item", Panel)
        view, item = self.view, self.item
        panel.display = item is not None
        if view is None or item is None:
            return
        self._want_message(item)
        panel.face(item.step.title, item_aside(view, item))
        panel.redraw()

    def _item_lines(self, width: int) -> Sequence[Content]:
        view, item = self.view, self.item
        if view is None or item is None:
            return ()
        return item_lines(view, item, width, message=self._message(item))

    def _message(self, item: ItemView) -> list[str]:
        text = self.hand.messages.get(item.id, "") if self.hand is not None else ""
        return text.splitlines()

    def _offers(self) -> object:
        item = self.item
        if item is None:
            return None
        return (
            enter_does(item, ended=self.ended),
            sayable(item, ended=self.ended),
            item.step.sensed,
            self.ended,
        )

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another item."""
        event.stop()
        self.query_one("#item", Panel).scroll_home(animate=False)
        self._draw_item()
        self._offered = self._offers()
        self.refresh_bindings()

    def _want_message(self, item: ItemView) -> None:
        """Ask once for what an operation would send, so that it stands beside its item."""
        hand = self.hand
        if hand is None or hand.walk is None or item.step.kind is not StepKind.OPERATION:
            return
        if item.id not in hand.messages:
            hand.messages[item.id] = ""
            self.console_app.work_on(
                "asking for the message", lambda: self._ask_message(hand, item), group="messages"
            )

    async def _ask_message(self, hand: Hand, item: ItemView) -> None:
        try:
            await hand.message(item)
        except OpsError:
            return  # not every operation sends a message; what prevents one is told when it is asked for
        if hand is self.hand:
            self._draw_item()

    def on_table_opened(self, event: Table.Opened) -> None:
        """A double click is `enter`."""
        event.stop()
        item = self.item
        if item is not None:
            self.begin(enter_does(item, ended=self.ended))

    # acting

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the item under the cursor."""
        item = self.item
        match action:
            case "say":
                return item is not None and _WORDS[str(parameters[0])] in sayable(item, ended=self.ended)
            case "sense":
                return (
                    item is not None
                    and item.step.sensed
                    and not self.ended
                    and item.state is not State.ASKING
                )
            case "sense_all" | "end" | "jump":
                return self.view is not None and not self.ended
            case "write":
                return self.view is not None
        return super().check_action(action, parameters)

    def begin(self, what: Enter) -> None:
        """Do what is next for the item under the cursor."""
        item, hand = self.item, self.hand
        if item is None or hand is None:
            return
        match what:
            case Enter.ANSWER:
                words = [word for word in (Word.NO, Word.YES) if word in sayable(item, ended=False)]
                self._say(item, words or [Word.NOT_APPLICABLE])
            case Enter.PERFORM:
                from muva_console.screens.walk_acts import perform

                app = self.console_app
                app.work_on(item.step.title, lambda: perform(app, hand, item), group="acts")
            case Enter.SENSE:
                hand.sense(item.id)
            case Enter.SEE:
                self._see(item)

    def _say(self, item: ItemView, words: Sequence[Word]) -> None:
        from muva_console.screens.walk_acts import say

        app, hand = self.console_app, self.hand
        if hand is not None:
            app.work_on(f"answering {item.step.title}", lambda: say(app, hand, item, words), group="answers")

    def action_say(self, key: str) -> None:
        """Say something of the item under the cursor."""
        item = self.item
        if item is not None:
            self._say(item, (_WORDS[key],))

    def _see(self, item: ItemView) -> None:
        from muva_console.screens.reader import Reader

        hand = self.hand

        def lines(width: int) -> Sequence[Content]:
            view = hand.view if hand is not None else None
            now = view.item(item.id) if view is not None else None
            if view is None or now is None:
                return [muted("It is gone from this run.")]
            return item_lines(view, now, width, message=self._message(now), whole=True)

        self.app.push_screen(Reader(item.step.title, lines, command=item.command))

    def action_jump(self, by: int) -> None:
        """To the next item that waits for somebody, round and round; not to what is being asked."""
        view, chosen = self.view, self.items.chosen
        if view is None:
            return
        ids = [item.id for item in view.items]
        at = ids.index(chosen) if chosen in ids else 0
        ahead = [*view.items[at + 1 :], *view.items[:at]]
        waiting = [item.id for item in ahead[::by] if item.open and item.state not in _NOT_YET]
        if waiting:
            self.items.choose(waiting[0])
            self.items.focus()

    def action_sense(self) -> None:
        """Sense the item under the cursor again."""
        if self.item is not None and self.hand is not None:
            self.hand.sense(self.item.id)

    def action_sense_all(self) -> None:
        """Sense every item again."""
        if self.hand is not None:
            self.hand.sense()

    def action_write(self) -> None:
        """Write the run to files."""
        from muva_console.screens.walk_acts import export

        app, hand, view = self.console_app, self.hand, self.view
        if hand is not None and view is not None:
            app.work_on("writing the run", lambda: export(app, hand, view), group="write")

    def action_end(self) -> None:
        """End the run."""
        from muva_console.screens.walk_acts import end

        app, hand = self.console_app, self.hand
        if hand is not None:
            app.work_on("ending the run", lambda: end(app, hand), group="answers")

    def copy_items(self) -> Sequence[CopyItem]:
        """The command, the evidence, the item, what would be sent, the run."""
        from muva_console.screens.walk_acts import copies

        hand, view, item = self.hand, self.view, self.item
        if hand is None or view is None:
            return ()
        return copies(hand, view, item, self._message(item) if item is not None else ())
