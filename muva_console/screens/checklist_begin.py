"""Where a walk begins: the runs that are open, whoever began them, the runbooks, and whom to call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Verdict
from muva_console.ops.runbooks.model import Runbook, Step, StepKind
from muva_console.ops.runbooks.run import Run
from muva_console.ops.runbooks.standing import RunView, State, stand
from muva_console.screens.checklist_text import runs_ago, verdict_mark
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import moment, plural
from muva_console.widgets.level import muted, strong
from muva_console.widgets.panel import Panel
from muva_console.widgets.sections import SectionTable, heading
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.workspace import Workspace

RUN, BOOK = "run ", "book "
"""How the keys of rows begin."""
OPEN_SHOWN, ENDED_SHOWN = 8, 4
_COLUMNS = (
    Column("", 13, keep=95),
    Column("what", 22, flex=True, keep=100),
    Column("items", 27, keep=60),
    Column("who", 22, keep=80),
)
_KIND: dict[StepKind, str] = {
    StepKind.CHECK: "sensed",
    StepKind.COMMAND: "sensed",
    StepKind.OPERATION: "to do",
    StepKind.ATTEST: "asked",
    StepKind.TEXT: "to read",
}


def _kind_of(step: Step) -> str:
    return "led" if step.led else _KIND[step.kind]


class Known(NamedTuple):
    """What there is to begin or to go on with."""

    at: datetime
    runbooks: tuple[Runbook, ...] = ()
    open: tuple[RunView, ...] = ()
    """As they stand as far as the journal tells; whether another commit goes out is not looked at."""
    ended: tuple[Run, ...] = ()
    broken: OpsError | None = None
    """Why the runbooks cannot be read."""
    lost: OpsError | None = None
    """Why the journal cannot be read."""


async def read_known(workspace: Workspace, environment: str, now: datetime) -> Known:
    """Everything the first view shows. Runs in the ops loop; never raises for what cannot be read."""
    from muva_console.ops.walking.runs import list_runs, read_run

    known = Known(now)
    try:
        fitting = tuple(one for one in workspace.runbooks if fits(one, environment))
        known = known._replace(runbooks=fitting)
    except OpsError as error:
        known = known._replace(broken=error)
    try:
        runs = await list_runs(workspace, environment=environment)
        opened = [run for run in runs if run.ended_at is None][:OPEN_SHOWN]
        views = [stand(await read_run(workspace, run.id), now) for run in opened]
        ended = tuple(run for run in runs if run.ended_at is not None)[:ENDED_SHOWN]
        known = known._replace(open=tuple(views), ended=ended)
    except OpsError as error:
        known = known._replace(lost=error)
    return known


def fits(runbook: Runbook, environment: str) -> bool:
    """Whether the runbook is for that environment."""
    if runbook.environments and environment not in runbook.environments:
        return False
    return bool(runbook.for_environment(environment))


class Choices(SectionTable):
    """What can be gone on with or begun."""

    HELP = (
        "Runs that are open on this journal come first: anybody may go on with them. Below, the runbooks for "
        "the environment in hand. `enter` goes on, or begins."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take('run')", "go on", key_display="enter", id="begin.go_on",
                tooltip="Go on with this run"),
        Binding("enter", "take('book')", "begin", key_display="enter", id="begin.begin",
                tooltip="Begin this runbook"),
    ]  # fmt: skip

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`enter` goes on with a run, begins a runbook."""
        if action == "take":
            return self.chosen is not None and self.chosen.startswith(f"{parameters[0]} ")
        return super().check_action(action, parameters)

    def action_take(self, what: str) -> None:
        """Take what is under the cursor."""
        self.action_open()


class BeginPane(Container):
    """Open runs and runbooks, what the chosen one holds, and the contacts."""

    DEFAULT_CSS = """
    BeginPane { layout: vertical; height: 1fr; }
    BeginPane #mistakes { height: auto; max-height: 12; display: none; }
    BeginPane #mistakes.-any { display: block; }
    BeginPane #choices { height: auto; max-height: 60%; min-height: 4; }
    BeginPane #about { layout: horizontal; height: 1fr; }
    BeginPane #preview { width: 3fr; height: 100%; }
    BeginPane #contacts { width: 2fr; max-width: 60; height: 100%; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.known: Known | None = None
        self._environment = ""
        self._chosen_once = False

    def compose(self) -> ComposeResult:
        """Mistakes, the list, what is chosen, whom to call."""
        yield Panel(self._mistakes, title="Runbooks", id="mistakes")
        yield Choices(_COLUMNS, title="Checklists", heading=False, id="choices")
        yield Container(
            Panel(self._preview, title="", id="preview"),
            Panel(self._contacts, title="Contacts", id="contacts"),
            id="about",
        )

    @property
    def choices(self) -> Choices:
        """The list."""
        return self.query_one("#choices", Choices)

    @property
    def console_app(self) -> MuvaApp:
        """The application, typed."""
        return cast("MuvaApp", self.app)

    def reset(self, environment: str) -> None:
        """Another environment is in hand: nothing is known of it yet."""
        self._environment, self.known, self._chosen_once = environment, None, False

    def take(self, known: Known) -> None:
        """Show what was read."""
        self.known = known
        self.draw()

    def draw(self) -> None:
        """Draw everything."""
        known, table = self.known, self.choices
        table.fill(self._rows(known) if known is not None else [], empty=self._empty())
        if table.rows and not self._chosen_once:
            self._chosen_once = True
            table.choose(table.rows[0].key)
        table.face(Content.assemble("Checklists, ", self._environment), self._state())
        self._draw_panels()
        self.call_after_refresh(self._draw_panels)  # what was hidden had no width before

    def _draw_panels(self) -> None:
        known = self.known
        mistakes = self.query_one("#mistakes", Panel)
        broken = known.broken if known is not None else None
        mistakes.set_class(broken is not None, "-any")
        mistakes.face(Content.styled("✖ The runbooks cannot be used", "$t-fail"), muted("r reads them again"))
        mistakes.redraw()
        mistakes.refresh(layout=True)
        self._draw_preview()
        contacts = self.query_one("#contacts", Panel)
        contacts.display = bool(self.console_app.workspace.config.contacts)
        contacts.redraw()

    def _state(self) -> Content:
        if self.known is None:
            return muted("◐ reading")
        if self.known.lost is not None:
            return Content.styled("✖ the journal cannot be read", "$t-fail")
        return muted(plural(len(self.known.open), "open run"))

    def _empty(self) -> list[Content]:
        known = self.known
        if known is None:
            return [muted("◐ reading the runbooks and the journal …")]
        lines = _error_lines(known.lost) if known.lost is not None else []
        if known.broken is None:
            lines.append(muted(f"No runbook is for {self._environment}."))
        elif known.lost is None:
            lines.append(muted("No run is open on this journal."))
        return lines

    def _rows(self, known: Known) -> list[Row]:
        rows: list[Row] = []
        if known.open:
            rows.append(heading("open", muted("Open runs")))
        for view in known.open:
            run = view.run
            ago = runs_ago((known.at - run.begun_at).total_seconds())
            who = Content.assemble(_name(run.begun_by), muted(f"  {ago}"))
            cells = (_standing(view), Content(run.runbook.title), _progress(view), who)
            rows.append(Row(f"{RUN}{run.id}", cells))
        if known.runbooks:
            rows.append(heading("books", muted("Begin")))
        for book in known.runbooks:
            whose = Content("") if book.source == "playbook" else muted(book.source.rsplit("/", 1)[-1])
            title = Content(book.title)
            rows.append(
                Row(f"{BOOK}{book.id}", (muted("◌ runbook"), title, _kinds(book, self._environment), whose))
            )
        if known.lost is not None:
            rows += [heading(f"lost {n}", line) for n, line in enumerate(_error_lines(known.lost))]
        if known.ended:
            rows.append(heading("ended", muted("Ended lately")))
        for run in known.ended:
            ago = runs_ago((known.at - run.ended_at).total_seconds()) if run.ended_at is not None else ""
            rows.append(
                Row(
                    f"{RUN}{run.id}",
                    (
                        muted(f"■ {run.outcome}"),
                        muted(run.runbook.title),
                        muted("ended"),
                        muted(f"{_name(run.ended_by)}  {ago}"),
                    ),
                )
            )
        return rows

    def _mistakes(self, width: int) -> Sequence[Content]:
        broken = self.known.broken if self.known is not None else None
        if broken is None:
            return ()
        first, *rest = broken.lines()
        return wrapped(
            [Content.styled(f"✖ {first}", "$t-fail"), *(Content(f"  {line}") for line in rest)], width
        )

    def _contacts(self, width: int) -> Sequence[Content]:
        contacts = self.console_app.workspace.config.contacts
        roles = max((len(one.role) for one in contacts), default=0)
        return [
            Content.assemble(
                muted(f"{one.role:<{roles}}  "), strong(one.name), muted(f"  {one.reach}".rstrip())
            )
            for one in contacts
        ]

    # what is chosen

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another run or runbook."""
        event.stop()
        self.query_one("#preview", Panel).scroll_home(animate=False)
        self._draw_preview()
        self.refresh_bindings()

    @property
    def run(self) -> Run | None:
        """The run under the cursor."""
        key, known = self.choices.chosen or "", self.known
        if known is None or not key.startswith(RUN):
            return None
        runs = [*(view.run for view in known.open), *known.ended]
        return next((run for run in runs if key == f"{RUN}{run.id}"), None)

    @property
    def book(self) -> Runbook | None:
        """The runbook under the cursor."""
        key, known = self.choices.chosen or "", self.known
        if known is None or not key.startswith(BOOK):
            return None
        return next((one for one in known.runbooks if key == f"{BOOK}{one.id}"), None)

    def open_run_of(self, book: Runbook) -> Run | None:
        """The newest run of that runbook that is open."""
        views = self.known.open if self.known is not None else ()
        return next((view.run for view in views if view.run.runbook.id == book.id), None)

    def _draw_preview(self) -> None:
        panel = self.query_one("#preview", Panel)
        run, book = self.run, self.book
        panel.face(run.runbook.title if run is not None else book.title if book is not None else "")
        panel.redraw()

    def _preview(self, width: int) -> Sequence[Content]:
        run, book, known = self.run, self.book, self.known
        if known is None or (run is None and book is None):
            return ()
        lines: list[Content] = []
        if run is not None:
            book = run.runbook
            lines.append(
                Content.assemble(muted("run      "), run.id[:12], muted(f"  begun {moment(run.begun_at)}"))
            )
            people = run.people if run.ended_by in ("", *run.people) else (*run.people, run.ended_by)
            lines.append(Content.assemble(muted("who      "), ", ".join(people)))
            view = next((view for view in known.open if view.run.id == run.id), None)
            if view is not None:
                lines += [Content.assemble(muted("between  " if n == 0 else "         "), one)
                          for n, one in enumerate(view.between[:6])]  # fmt: skip
        elif book is not None:
            if book.about:
                lines += [Content(book.about), Content("")]
            opened = self.open_run_of(book)
            if opened is not None:
                told = f"▲ a run of this is open, begun by {opened.begun_by}: enter offers it first"
                lines += [Content.styled(told, "$t-warn"), Content("")]
            lines += [
                Content.assemble(muted(f"{_kind_of(step):<8} "), step.title)
                for step in book.for_environment(self._environment)
            ]
        return wrapped(lines, width)


def _error_lines(error: OpsError) -> list[Content]:
    first, *rest = error.lines()
    return [Content.styled(f"✖ {first}", "$t-fail"), *(muted(f"  {line}") for line in rest)]


def _standing(view: RunView) -> Content:
    """The verdict, as far as the journal tells: a GO is to be looked at again before it is believed."""
    if view.verdict is Verdict.GO:
        return muted("◌ was GO")
    return verdict_mark(view.verdict)


def _progress(view: RunView) -> Content:
    asked = [item for item in view.items if item.state is not State.TEXT]
    done = sum(not item.open for item in asked)
    return Content.assemble(f"{done} of {len(asked)}", muted(" are well"))


def _kinds(book: Runbook, environment: str) -> Content:
    steps = book.for_environment(environment)
    kinds = [_kind_of(step) for step in steps]
    words = ("sensed", "led", "asked", "to do", "to read")
    told = [f"{kinds.count(word)} {word}" for word in words if word in kinds]
    return muted(", ".join(told))


def _name(label: str) -> str:
    return label.split(" (", maxsplit=1)[0]
