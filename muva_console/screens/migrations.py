"""Migrations: files against the history of every environment; what each locks; apply, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.feed import Freshness
from muva_console.ops.migrations.matrix import Matrix
from muva_console.ops.migrations.matrix import Row as Migration
from muva_console.ops.migrations.model import State
from muva_console.screens.board import MIGRATIONS, Topic
from muva_console.screens.facts import kind_of
from muva_console.screens.frame import CopyItem, Frame, why_not
from muva_console.screens.migrations_head import head_lines
from muva_console.screens.migrations_pane import DetailPane
from muva_console.screens.migrations_table import MatrixTable
from muva_console.screens.migrations_text import Cells, Wanted, notes
from muva_console.widgets.dialog import Words
from muva_console.widgets.level import muted
from muva_console.widgets.table import Row, Table

ROOMY = 26
"""Cells of a column from which on it tells by whom and when. Ours."""


class Migrations(Frame):
    """The matrix; beside or below it the migration under the cursor."""

    MODE = "migrations"
    AUTO_FOCUS = "#matrix"
    HELP = (
        "Files of the branches against the history of every environment. `●` applied, `◌` pending; `✖` and "
        "`▲` somebody should look: missing in the files, drifted, out of order, half-way, an invalid index. "
        "`a` applies what is pending in the environment in hand, `u` rolls back, `B` backs up, `R` restores, "
        "`D` runs dry. Each shows what it would do and asks."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "act('apply')", "apply", id="migrations.apply",
                tooltip="Apply what is pending: hazards, backup, plan, question"),
        Binding("u,b", "act('rollback')", "roll back", key_display="u", id="migrations.rollback",
                tooltip="Undo the newest by their own way back"),
        Binding("right_square_bracket", "jump(1)", "next problem", key_display="]", id="migrations.next",
                tooltip="To the next problem, round and round"),
        Binding("left_square_bracket", "jump(-1)", "previous problem", key_display="[", show=False,
                id="migrations.previous", tooltip="To the problem before"),
        Binding("slash", "filter", "filter", key_display="/", id="migrations.filter",
                tooltip="text, !text, state:pending, production:drifted, state:problem"),
        Binding("right,l", "section(1)", "section", key_display="← →", id="migrations.section",
                tooltip="SQL, hazards, locks, history, difference"),
        Binding("left,h", "section(-1)", "section before", show=False, id="migrations.section_before"),
        Binding("B", "act('backup')", "back up", id="migrations.backup", tooltip="Back the database up, now"),
        Binding("R", "act('restore')", "restore", id="migrations.restore", tooltip="Restore from a backup"),
        Binding("D", "act('dry')", "dry run", id="migrations.dry",
                tooltip="Plan, rehearse, or execute and roll back"),
        Binding("w", "watch", "watch", id="migrations.watch",
                tooltip="Look at the act under way, or the last"),
        Binding("N", "notes", "notes", show=False, id="migrations.notes", tooltip="All notes, whole"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    Migrations #body { layout: vertical; }
    Migrations #heads { height: auto; max-height: 12; padding: 0 2; }
    Migrations #filter { height: 1; border: none; padding: 0 1; display: none; background: $panel; }
    Migrations #filter.-any { display: block; }
    Migrations #both { layout: vertical; height: 1fr; }
    Migrations #matrix { height: 1fr; }
    Migrations #detail { height: 1fr; layout: vertical; }
    Migrations #text { height: 1fr; }
    Migrations.-wide #both { layout: horizontal; }
    Migrations.-wide #matrix { width: 3fr; height: 100%; }
    Migrations.-wide #detail { width: 2fr; height: 100%; }
    Migrations.-narrow #detail, Migrations.-short #detail { display: none; }
    Migrations #both.-whole #matrix { display: none; }
    Migrations #both.-whole #detail { display: block; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._matrix: Matrix | None = None
        self._rows: dict[str, Migration] = {}
        self._filter = ""
        self._placed = False

    # parts

    def body(self) -> Iterable[Widget]:
        """The standing, the filter, the matrix, the detail."""
        yield Container(
            Words(id="heads"),
            Input(placeholder="text  !text  state:pending  production:problem", id="filter", compact=True),
            Container(
                MatrixTable(id="matrix"),
                DetailPane(id="detail"),
                id="both",
            ),
            id="body",
        )

    @property
    def table(self) -> MatrixTable:
        """The matrix."""
        return self.query_one("#matrix", MatrixTable)

    @property
    def detail(self) -> DetailPane:
        """The migration under the cursor."""
        return self.query_one("#detail", DetailPane)

    @property
    def matrix(self) -> Matrix | None:
        """What was read last."""
        return self._matrix

    @property
    def migration(self) -> Migration | None:
        """The migration under the cursor."""
        return self._rows.get(self.table.chosen or "")

    @property
    def known(self) -> list[str]:
        """The environments of the matrix, as they are shown."""
        matrix = self._matrix
        there = {column.environment for column in matrix.columns} if matrix is not None else set()
        return [name for name in self.board.names if name in there]

    @property
    def shown_names(self) -> list[str]:
        """Those that have a column: one without a database only where it is in hand."""
        matrix = self._matrix
        if matrix is None:
            return []
        return [
            name
            for name in self.known
            if matrix.columns[matrix.place(name)].database or name == self.environment
        ]

    @property
    def whole(self) -> bool:
        """Whether the detail has the room of the matrix."""
        return self.query_one("#both").has_class("-whole")

    # showing

    def topics(self) -> Iterable[Topic]:
        """The matrix."""
        return (MIGRATIONS,)

    def on_mount(self) -> None:
        """The matrix has the focus."""
        self.table.focus()

    def entered(self) -> None:
        """What goes on in a process of its own is taken up again."""
        self.console_app.work_on("looking for jobs", self._find_jobs, group="jobs", exclusive=True)

    async def _find_jobs(self) -> None:
        from muva_console.screens.deeds import found_jobs

        await found_jobs(self.console_app)
        if self.is_mounted:
            self._draw_head()
            self.refresh_bindings()

    def environment_changed(self) -> None:
        """Another environment: its column, its detail."""
        self.refresh_all()

    def laid_out(self) -> None:
        """Another size: what fits in a cell may be more, or less; the detail may have no room any more."""
        self.refresh_all()
        self.call_after_refresh(self._hold_focus)

    def _hold_focus(self) -> None:
        """Keys are the matrix's where what had them is out of sight."""
        if self.focused is None:
            self.table.focus()

    def changed(self, topic: Topic) -> None:
        """Another reading."""
        if topic == MIGRATIONS:
            self.refresh_all()

    def tick(self) -> None:
        """Ages move on."""
        self._draw_head()

    def refresh_all(self) -> None:
        """Draw everything."""
        self._matrix = self.board.migrations().value
        self._draw_head()
        self._draw_table()
        self.draw_detail()
        self.refresh_bindings()

    def _draw_head(self) -> None:
        snapshot = self.board.migrations()
        panel = self.query_one("#heads", Words)
        panel.display = self._matrix is not None
        if self._matrix is not None:
            deeds = self.console_app.deeds
            lines = head_lines(self._matrix, self.known, self.environment, deeds, self.size)
            panel.say_if_changed(lines)
        stale = snapshot.freshness(self.board.monotonic()) in (Freshness.STALE, Freshness.UNREACHABLE)
        self.table.dim(stale)
        shown, of = len(self.table.rows), len(self._matrix.rows) if self._matrix is not None else 0
        count = f"{shown:,} of {of:,}" if self._filter else f"{of:,}" if of else ""
        kept = Content.styled(f"  /{self._filter}", "$t-strong") if self._filter else Content("")
        title = Content.assemble("Migrations", muted(f"  {count}") if count else "", kept)
        self.table.face(title, self.aside(snapshot))
        if snapshot.error is not None and snapshot.value is not None:
            self.table.face(title, Content.styled(f"✖ {snapshot.error}", "$t-fail"))

    def _draw_table(self) -> None:
        matrix = self._matrix
        table = self.table
        if matrix is None:
            table.environments([], "", "other")
            table.fill([], empty=self._nothing())
            return
        names = self.shown_names
        wanted = Wanted(self._filter, [column.environment for column in matrix.columns])
        room = (self.table.size.width or self.size.width) - 36
        roomy = bool(names) and room // len(names) >= ROOMY
        places = tuple(matrix.place(name) for name in names)
        table.environments(
            names, self.environment, kind_of(self.board, self.environment) if self.environment else ""
        )
        rows = [row for row in reversed(matrix.rows) if not wanted or wanted.keeps(row)]
        self._rows = {row.title: row for row in rows}
        now = self.board.now
        table.fill(
            [Row(row.title, Cells(row, places, now, roomy=roomy)) for row in rows], empty=self._nothing()
        )
        if rows and not self._placed:
            self._placed = True
            self._choose_first()
        self._draw_head()

    def _choose_first(self) -> None:
        """What somebody most likely came for: a problem here, what is pending here, else the newest."""
        matrix, rows = self._matrix, list(self._rows.values())
        if matrix is None or self.environment not in self.known:
            return
        place = matrix.place(self.environment)
        here = [(row, cell) for row in rows if (cell := row.cells[place]) is not None]
        bad = [row for row, cell in here if cell.problem and cell.state is not State.UNKNOWN]
        waiting = [row for row, cell in here if cell.state is State.PENDING]
        self.table.choose((bad or waiting or rows)[0].title)

    def _nothing(self) -> list[Content]:
        matrix = self._matrix
        if matrix is None:
            return why_not(self.board.migrations(), "the migrations")
        if self._filter:
            return [Content("No migration fits."), muted("/ changes the filter, escape drops it.")]
        return [
            Content(f"No branch and no history holds a migration; the files' folder is {matrix.folder}."),
            muted("[project] migrations names another."),
        ]

    # the detail

    def draw_detail(self) -> None:
        """Draw the migration under the cursor."""
        self.detail.show(self._matrix, self.migration, self.environment, self.known)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another migration."""
        self.draw_detail()
        self.refresh_bindings()

    def on_table_opened(self, event: Table.Opened) -> None:
        """The detail; where there is no room for both, in the place of the matrix."""
        if not self.query_one("#detail").display:
            self.query_one("#both").add_class("-whole")
        self.detail.text.focus()
        self.draw_detail()

    def action_section(self, by: int) -> None:
        """The next section of the detail, or the one before."""
        self.detail.turn(by)

    def go_back(self) -> bool:
        """From the detail to the matrix; then drop the filter."""
        if self.whole or self.detail.text.has_focus:
            self.query_one("#both").remove_class("-whole")
            self.table.focus()
            return True
        if self._filter:
            self._filter_by("")
            return True
        return False

    # finding

    def action_jump(self, by: int) -> None:
        """To the next problem among what is shown, in any column, round and round."""
        matrix, rows = self._matrix, list(self._rows.values())
        if matrix is None or not rows:
            return
        places = [matrix.place(name) for name in self.shown_names]
        chosen = self.table.chosen
        at = next((index for index, row in enumerate(rows) if row.title == chosen), 0)
        ahead = [*rows[at + 1 :], *rows[: at + 1]] if by > 0 else [*reversed(rows[:at]), *reversed(rows[at:])]
        for row in ahead:
            if any((cell := row.cells[place]) is not None and cell.problem for place in places):
                self.table.choose(row.title)
                return
        self.console_app.tell("Nothing here is a problem.")

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-any")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The list follows what is typed."""
        if event.input.id == "filter":
            self._filter_by(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, back to the matrix."""
        if event.input.id == "filter":
            self.query_one("#filter", Input).set_class(bool(self._filter), "-any")
            self.table.focus()

    def on_key(self, event: Key) -> None:
        """Escape in the filter drops it."""
        field = self.query_one("#filter", Input)
        if event.key == "escape" and field.has_focus:
            event.stop()
            event.prevent_default()
            self._filter_by("")
            self.table.focus()

    def _filter_by(self, text: str) -> None:
        field = self.query_one("#filter", Input)
        if not text and field.value:
            field.value = ""
        if not field.has_focus:
            field.set_class(bool(text), "-any")
        if text.strip() != self._filter:
            self._filter = text.strip()
            self._draw_table()
            self.draw_detail()

    # acting

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is done to an environment without a database."""
        if action == "act":
            matrix = self._matrix
            if matrix is None or self.environment not in self.known:
                return False
            return bool(matrix.columns[matrix.place(self.environment)].database)
        if action == "watch":
            return any(deed.plan.environment == self.environment for deed in self.console_app.deeds)
        return super().check_action(action, parameters)

    def why_not_act(self) -> str:
        """Why nothing can be done now; empty when it can."""
        matrix = self._matrix
        if matrix is None or self.environment not in self.known:
            return "The migrations were not read yet."
        column = matrix.columns[matrix.place(self.environment)]
        if not column.database:
            return f"No database is configured for {self.environment}."
        return "" if column.reachable else f"{self.environment}'s database: {column.why}"

    def action_act(self, what: str) -> None:
        """Look, show, ask, do."""
        app, reason = self.console_app, self.why_not_act()
        if reason:
            app.tell(reason, title="Not now", severity="warning")
            return
        from muva_console.screens.migrations_acts import begin

        matrix, environment, row = self._matrix, self.environment, self.migration
        assert matrix is not None
        app.work_on(f"planning {what}", lambda: begin(app, what, environment, matrix, row), group="acts")

    def action_watch(self) -> None:
        """Look at the act under way, or at the last one."""
        from muva_console.screens.acting import Performing

        deeds = [deed for deed in self.console_app.deeds if deed.plan.environment == self.environment]
        under_way = [deed for deed in deeds if deed.under_way]
        if deeds:
            self.app.push_screen(Performing((under_way or deeds)[-1]))

    def action_notes(self) -> None:
        """All notes, whole."""
        from muva_console.screens.reader import Reader
        from muva_console.widgets.fit import wrapped

        def lines(width: int) -> Sequence[Content]:
            matrix = self._matrix
            told = notes(matrix, self.environment) if matrix is not None else []
            return wrapped(told or [muted("There is nothing to note.")], width)

        self.app.push_screen(
            Reader("Notes", lines, command=f"muva migrations status --env {quote(self.environment)}")
        )

    def copy_items(self) -> Sequence[CopyItem]:
        """The command behind it, the file's path, the text, the list."""
        row, cell = self.migration, self.detail.cell
        command = f"muva migrations status --env {quote(self.environment)}"
        items = [CopyItem("the command", command)]
        if row is not None and cell is not None and cell.state is State.DRIFTED:
            items.insert(0, CopyItem("the command", f"{command} --diff {quote(row.version)}"))
        items += self.detail.copy_items()
        if self._rows and len(self._rows) <= 2000:
            items.append(CopyItem("the list", self.table.text()))
        return items
