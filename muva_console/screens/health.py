"""Health: the playbook's checks of the environment in hand, and the evidence behind each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.errors import OpsError
from muva_console.ops.feed import Freshness
from muva_console.ops.readings import Finding, Level
from muva_console.screens.board import Topic
from muva_console.screens.evidence import database_lines, finding_lines, history_lines, host_lines
from muva_console.screens.facts import standing, standing_mark
from muva_console.screens.frame import CopyItem, Frame, aside, why_not
from muva_console.screens.past import PLACES, WINDOWS, back_lines
from muva_console.screens.reader import Reader
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import age, milliseconds
from muva_console.widgets.level import GLYPH, SEVERITY, STYLE, muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.ops.monitoring.back import Back

_COLUMNS = (
    Column("level", 9, keep=100),
    Column("check", 22, keep=90),
    Column("of", 17, keep=25),
    Column("what was found", 28, flex=True),
    Column("took", 7, align="right", keep=20),
    Column("age", 5, align="right", keep=40),
)


class Health(Frame):
    """The findings; beside or below them the evidence of the one under the cursor."""

    MODE = "health"
    HELP = (
        "Every check of this environment. What is red leads to its evidence: `enter` shows it whole, `y` "
        "copies the command a person would have typed. Three failures in a row make a service down, two "
        "successes bring it back; muva.toml sets both."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "w",
            "window",
            "look back",
            id="health.window",
            tooltip="How it has been over a day, a week, a month, a year; then again what is seen now",
        ),
        Binding(
            "d", "database", "database", id="health.database", tooltip="Connections, blocked and long queries"
        ),
    ]
    DEFAULT_CSS = """
    Health #body { layout: grid; grid-size: 2; grid-columns: 3fr 2fr; grid-rows: auto 1fr 10; }
    Health #findings { column-span: 2; height: auto; max-height: 16; min-height: 6; }
    Health #detail, Health #history, Health #hosts, Health #database { height: 100%; }
    Health.-short #body { grid-rows: auto 1fr; }
    Health.-short #hosts, Health.-short #database { display: none; }
    Health.-wide #body { grid-size: 3; grid-columns: 1fr 1fr 1fr; grid-rows: auto 1fr 12; }
    Health.-wide #findings { column-span: 2; }
    Health.-wide #detail { row-span: 2; }
    Health.-wide #history { column-span: 2; }
    Health.-wide #database { column-span: 2; }
    Health.-narrow #body { grid-size: 1; grid-columns: 1fr; grid-rows: auto 1fr; }
    Health.-narrow #findings { column-span: 1; max-height: 14; }
    Health.-nothing #detail, Health.-nothing #history, Health.-nothing #hosts, Health.-nothing #database {
        display: none;
    }
    Health.-narrow #history, Health.-narrow #hosts, Health.-narrow #database { display: none; }
    Health.-narrow.-back #history { display: block; }
    Health.-narrow.-back #detail { display: none; }
    Health.-narrow.-high #body { grid-rows: auto 1fr 10 9 9; }
    Health.-narrow.-high #history, Health.-narrow.-high #hosts, Health.-narrow.-high #database {
        display: block;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._findings: dict[str, Finding] = {}
        self._wanted: str | None = None
        self._had_any = False
        self._window = ""
        self._back: Back | None = None
        self._back_error: OpsError | None = None

    def body(self) -> Iterable[Widget]:
        """Findings, evidence, history, hosts, database."""
        yield Container(
            Table(_COLUMNS, title="Findings", id="findings"),
            Panel(self._detail, title="Evidence", id="detail"),
            Panel(self._history, title="Answer times", id="history"),
            Panel(self._hosts, title="Hosts", id="hosts"),
            Panel(self._database, title="Database", id="database"),
            id="body",
        )

    def topics(self) -> Iterable[Topic]:
        """Health, hosts and database of the environment in hand."""
        return self.board.topics("health", "resources", "database", environment=self.environment)

    # drawing

    def refresh_all(self) -> None:
        """Draw everything."""
        self._draw_findings()
        self._draw_side()

    def changed(self, topic: Topic) -> None:
        """Draw what the topic is about."""
        if topic.environment != self.environment:
            return
        if topic.kind == "health":
            self.refresh_all()
        else:
            self._draw_side()

    def tick(self) -> None:
        """Ages move on."""
        self._draw_findings()
        self._draw_asides()

    def laid_out(self) -> None:
        """Another size has other panels."""
        self._draw_side()

    def _draw_findings(self) -> None:
        board, name = self.board, self.environment
        table = self.query_one("#findings", Table)
        nothing = not name or board.feed(Topic("health", name)) is None
        self.set_class(nothing, "-nothing")
        if nothing:
            self._findings = {}
            table.face(f"Findings, {name or 'no environment'}")
            table.fill([], empty=self._nothing_to_ask())
            return
        snapshot = board.health(name)
        findings = board.findings(name)
        self._findings = {_key(finding): finding for finding in findings}
        freshness = snapshot.freshness(board.monotonic())
        table.dim(freshness in (Freshness.STALE, Freshness.UNREACHABLE))
        rows = [Row(_key(finding), self._cells(finding)) for finding in findings]
        table.fill(rows, empty=why_not(snapshot, f"the health of {name}"))
        _, _, since = standing(board, name)
        title = Content.assemble(
            f"Findings, {name}  ", standing_mark(board, name), muted(f" {since}" if since else "")
        )
        took = f"asked in {milliseconds(snapshot.value.took_ms)}" if snapshot.value is not None else ""
        table.face(title, aside(snapshot, board.monotonic(), took))
        if self._wanted is not None and table.choose(self._wanted):
            self._wanted = None
        elif findings and not self._had_any:
            self._had_any = True
            self._choose_worst(table, findings)

    def _choose_worst(self, table: Table, findings: Sequence[Finding]) -> None:
        table.choose(_key(min(findings, key=lambda finding: SEVERITY[finding.level])))

    def _nothing_to_ask(self) -> list[Content]:
        if not self.environment:
            return [
                Content("No environment is configured."),
                muted("muva init writes a muva.toml from what is here."),
            ]
        return [
            Content(
                f"{self.environment} has no address, no host and no database: there is nothing to check."
            ),
            muted(f"Add url, hosts or database to [environments.{self.environment}] of"),
            muted(str(self.board.workspace.path)),
        ]

    def _cells(self, finding: Finding) -> tuple[Content, ...]:
        level = finding.level
        summary = (
            Content(finding.summary) if level is Level.OK else Content.styled(finding.summary, STYLE[level])
        )
        since = (self.board.now() - finding.at).total_seconds()
        return (
            Content.styled(f"{GLYPH[level]} {level}", STYLE[level]),
            Content(finding.title or finding.check),
            muted(finding.subject.removeprefix("https://").removeprefix("http://")),
            summary,
            muted(milliseconds(finding.took_ms) if finding.took_ms else "–"),
            muted(age(since)),
        )

    @property
    def finding(self) -> Finding | None:
        """The finding under the cursor."""
        return self._findings.get(self.query_one("#findings", Table).chosen or "")

    def _draw_side(self) -> None:
        for panel in self.query(Panel):
            if not isinstance(panel, Table) and panel.display:
                panel.redraw()
        self._draw_asides()

    def _draw_asides(self) -> None:
        board, name = self.board, self.environment
        now = board.monotonic()
        finding = self.finding
        self.query_one("#detail", Panel).face(
            Content.assemble("Evidence", muted(f"  {finding.title or finding.check}") if finding else "")
        )
        if self._window:
            told = muted(f"the last {self._window}, UTC; w goes on")
            self.query_one("#history", Panel).face("Looking back", told)
        else:
            self.query_one("#history", Panel).face("Answer times", muted("since the console began to look"))
        hosts = board.environment(name).hosts if name else ()
        panel = self.query_one("#hosts", Panel)
        if hosts:
            worst_host = max((board.resources(name, host) for host in hosts), key=lambda s: s.age(now) or 0.0)
            panel.face("Hosts", aside(worst_host, now))
            panel.dim(worst_host.freshness(now) in (Freshness.STALE, Freshness.UNREACHABLE))
        else:
            panel.face("Hosts")
        panel = self.query_one("#database", Panel)
        if name and board.feed(Topic("database", name)) is not None:
            snapshot = board.database(name)
            panel.face("Database", aside(snapshot, now))
            panel.dim(snapshot.freshness(now) in (Freshness.STALE, Freshness.UNREACHABLE))
        else:
            panel.face("Database")

    def _detail(self, width: int) -> Sequence[Content]:
        finding = self.finding
        if finding is None:
            return [muted("Choose a finding to see its evidence.")]
        return wrapped(finding_lines(self.board, self.environment, finding), width)

    # looking back

    def action_window(self) -> None:
        """The next window; after the longest what is seen now."""
        names = ["", *WINDOWS]
        self._window = names[(names.index(self._window) + 1) % len(names)]
        self._back = None
        self.set_class(bool(self._window), "-back")
        self._read_back()
        self._draw_side()

    def go_back(self) -> bool:
        """From a window to what is seen now."""
        if not self._window:
            return False
        self._window, self._back = "", None
        self.remove_class("-back")
        self._draw_side()
        return True

    def refreshed(self) -> None:
        """Read the window again."""
        self._read_back()

    def entered(self) -> None:
        """Shown again: what is kept may be more."""
        self._read_back()

    def environment_changed(self) -> None:
        """Another environment has another past."""
        self._back = None
        self._read_back()

    def _read_back(self) -> None:
        if self._window and self.environment:
            self.console_app.work_on("looking back", self._look_back, group="back", exclusive=True)

    async def _look_back(self) -> None:
        environment, window = self.environment, self._window
        from muva_console.ops.monitoring.back import read_back

        app = self.console_app
        until = app.now()
        since = until - WINDOWS[window]
        try:
            back = await app.ask_ops(lambda: read_back(app.workspace, environment, since, until, PLACES))
        except OpsError as error:
            self._back, self._back_error = None, error
        else:
            if (environment, window) == (self.environment, self._window):
                self._back, self._back_error = back, None
        self._draw_side()

    def _history(self, width: int) -> Sequence[Content]:
        height = self.query_one("#history", Panel).scrollable_content_region.height
        if self._window:
            if self._back_error is not None:
                first, *rest = self._back_error.lines()
                told = [Content.styled(f"? {first}", "$t-unknown"), *(muted(f"  {line}") for line in rest)]
                return wrapped(told, width)
            if self._back is None:
                return [muted("◐ looking back …")]
            return back_lines(self._back, width, height)
        return history_lines(self.board, self.environment, width, height)

    def _hosts(self, width: int) -> Sequence[Content]:
        return host_lines(self.board, self.environment, width)

    def _database(self, width: int) -> Sequence[Content]:
        return database_lines(self.board, self.environment, width)

    # acting

    def show_finding(self, finding: Finding) -> None:
        """Put the cursor on a finding, as soon as it is there."""
        self._wanted = _key(finding)
        if self.is_mounted:
            self._draw_findings()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another finding: its evidence."""
        detail = self.query_one("#detail", Panel)
        detail.scroll_home(animate=False)
        detail.redraw()
        self._draw_asides()

    def on_table_opened(self, event: Table.Opened) -> None:
        """The whole evidence of a finding."""
        finding = self._findings.get(event.key)
        if finding is not None:
            environment, key = self.environment, event.key

            def lines(width: int) -> Sequence[Content]:
                newest = self._findings.get(key, finding)
                return wrapped(finding_lines(self.board, environment, newest), width)

            title = f"{finding.title or finding.check}, {environment}"
            self.app.push_screen(Reader(title, lines, command=finding.command))

    def action_database(self) -> None:
        """The whole database panel."""
        self.app.push_screen(Reader(f"Database, {self.environment}", self._whole_database))

    def _whole_database(self, width: int) -> Sequence[Content]:
        return wrapped(database_lines(self.board, self.environment, width, whole=True), width)

    def copy_items(self) -> Sequence[CopyItem]:
        """The command behind the finding, its evidence, the list."""
        finding = self.finding
        items = []
        if finding is not None:
            if finding.command:
                items.append(CopyItem("the command behind it", finding.command))
            lines = finding_lines(self.board, self.environment, finding)
            items.append(CopyItem("the evidence", "\n".join(line.plain for line in lines)))
        items.append(CopyItem("all findings", self.query_one("#findings", Table).text()))
        return items


def _key(finding: Finding) -> str:
    """What stays the same while the finding changes."""
    return f"{finding.check}\0{finding.subject}"
