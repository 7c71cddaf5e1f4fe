"""Processes: PM2 on every host of the environment in hand, live; their logs; what may be done to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.environment import own
from muva_console.ops.feed import Freshness, Snapshot
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.process_operations import Action
from muva_console.ops.readings import Level, worst
from muva_console.screens.board import Topic
from muva_console.screens.facts import process_level
from muva_console.screens.frame import CopyItem, Frame, aside, why_not
from muva_console.screens.logs import Logs
from muva_console.screens.process_text import process_cells, process_lines
from muva_console.widgets.format import plural
from muva_console.widgets.level import SEVERITY, mark, muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.screens.board import Board

_COLUMNS = (
    Column("status", 11, keep=100),
    Column("name", 16, flex=True, keep=100),
    Column("host", 10, keep=55),
    Column("cpu", 6, align="right", keep=80),
    Column("memory", 7, align="right", keep=85),
    Column("of limit", 8, align="right", keep=30),
    Column("restarts", 8, align="right", keep=75),
    Column("lately", 8, align="right", keep=90),
    Column("uptime", 8, align="right", keep=82),
    Column("pid", 8, align="right", keep=20),
    Column("commit", 7, keep=40),
    Column("id", 3, align="right", keep=10),
)


class ProcessTable(Table):
    """The processes; capital letters act on the one under the cursor."""

    HELP = (
        "The processes that PM2 keeps. Capital letters act: each shows its plan, the commands it stands for "
        "and the risk, and asks. `enter` goes to the logs. A crash loop is told by the restarts lately, "
        "because PM2 calls it online."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "act('process-restart')", "restart", id="process.restart", tooltip="Plan a restart"),
        Binding("L", "act('process-reload')", "reload", id="process.reload", tooltip="Plan a reload"),
        Binding("S", "act('process-stop')", "stop", id="process.stop", tooltip="Plan a stop"),
        Binding("T", "act('process-start')", "start", id="process.start", tooltip="Plan a start"),
        Binding("M", "act('process-memory-limit')", "memory limit", id="process.memory_limit",
                tooltip="Plan another memory limit"),
    ]  # fmt: skip

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to act on in an empty table."""
        if action == "act" and self.chosen is None:
            return False
        return super().check_action(action, parameters)

    async def action_act(self, action: str) -> None:
        """Hand it to the screen, which knows the process."""
        screen = self.screen
        assert isinstance(screen, Processes)
        screen.act(Action(action))


class Processes(Frame):
    """The processes; below the log of the one under the cursor, beside its facts where there is room."""

    MODE = "processes"
    HELP = "PM2's processes on every host of this environment, and their logs."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/", id="logs.filter", tooltip="Filter the log"),
        Binding("d", "details", "details", id="process.details", tooltip="All that is known of the process"),
    ]
    DEFAULT_CSS = """
    Processes #body { layout: grid; grid-size: 1; grid-rows: auto 1fr; }
    Processes #processes { height: auto; max-height: 16; min-height: 4; }
    Processes #facts { display: none; }
    Processes #logs { height: 1fr; }
    Processes.-wide #body { grid-size: 2; grid-columns: 2fr 1fr; grid-rows: auto 1fr; }
    Processes.-wide #facts { display: block; height: 100%; row-span: 2; }
    Processes.-short #processes { max-height: 9; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, tuple[Snapshot[ProcessList], Process]] = {}
        self._had_any = False

    @property
    def table(self) -> ProcessTable:
        """The processes."""
        return self.query_one("#processes", ProcessTable)

    @property
    def logs(self) -> Logs:
        """The logs."""
        return self.query_one("#logs", Logs)

    def body(self) -> Iterable[Widget]:
        """Table, facts, logs."""
        yield Container(
            ProcessTable(_COLUMNS, title="Processes", id="processes"),
            Panel(self._facts, title="Process", id="facts"),
            Logs(id="logs"),
            id="body",
        )

    def topics(self) -> Iterable[Topic]:
        """The processes and resources of the environment in hand."""
        return self.board.topics("processes", environment=self.environment)

    # drawing

    def refresh_all(self) -> None:
        """Draw everything."""
        self._draw_table()
        self._draw_facts()
        self._follow()

    def changed(self, topic: Topic) -> None:
        """Draw what arrived."""
        if topic.kind == "processes" and topic.environment == self.environment:
            self._draw_table()
            self._draw_facts()
            self._follow()

    def tick(self) -> None:
        """Ages move on."""
        self._draw_head()
        self._draw_facts()

    def _draw_table(self) -> None:
        board, name = self.board, self.environment
        self._found = found_processes(board, name)
        hosts = board.environment(name).hosts if name else ()
        rows = []
        limit = board.environment(name).config.thresholds.restarts if name else 1
        for key, (snapshot, process) in self._found.items():
            listing = snapshot.value
            assert listing is not None
            old = snapshot.freshness(board.monotonic()) in (Freshness.STALE, Freshness.UNREACHABLE)
            rows.append(Row(key, process_cells(listing, process, process_level(process, limit), old=old)))
        self.table.fill(rows, empty=self._empty(hosts))
        self._draw_head()
        if rows and not self._had_any:
            self._had_any = True
            self._choose_worst(limit)
        self.refresh_bindings()

    def _choose_worst(self, limit: int) -> None:
        self.table.choose(
            min(self._found, key=lambda key: SEVERITY[process_level(self._found[key][1], limit)])
        )

    def _empty(self, hosts: Sequence[str]) -> list[Content]:
        if not hosts:
            name = self.environment
            return [
                Content(f"{name} has no hosts: there is no PM2 to ask."),
                muted(f"Add hosts to [environments.{name}] in {self.board.workspace.path}."),
            ]
        lines: list[Content] = []
        for host in hosts:
            snapshot = self.board.processes(self.environment, host)
            if snapshot.value is None:
                lines += why_not(snapshot, f"PM2 on {host}")
            else:
                expected = self.board.environment(self.environment).config.processes
                what = f"does not have {', '.join(expected)}" if expected else "runs nothing"
                lines.append(Content.styled(f"✖ PM2 on {host} {what}.", "$t-fail"))
        return lines

    def _draw_head(self) -> None:
        board, name = self.board, self.environment
        hosts = board.environment(name).hosts if name else ()
        snapshots = {host: board.processes(name, host) for host in hosts}
        now = board.monotonic()
        table = self.table
        if not snapshots:
            table.face(f"Processes, {name}")
            return
        limit = board.environment(name).config.thresholds.restarts
        levels = [process_level(process, limit) for _, process in self._found.values()]
        troubled = {
            host: snapshot
            for host, snapshot in snapshots.items()
            if snapshot.freshness(now) not in (Freshness.FRESH, Freshness.PAUSED)
        }
        if troubled:
            levels.append(Level.UNKNOWN)
        title = Content.assemble(f"Processes, {name}  ")
        if self._found:
            up = sum(process.status == "online" for _, process in self._found.values())
            title = Content.assemble(title, mark(worst(levels), f"{up} of {len(self._found)} up"))
        host, snapshot = next(iter((troubled or snapshots).items()))
        source = snapshot.value.source if snapshot.value is not None else ""
        if len(snapshots) > 1:
            source = f"{host}, {source}" if troubled else plural(len(snapshots), "host")
        table.face(title, aside(snapshot, now, source))
        table.dim(bool(troubled) and len(troubled) == len(snapshots))

    def _draw_facts(self) -> None:
        panel = self.query_one("#facts", Panel)
        if panel.display:
            process = self.process
            panel.face(process.name if process is not None else "Process")
            panel.redraw()

    def _facts(self, width: int) -> Sequence[Content]:
        key = self.table.chosen
        if key is None or key not in self._found:
            return [muted("Choose a process.")]
        snapshot, process = self._found[key]
        return process_lines(self.board, self.environment, snapshot, process, width)

    # what is selected

    @property
    def process(self) -> Process | None:
        """The process under the cursor."""
        found = self._found.get(self.table.chosen or "")
        return found[1] if found is not None else None

    def host_in_hand(self) -> str | None:
        """The host of the process under the cursor."""
        process = self.process
        return process.host if process is not None else super().host_in_hand()

    def select(self, host: str, name: str) -> None:
        """Put the cursor on a process."""
        for key, (_, process) in self._found.items():
            if process.host == host and process.name == name:
                self.table.choose(key)

    def _follow(self) -> None:
        process = self.process
        of = self.board.environment(self.environment) if process is not None else None
        self.logs.display = process is not None
        self.logs.follow(of, process)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another process: its facts and its logs."""
        self._draw_facts()
        self._follow()
        self.refresh_bindings()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter leads to the logs."""
        self.logs.focus_view()

    def action_filter(self) -> None:
        """Filter the log."""
        self.logs.ask_filter()

    def action_details(self) -> None:
        """All that is known of the process."""
        from muva_console.screens.reader import Reader

        key = self.table.chosen
        if key is None or key not in self._found:
            return

        def lines(width: int) -> Sequence[Content]:
            found = self._found.get(key)
            if found is None:
                return [muted("It is gone from PM2's list.")]
            return process_lines(self.board, self.environment, *found, width)

        process = self._found[key][1]
        self.app.push_screen(
            Reader(f"{process.name} on {process.host}", lines, command=f"pm2 describe {process.pm_id}")
        )

    def go_back(self) -> bool:
        """From the logs back to the processes."""
        if self.logs.has_focus_within:
            self.table.focus()
            return True
        return False

    def left(self) -> None:
        """Nobody reads the log now."""
        self.logs.rest()

    # acting

    def why_not_act(self) -> str:
        """Why nothing can be done now; empty when it can."""
        found = self._found.get(self.table.chosen or "")
        if found is None:
            return "There is no process under the cursor."
        snapshot, process = found
        match snapshot.freshness(self.board.monotonic()):
            case Freshness.UNREACHABLE:
                return f"{process.host} cannot be reached: {snapshot.error}"
            case Freshness.STALE:
                return f"What is shown of {process.host} is stale; r asks again."
            case _:
                return ""

    def act(self, action: Action) -> None:
        """Plan an act on the process under the cursor, show it and ask."""
        app = self.console_app
        reason = self.why_not_act()
        process = self.process
        if reason or process is None:
            app.tell(reason, title="Not now", severity="warning")
            return
        from muva_console.screens.process_acts import begin

        app.work_on(f"planning {action}", lambda: begin(app, self.environment, process, action), group="acts")

    def copy_items(self) -> Sequence[CopyItem]:
        """What a person would type to see the same, the log's lines, the list."""
        process = self.process
        items = []
        if self.logs.has_focus_within:
            items += self.logs.copy_items()
        if process is not None:
            items.append(CopyItem("the command behind it", f"pm2 describe {process.pm_id}"))
            items.append(CopyItem("the command of its log", f"pm2 logs {process.pm_id} --lines 100"))
        items.append(CopyItem("the list", self.table.text()))
        return items


def found_processes(board: Board, environment: str) -> dict[str, tuple[Snapshot[ProcessList], Process]]:
    """The environment's processes in a steady order: by host as configured, then by PM2's id.

    Hosts are shared by environments, so only those that the configuration names are shown, where it does.
    """
    if not environment:
        return {}
    of = board.environment(environment)
    found: dict[str, tuple[Snapshot[ProcessList], Process]] = {}
    for host in of.hosts:
        snapshot = board.processes(environment, host)
        if snapshot.value is not None:
            for process in sorted(own(snapshot.value, of.config.processes).processes, key=lambda p: p.pm_id):
                found[f"{host}\0{process.pm_id}\0{process.name}"] = (snapshot, process)
    return found
