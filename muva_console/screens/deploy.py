"""Deploy: the runs of the environment in hand, the time line of one of them, live; approval, lock, lead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.errors import OpsError
from muva_console.ops.links.github_runs import WorkflowRun
from muva_console.screens.deploy_read import Deployments, read_deployments, watch_run
from muva_console.screens.deploy_text import RUN_COLUMNS, head_lines, holders_of, run_row, state_of
from muva_console.screens.frame import CopyItem, Frame
from muva_console.widgets.dialog import Words
from muva_console.widgets.format import age, plural
from muva_console.widgets.level import muted
from muva_console.widgets.table import Table
from muva_console.widgets.timeline_style import plain
from muva_console.widgets.timeline_view import TimelineView

if TYPE_CHECKING:
    from muva_console.ops.deploys.watch import Watch

READ_EVERY = 5
"""Seconds between looks at the list while it is in sight; answers as before cost nothing of the limit."""
KEPT = 6
"""Runs whose time lines are kept, the last that were looked at. Ours."""


class Deploy(Frame):
    """Runs, and the time line of the one under the cursor."""

    MODE = "deploy"
    AUTO_FOCUS = None
    HELP = (
        "Deployments. `d` leads the one of this environment, or goes on with the open one: its next step is "
        "marked and `enter` begins it. `enter` on a run goes to its time line. `a` approves and `x` rejects "
        "the run that waits; `B` breaks somebody's lock, with a reason. Each shows its plan and asks."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "lead", "lead", id="deploy.lead", tooltip="Lead the deployment, or go on with it"),
        Binding("a", "decide(True)", "approve", id="deploy.approve", tooltip="Approve the run that waits"),
        Binding("x", "decide(False)", "reject", id="deploy.reject", tooltip="Reject it, with a reason"),
        Binding("b", "roll_back", "roll back", id="deploy.roll_back",
                tooltip="Back to the last release that was good, or on with a rollback"),
        Binding("B", "break_lock", "break lock", id="deploy.break_lock",
                tooltip="Break the lock, with a reason"),
        Binding("slash", "filter", "filter", key_display="/", id="deploy.filter",
                tooltip="Show lines with a text alone"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    Deploy #body { layout: vertical; }
    Deploy #heads { height: auto; max-height: 6; padding: 0 2; }
    Deploy #both { layout: horizontal; height: 1fr; }
    Deploy #runs { width: 50; height: 100%; }
    Deploy #right { width: 1fr; height: 100%; layout: vertical; }
    Deploy #line { height: 1fr; }
    Deploy #filter { height: 1; border: none; padding: 0 1; display: none; background: $panel; }
    Deploy #filter.-any { display: block; }
    Deploy.-wide #runs { width: 74; }
    Deploy.-narrow #both { layout: vertical; }
    Deploy.-narrow #runs { width: 100%; height: 7; }
    Deploy.-narrow #right { width: 100%; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: Deployments | None = None
        self._read_at = 0.0
        self._failed: OpsError | None = None
        self._watches: dict[tuple[int, int], Watch] = {}
        self._ticks = 0
        self._reading = False
        self._dead: list[Watch] = []
        """Watches that ended with an error."""

    def body(self) -> Iterable[Widget]:
        """What is to be known, the runs, the time line."""
        yield Container(
            Words(id="heads"),
            Container(
                Table(RUN_COLUMNS, title="Runs", id="runs"),
                Container(
                    Input(placeholder="text", id="filter", compact=True), TimelineView(id="line"), id="right"
                ),
                id="both",
            ),
            id="body",
        )

    @property
    def table(self) -> Table:
        """The runs."""
        return self.query_one("#runs", Table)

    @property
    def line(self) -> TimelineView:
        """The time line."""
        return self.query_one("#line", TimelineView)

    @property
    def known(self) -> Deployments | None:
        """What was read last of the environment in hand."""
        known = self._known
        return known if known is not None and known.environment == self.environment else None

    @property
    def run(self) -> WorkflowRun | None:
        """The run under the cursor."""
        known, chosen = self.known, self.table.chosen
        runs = known.runs if known is not None else ()
        return next((one for one in runs if str(one.id) == chosen), None)

    @property
    def watch_in_hand(self) -> Watch | None:
        """What follows the run under the cursor."""
        run = self.run
        return self._watches.get((run.id, run.attempt)) if run is not None else None

    # reading

    def on_mount(self) -> None:
        """The runs have the focus."""
        self.table.focus()

    def entered(self) -> None:
        """Look again; what was followed went on meanwhile."""
        self.refreshed()

    def environment_changed(self) -> None:
        """Another environment, other runs."""
        self._failed = None
        self.redraw()
        self.refreshed()

    def refreshed(self) -> None:
        """Read the list anew."""
        self.console_app.work_on("reading the runs", self._read, group="deploy.read", exclusive=True)

    async def _read(self) -> None:
        app, environment = self.console_app, self.environment
        if not environment:
            return
        workspace = app.workspace
        self._reading = True
        try:
            known = await app.ask_ops(lambda: read_deployments(workspace, environment))
        except OpsError as error:
            self._failed = error
        else:
            if environment == self.environment:
                self.take(known)
        finally:
            self._reading = False
        if self.is_mounted:
            self.refresh_all()

    def take(self, known: Deployments) -> None:
        """What was read; runs that GitHub could not tell now stay in sight as they were."""
        before = self.known
        if known.runs_error is not None and before is not None:
            from msgspec import structs

            known = structs.replace(known, runs=before.runs)
        else:
            self._read_at = self.board.monotonic()
        self._known, self._failed = known, None

    def tick(self) -> None:
        """Ages move on; what others start is seen."""
        self._ticks += 1
        # one that is slow is waited for: to ask anew each time would never let it answer
        if self._ticks % READ_EVERY == 0 and not self.console_app.paused and not self._reading:
            self.refreshed()
        self._draw_head()

    # drawing

    def refresh_all(self) -> None:
        """Draw everything."""
        known = self.known
        now = self.board.now()
        runs = known.runs if known is not None else ()
        self.table.fill([run_row(one, now) for one in runs], empty=self._nothing())
        self._follow()
        self._draw_head()
        self.refresh_bindings()

    def _nothing(self) -> list[Content]:
        known = self.known
        error = self._failed or (known.runs_error if known is not None else None)
        if error is not None:
            first, *rest = error.lines()
            told = [Content.styled(f"? the runs are not known: {first}", "$t-unknown")]
            return [
                *told,
                *(muted(f"  {line}") for line in rest),
                muted("  asked again by itself; r asks now"),
            ]
        if known is None:
            return [muted("◐ asking for the runs …")]
        branch = self.board.workspace.config.environments[self.environment].branch
        return [Content(f"No workflow has run for {branch}."), muted("d leads a deployment.")]

    def _draw_head(self) -> None:
        known = self.known
        lines = head_lines(known, self.watch_in_hand, max(20, self.size.width - 4)) if known else []
        heads = self.query_one("#heads", Words)
        heads.display = bool(lines)
        heads.say_if_changed(lines)
        old = age(self.board.monotonic() - self._read_at) if known is not None else ""
        stale = known is not None and (known.runs_error is not None or self._failed is not None)
        aside = Content.styled(f"⌛ {old}", "$t-warn") if stale else muted(f"{old} · GitHub" if old else "")
        self.table.face(f"Runs, {self.environment}", aside)
        self.table.dim(stale)
        run, line, watch = self.run, self.line, self.watch_in_hand
        title = f"{run.workflow} #{run.number}" if run is not None else "Time line"
        told = f"  /{line.filter}" if line.filter else ""
        following = "⏸ paused" if line.paused else "● following" if line.following else "reading, end follows"
        seen = watch.run if watch is not None and watch.run is not None else run
        state = state_of(seen) if seen is not None else Content("")
        line.face(Content.assemble(title, muted(told)), Content.assemble(muted(f"{following} "), state))

    def _follow(self) -> None:
        """Follow the run under the cursor; those followed before go on until they are over."""
        run, app = self.run, self.console_app
        if run is None:
            self.line.show(None, empty=[muted("Choose a run.")])
            return
        key = (run.id, run.attempt)
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = self._begin(run)
            over = [one for one, old in self._watches.items() if old.run is not None and old.run.finished]
            for old_key in over[: max(0, len(self._watches) - KEPT)]:
                if old_key != key:
                    del self._watches[old_key]
        asked = "◐ asking what it did …" if app.awake else ""
        self.line.show(watch.timeline, empty=[muted(asked)])

    def _begin(self, run: WorkflowRun) -> Watch:
        app = self.console_app
        watch = watch_run(app.workspace, run)
        app.work_on(f"following run {run.id}", lambda: self._followed(watch), group="deploy.watch")
        return watch

    async def _followed(self, watch: Watch) -> None:
        """Follow it; one that could not be is begun anew when it is chosen again."""
        try:
            await self.console_app.ask_ops(watch.follow)
        except OpsError as error:
            self._dead.append(watch)
            told = "\n".join(error.lines())
            self.console_app.tell(told, title="Not followed", severity="warning", timeout=15)

    # choosing

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another run."""
        dead, self._dead = self._dead, []
        self._watches = {key: one for key, one in self._watches.items() if one not in dead}
        self._follow()
        self._draw_head()
        self.refresh_bindings()

    def on_table_opened(self, event: Table.Opened) -> None:
        """To its time line."""
        self.line.focus()

    def go_back(self) -> bool:
        """From the filter and the time line to the runs."""
        if self.line.filter:
            self._filter_by("")
            return True
        if self.line.has_focus:
            self.table.focus()
            return True
        return False

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-any")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The lines follow what is typed."""
        self.line.set_filter(event.value.strip())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep it, to the lines."""
        self.query_one("#filter", Input).set_class(bool(self.line.filter), "-any")
        self.line.focus()

    def on_key(self, event: Key) -> None:
        """Escape in the filter drops it."""
        if event.key == "escape" and self.query_one("#filter", Input).has_focus:
            event.stop()
            event.prevent_default()
            self._filter_by("")
            self.line.focus()

    def _filter_by(self, text: str) -> None:
        field = self.query_one("#filter", Input)
        field.value = text
        field.set_class(bool(text), "-any")
        self.line.set_filter(text)

    def on_timeline_view_save_requested(self, event: TimelineView.SaveRequested) -> None:
        """Write what is shown to a new file, and say where."""
        from muva_console.clipboard import save

        app = self.console_app
        try:
            app.tell(str(save(event.text)), title=f"Written: {plural(event.lines, 'line')}", timeout=12)
        except OSError as error:
            app.tell(str(error.strerror or error), title="Not written", severity="error", timeout=12)

    # acting

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        if action == "decide":
            known, run = self.known, self.run
            return known is not None and run is not None and known.waiting == run.id
        if action == "break_lock":
            return bool(self.known and holders_of(self.known))
        return super().check_action(action, parameters)

    def action_decide(self, approve: bool) -> None:
        """Approve or reject the run under the cursor."""
        from muva_console.screens.deploy_acts import decide

        app, run, environment = self.console_app, self.run, self.environment
        if run is not None:
            app.work_on("deciding", lambda: decide(app, environment, run, approve=approve), group="acts")

    def action_break_lock(self) -> None:
        """Break the lock."""
        from muva_console.screens.deploy_acts import break_lock

        app, environment = self.console_app, self.environment
        holders = holders_of(self.known) if self.known is not None else []
        app.work_on("breaking the lock", lambda: break_lock(app, environment, holders), group="acts")

    def action_roll_back(self) -> None:
        """Back to the last release that was good."""
        from muva_console.screens.deploy_acts import roll_back

        app, environment = self.console_app, self.environment
        app.work_on("rolling back", lambda: roll_back(app, environment), group="acts")

    def action_lead(self) -> None:
        """Lead the deployment of the environment in hand."""
        from muva_console.screens.deploy_acts import lead

        app, environment = self.console_app, self.environment
        app.work_on("leading", lambda: lead(app, environment), group="begin", exclusive=True)

    def copy_items(self) -> Sequence[CopyItem]:
        """The line under the cursor, all lines; the command; the run's address."""
        items, run, chosen = [], self.run, self.line.chosen
        if self.line.has_focus and chosen is not None:
            items += [CopyItem("the line", plain(chosen)), CopyItem("the time line", self.line.text())]
        if run is not None:
            items.append(CopyItem("the command", f"muva runs watch {run.id}"))
            items.append(CopyItem("the run's address", run.url))
        items.append(CopyItem("the command", f"muva deploy --env {quote(self.environment)}"))
        return items
