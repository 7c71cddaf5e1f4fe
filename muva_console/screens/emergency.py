"""Emergency: everything looked at at once, what it is taken for, and the runbook that leads out of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from shlex import quote
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.diagnosis.model import Diagnosis, Scenario
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Finding, Level
from muva_console.ops.runbooks.model import Runbook
from muva_console.screens.board import Topic
from muva_console.screens.emergency_read import Around, Look
from muva_console.screens.emergency_text import (
    SEEN_COLUMNS,
    THOUGHT_COLUMNS,
    as_text,
    first_untried,
    head_line,
    incident_line,
    key_of,
    seen_rows,
    thought_rows,
    why_lines,
)
from muva_console.screens.evidence import finding_lines
from muva_console.screens.facts import standing
from muva_console.screens.frame import CopyItem, Frame
from muva_console.screens.reader import Reader
from muva_console.widgets.dialog import Words
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import age
from muva_console.widgets.level import muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.table import Table

DRAW_EVERY = 0.2
"""Seconds between two drawings while probes are under way."""
OLD = 120.0
"""Seconds after which a diagnosis is looked at anew when the screen is entered. Ours."""


class Emergency(Frame):
    """Probes, scenarios, and why."""

    MODE = "emergency"
    AUTO_FOCUS = "#thought"
    HELP = (
        "`!` looks at everything at once and ranks what may be wrong, cause first; nothing is changed "
        "by it. `enter` on a scenario opens the runbook that leads out of it, on what was seen its evidence; "
        "`tab` goes between the two. When an act did not help, `r` looks again: what was tried is marked."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "look", "look again", id="emergency.look", tooltip="Look at everything again, now"),
        Binding("n", "note", "note", id="emergency.note", tooltip="A note into the incident's time line"),
        Binding("i", "incident", "incident", id="emergency.incident",
                tooltip="Open an incident by hand"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    Emergency #body { layout: vertical; }
    Emergency #heads { height: auto; max-height: 4; padding: 0 2; }
    Emergency #both { layout: horizontal; height: 1fr; }
    Emergency #seen { width: 1fr; height: 100%; }
    Emergency #right { width: 1fr; height: 100%; layout: vertical; }
    Emergency #thought { height: auto; max-height: 12; min-height: 4; }
    Emergency #why { height: 1fr; }
    Emergency.-narrow #both { layout: vertical; }
    Emergency.-narrow #seen { width: 100%; height: 1fr; }
    Emergency.-narrow #right { width: 100%; height: 11; }
    Emergency.-narrow #thought { max-height: 6; min-height: 3; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._looks: dict[str, Look] = {}
        self._drawn: object = None
        self._books: dict[str, Runbook] = {}

    def body(self) -> Iterable[Widget]:
        """The verdict, what was seen, what is thought, why."""
        yield Container(
            Words(id="heads"),
            Container(
                Table(SEEN_COLUMNS, title="What I saw", id="seen"),
                Container(
                    Table(THOUGHT_COLUMNS, title="What I think", id="thought"),
                    Panel(self._why, title="Why", id="why"),
                    id="right",
                ),
                id="both",
            ),
            id="body",
        )

    def topics(self) -> Iterable[Topic]:
        """Health of the environment in hand: since when it stands as it does."""
        return self.board.topics("health", environment=self.environment)

    # what is known

    @property
    def in_hand(self) -> Look | None:
        """The newest diagnosis of the environment in hand."""
        return self._looks.get(self.environment)

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What it came to; None before its end."""
        return self.in_hand.diagnosis if self.in_hand is not None else None

    @property
    def around(self) -> Around:
        """What the journal knows."""
        return self.in_hand.around if self.in_hand is not None else Around()

    @property
    def seen(self) -> Table:
        """What was seen."""
        return self.query_one("#seen", Table)

    @property
    def thought(self) -> Table:
        """The scenarios."""
        return self.query_one("#thought", Table)

    @property
    def scenario(self) -> Scenario | None:
        """The scenario under the cursor."""
        diagnosis, chosen = self.diagnosis, self.thought.chosen
        found = diagnosis.scenarios if diagnosis is not None else ()
        return next((one for one in found if one.id == chosen), None)

    @property
    def book(self) -> Runbook | None:
        """The runbook of the scenario under the cursor, where it is for this environment."""
        scenario = self.scenario
        if scenario is None or not scenario.runbook:
            return None
        if not self._books:
            try:
                self._books = {one.id: one for one in self.board.workspace.runbooks}
            except OpsError:
                return None
        found = self._books.get(scenario.runbook)
        return found if found is not None and self.environment in found.environments else None

    # looking

    def on_mount(self) -> None:
        """Draw what is under way as it comes."""
        self.set_interval(DRAW_EVERY, self._draw_if_moved)

    def entered(self) -> None:
        """Look, where nothing was looked at lately."""
        look = self.in_hand
        if look is None or (look.ended is not None and time.monotonic() - look.ended > OLD):
            self.action_look()

    def environment_changed(self) -> None:
        """Another environment, another diagnosis."""
        self.redraw()
        self.entered()

    def action_look(self) -> None:
        """Look at everything, now; one that is under way goes on."""
        look, app, environment = self.in_hand, self.console_app, self.environment
        if not environment or (look is not None and not look.over):
            return
        workspace = app.workspace
        new = self._looks[environment] = Look(environment)
        app.work_on("diagnosing", lambda: app.ask_ops(lambda: new.run(workspace)), group="emergency.look")
        self.refresh_all()

    # drawing

    def _draw_if_moved(self) -> None:
        if not self.shown:
            return
        look = self.in_hand
        now = (look, look.states, look.diagnosis, look.around, look.over) if look is not None else None
        if now != self._drawn or (look is not None and not look.over):
            self._drawn = now
            self.refresh_all()

    def tick(self) -> None:
        """Ages move on."""
        self._draw_head()

    def refresh_all(self) -> None:
        """Draw everything."""
        if not self.query("#why"):
            return  # asked by `!` before it was composed: drawn when that is done
        look, diagnosis = self.in_hand, self.diagnosis
        asking = [muted("◐ asking …")] if look is not None else [muted("r looks at everything at once.")]
        self.seen.fill(seen_rows(look.states) if look is not None else (), empty=asking)
        before = self.thought.chosen
        rows = thought_rows(diagnosis, self.around) if diagnosis is not None else []
        empty = [muted("◐ weighed when all have answered")]
        if diagnosis is not None or (look is not None and look.over):
            empty = self._undecided()
        self.thought.fill(rows, empty=empty if look is not None else [])
        if diagnosis is not None and before is None and rows:
            self.thought.choose(first_untried(diagnosis, self.around))
        self.query_one("#why", Panel).redraw()
        self._draw_head()
        self.refresh_bindings()

    def _undecided(self) -> list[Content]:
        return [Content.styled("? cannot tell", "$t-unknown")]

    def _draw_head(self) -> None:
        look = self.in_hand
        heads = self.query_one("#heads", Words)
        heads.display = look is not None
        if look is None:
            return
        _, _, since = standing(self.board, self.environment)
        took = age(time.monotonic() - look.began)
        probes = len(look.states)
        line, level = head_line(self.environment, look.diagnosis, since, probes, took)
        incident = incident_line(look.around, self.board.now(), healthy=level is Level.OK)
        heads.say_if_changed([line] if incident is None else [line, incident])
        done = sum(state.done for state in look.states.values())
        told = f"{done} of {probes}" if not look.over else ""
        if look.ended is not None:
            since = age(time.monotonic() - look.ended)
            told = since if since == "now" else f"{since} ago"
        self.seen.face(f"What I saw, {self.environment}", muted(told))

    def _why(self, width: int) -> Sequence[Content]:
        if self.in_hand is None:
            return []
        lines = why_lines(self.scenario, self.diagnosis, self.around, self.book, self.board.now())
        return wrapped(lines, width)

    # acting

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another scenario: its reasons."""
        if event.control is self.thought:
            self.query_one("#why", Panel).redraw()
            self.refresh_bindings()

    def on_table_opened(self, event: Table.Opened) -> None:
        """A scenario: its runbook. What was seen: its evidence."""
        if event.control is self.thought:
            self._lead()
            return
        finding = self._finding(event.key)
        if finding is None:
            return
        environment = self.environment

        def lines(width: int) -> Sequence[Content]:
            return wrapped(finding_lines(self.board, environment, finding), width)

        title = f"{finding.title or finding.check}, {environment}"
        self.app.push_screen(Reader(title, lines, command=finding.command))

    def _finding(self, key: str | None) -> Finding | None:
        look = self.in_hand
        if look is None or key is None:
            return None
        findings = (finding for state in look.states.values() for finding in state.findings)
        return next((one for one in findings if key_of(one) == key), None)

    def _lead(self) -> None:
        """Open the runbook of the scenario under the cursor, or go on with its open run."""
        from muva_console.screens.emergency_acts import lead

        app, book, environment = self.console_app, self.book, self.environment
        if book is None:
            return
        tried = self.around.run_of(book.id)
        run = tried if tried is not None and tried.ended_at is None else None
        app.work_on("opening the runbook", lambda: lead(app, environment, book, run), group="begin")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A note wants an incident, and an incident is opened once."""
        if action == "note":
            return self.around.incident is not None
        if action == "incident":
            return self.in_hand is not None and self.in_hand.over and self.around.incident is None
        return super().check_action(action, parameters)

    def action_note(self) -> None:
        """A note into the time line."""
        from muva_console.screens.emergency_acts import note

        app, incident = self.console_app, self.around.incident
        if incident is not None:
            app.work_on("noting", lambda: note(app, incident), group="acts")

    def action_incident(self) -> None:
        """Open an incident by hand."""
        from muva_console.screens.emergency_acts import open_incident

        app, environment, diagnosis = self.console_app, self.environment, self.diagnosis
        app.work_on("opening an incident", lambda: open_incident(app, environment, diagnosis), group="acts")

    def copy_items(self) -> Sequence[CopyItem]:
        """The command behind what was seen, the diagnosis as a text, the command of all of it."""
        items = []
        finding = self._finding(self.seen.chosen) if self.seen.has_focus else None
        if finding is not None and finding.command:
            items.append(CopyItem("the command behind it", finding.command))
        if self.diagnosis is not None:
            told = as_text(self.environment, self.diagnosis, self.diagnosis.findings)
            items.append(CopyItem("the diagnosis, for the team", told))
        items.append(CopyItem("the command", f"muva diagnose --env {quote(self.environment)}"))
        return items
