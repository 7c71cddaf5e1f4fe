"""Checklist: the runbooks of before and after a deployment, walked one item at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.runbooks.model import Runbook, StepKind
from muva_console.ops.runbooks.run import Run
from muva_console.screens.checklist_begin import BeginPane, read_known
from muva_console.screens.checklist_walk import WalkPane
from muva_console.screens.frame import CopyItem, Frame
from muva_console.screens.hand import Hand
from muva_console.widgets.level import muted, strong
from muva_console.widgets.table import Table

READ_EVERY = 5
"""Seconds between looks for runs that colleagues begin, while the list is in sight."""


class Checklist(Frame):
    """The list of runbooks and open runs, or the run in hand: one for each environment."""

    MODE = "checklist"
    AUTO_FOCUS = None
    HELP = (
        "The procedures of the playbook. Each walks itself: what can be sensed is sensed, with evidence; "
        "what only a person knows is asked. The verdict is GO, NO-GO or CANNOT TELL."
    )
    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    Checklist #body { layout: vertical; }
    Checklist #walk { display: none; }
    Checklist #body.-walking #walk { display: block; }
    Checklist #body.-walking #begin { display: none; }
    Checklist.-wide #both { layout: horizontal; }
    Checklist.-wide #items { width: 3fr; height: 100%; max-height: 100%; }
    Checklist.-wide #item { width: 2fr; height: 100%; }
    Checklist.-narrow #contacts { width: 36; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._hands: dict[str, Hand] = {}
        self._listing: set[str] = set()
        """Environments of which the list is in sight although a run is in hand."""
        self._of = ""
        self._ticks = 0

    def body(self) -> Iterable[Widget]:
        """Both views; one of them is in sight."""
        yield Container(BeginPane(id="begin"), WalkPane(id="walk"), id="body")

    @property
    def begin_pane(self) -> BeginPane:
        """The list."""
        return self.query_one("#begin", BeginPane)

    @property
    def walk_pane(self) -> WalkPane:
        """The walk."""
        return self.query_one("#walk", WalkPane)

    @property
    def hand(self) -> Hand | None:
        """The run in hand of the environment in hand."""
        return self._hands.get(self.environment)

    @property
    def walking(self) -> bool:
        """Whether the walk is in sight, not the list."""
        return self.hand is not None and self.environment not in self._listing

    # showing

    def on_mount(self) -> None:
        """The list has the focus."""
        self.begin_pane.choices.focus()

    def entered(self) -> None:
        """What was in hand is in hand."""
        self.refreshed()

    def environment_changed(self) -> None:
        """Another environment has another run in hand, or none."""
        self.refreshed()

    def refreshed(self) -> None:
        """Look whether another commit goes out; read the list again, the files of the runbooks too."""
        if self.walking and self.hand is not None:
            self.hand.look_again()
        else:
            self.console_app.engine.post(self.console_app.workspace.forget_runbooks)
            self._read()

    def _read(self) -> None:
        self.console_app.work_on(
            "reading the runbooks", self._read_known, group="checklist.read", exclusive=True
        )

    async def _read_known(self) -> None:
        app, environment = self.console_app, self.environment
        if not environment:
            return
        known = await app.ask_ops(lambda: read_known(app.workspace, environment, app.now()))
        if self.is_mounted and environment == self.environment:
            self.begin_pane.take(known)

    def refresh_all(self) -> None:
        """Draw everything; a changed configuration opens what is in hand anew."""
        name = self.environment
        if name != self._of:
            self._of = name
            self.begin_pane.reset(name)
        hand = self.hand
        if hand is not None and hand.workspace is not self.console_app.workspace:
            hand = self._reopened(hand)
        body = self.query_one("#body", Container)
        body.set_class(self.walking, "-walking")
        if self.walking:
            self.walk_pane.laid_out(narrow=self.narrow)
            self.walk_pane.take(hand)
        else:
            self.begin_pane.draw()
        self._keep_focus()

    def _keep_focus(self) -> None:
        if self.walking and not self.walk_pane.composed:
            return
        focused = self.focused
        inside = self.walk_pane if self.walking else self.begin_pane
        if focused is None or inside not in focused.ancestors_with_self:
            (self.walk_pane.items if self.walking else self.begin_pane.choices).focus()

    def tick(self) -> None:
        """Ages move on; colleagues' runs come."""
        self._ticks += 1
        if self.walking:
            return  # a walk hands a view on every second
        if self._ticks % READ_EVERY == 0 and not self.console_app.paused:
            self._read()

    def laid_out(self) -> None:
        """Columns for the new width."""
        self.walk_pane.laid_out(narrow=self.narrow)
        if self.walking:
            self.walk_pane.draw()

    def crumbs(self) -> str:
        """Which runbook is walked."""
        return self.hand.title if self.walking and self.hand is not None else ""

    def go_back(self) -> bool:
        """From the walk to the list; the run stays in hand, and open."""
        if not self.walking:
            return False
        self._listing.add(self.environment)
        self.redraw()
        self._read()
        return True

    # choosing

    def on_table_opened(self, event: Table.Opened) -> None:
        """Go on with a run, or begin a runbook."""
        pane = self.begin_pane
        if (run := pane.run) is not None:
            self.go_on(run)
        elif (book := pane.book) is not None:
            if all(step.kind is StepKind.TEXT for step in book.for_environment(self.environment)):
                self._show_text(book)
            elif (opened := pane.open_run_of(book)) is not None:
                self.console_app.work_on(
                    "beginning", lambda: self._offer(book, opened), group="begin", exclusive=True
                )
            else:
                self.begin(book)

    async def _offer(self, book: Runbook, opened: Run) -> None:
        from muva_console.screens.checklist_text import runs_ago
        from muva_console.screens.walk_acts import go_on_or_anew

        app = self.console_app
        since = runs_ago((app.now() - opened.begun_at).total_seconds())
        answer = await go_on_or_anew(app, book.title, since, opened.begun_by, opened.id)
        if answer == "go-on":
            self.go_on(opened)
        elif answer == "anew":
            self.begin(book)

    def begin(self, book: Runbook) -> None:
        """Begin a run of a runbook for the environment in hand."""
        from muva_console.ops.walking.walk import Walk

        workspace, environment = self.console_app.workspace, self.environment
        hand = Hand(self.console_app, environment, book.title, self._arrived)
        hand.open(lambda: Walk.begin(workspace, book, environment))
        self.hold(hand)

    def go_on(self, run: Run) -> None:
        """Go on with a run, whoever began it; the one in hand already is as it is."""
        hand = self.hand
        if hand is not None and hand.view is not None and hand.view.run.id == run.id:
            self.hold(hand)
        else:
            self.hold(self._resumed(run.id, run.runbook.title))

    def _resumed(self, run_id: str, title: str) -> Hand:
        from muva_console.ops.walking.walk import Walk

        workspace = self.console_app.workspace
        hand = Hand(self.console_app, self.environment, title, self._arrived)
        hand.open(lambda: Walk.resume(workspace, run_id))
        return hand

    def _reopened(self, hand: Hand) -> Hand | None:
        hand.close()
        del self._hands[hand.environment]
        if hand.view is None:
            return None
        fresh = self._resumed(hand.view.run.id, hand.title)
        fresh.view, fresh.messages = hand.view, hand.messages
        self._hands[hand.environment] = fresh
        return fresh

    def hold(self, hand: Hand) -> None:
        """Take a run in hand, in the place of the one before, which stays open in the journal."""
        before = self._hands.get(hand.environment)
        if before is not None and before is not hand:
            before.close()
        self._hands[hand.environment] = hand
        self._listing.discard(hand.environment)
        self.redraw()

    def _arrived(self, hand: Hand) -> None:
        """A newer view of a run."""
        if self.shown and self.is_mounted and self.walking and hand is self.hand:
            self.walk_pane.take(hand)
            self.draw_frame()

    def _show_text(self, book: Runbook) -> None:
        from muva_console.screens.reader import Reader
        from muva_console.widgets.fit import wrapped

        lines: list[Content] = [Content(book.about), Content("")] if book.about else []
        for step in book.for_environment(self.environment):
            lines += [strong(step.title), *(Content(f"  {line}") for line in step.text.splitlines())]
            lines += [muted(f"  {step.command}")] if step.command else []
        self.app.push_screen(Reader(book.title, lambda width: wrapped(lines, width)))

    def copy_items(self) -> Sequence[CopyItem]:
        """Of the item under the cursor, and of the run; else the command that lists the runbooks."""
        if self.walking:
            return list(self.walk_pane.copy_items())
        run, book = self.begin_pane.run, self.begin_pane.book
        items = []
        if run is not None:
            items.append(CopyItem("the command", f"muva checklist --run {run.id[:12]}"))
        if book is not None:
            items.append(CopyItem("the command", f"muva checklist {book.id} --env {self.environment}"))
        contacts = self.begin_pane.query_one("#contacts").text()  # type: ignore[attr-defined]
        items += [CopyItem("the contacts", contacts), CopyItem("the list", self.begin_pane.choices.text())]
        return items
