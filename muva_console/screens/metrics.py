"""Metrics: what was deployed, and the five key figures of it, down to the records they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.errors import OpsError
from muva_console.screens.frame import CopyItem, Frame
from muva_console.screens.metrics_text import (
    FIGURES,
    RECORDS,
    bar_lines,
    figure_rows,
    legend,
    record_lines,
    record_rows,
)
from muva_console.screens.reader import Reader
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import plural
from muva_console.widgets.level import muted
from muva_console.widgets.panel import Panel
from muva_console.widgets.table import Column, Table

if TYPE_CHECKING:
    from muva_console.ops.metrics.dora import Change
    from muva_console.ops.metrics.reading import Told

WINDOWS = {"7 d": 7, "30 d": 30, "90 d": 90, "1 y": 365}
"""Days; what `w` goes through."""


class Metrics(Frame):
    """The figures above, the days in the middle, the records below."""

    MODE = "metrics"
    HELP = (
        "The five key figures of deployments (DORA), each with what it rests on; what rests on fewer than "
        "five is called too few. `enter` on a figure keeps only the records that it was made of; on a record "
        "it shows all of it. `w` another window, `x` writes CSV, SVG, PNG or JSON, `i` takes over from "
        "GitHub what was deployed elsewhere."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "window", "window", id="metrics.window", tooltip="A week, a month, three, a year"),
        Binding("x", "export", "export", id="metrics.export", tooltip="Write a file: CSV, SVG, PNG, JSON"),
        Binding(
            "i",
            "import_runs",
            "import",
            id="metrics.import",
            tooltip="Take over from GitHub's runs what was deployed elsewhere",
        ),
    ]
    DEFAULT_CSS = """
    Metrics #body { layout: vertical; }
    Metrics #figures { height: 8; }
    Metrics #days { height: 10; }
    Metrics #records { height: 1fr; }
    Metrics.-high #days { height: 16; }
    Metrics.-short #days { height: 6; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._window = "30 d"
        self._told: Told | None = None
        self._error: OpsError | None = None
        self._figure = ""
        self._importing = ""

    def body(self) -> Iterable[Widget]:
        """Figures, days, records."""
        yield Container(
            Table(FIGURES, title="Figures", id="figures"),
            Panel(self._days, title="By day", id="days"),
            Table(RECORDS, title="Records", id="records"),
            id="body",
        )

    def on_mount(self) -> None:
        """The figures have the focus."""
        self.query_one("#figures", Table).focus()

    # reading

    def entered(self) -> None:
        """Shown: read what is recorded."""
        self.refreshed()

    def environment_changed(self) -> None:
        """Another environment has other figures."""
        self._told, self._figure = None, ""
        self.refreshed()
        self.refresh_all()

    def refreshed(self) -> None:
        """Read again."""
        if self.environment:
            self.console_app.work_on("reading the figures", self._read, group="metrics", exclusive=True)

    async def _read(self) -> None:
        from muva_console.ops.metrics.reading import read_report

        app, environment, window = self.console_app, self.environment, self._window
        until = app.now()
        since = until - timedelta(days=WINDOWS[window])
        try:
            told = await app.ask_ops(lambda: read_report(app.workspace, environment, since, until))
        except OpsError as error:
            self._error = error
        else:
            if (environment, window) != (self.environment, self._window):
                return
            self._told, self._error = told, None
        if self.is_mounted:
            self.refresh_all()

    # drawing

    def refresh_all(self) -> None:
        """Draw everything."""
        told = self._told
        figures = self.query_one("#figures", Table)
        figures.fill(figure_rows(told) if told is not None else [], empty=self._empty())
        title = Content.assemble(f"Figures, {self.environment or 'no environment'}  ", muted(self._window))
        figures.face(title, self._range())
        days = self.query_one("#days", Panel)
        days.face("By day", legend(told.now) if told is not None else "")
        days.redraw()
        self._draw_records()

    def _range(self) -> Content:
        if self._importing:
            return muted(f"◐ {self._importing}")
        told = self._told
        if told is None:
            return Content("")
        unknown = "  some lead times are not known" if told.unknown_leads else ""
        return muted(f"{told.now.since:%Y-%m-%d} to {told.now.until:%Y-%m-%d}{unknown}")

    def _empty(self) -> list[Content]:
        if not self.environment:
            return [Content("No environment is configured.")]
        if self._error is not None:
            first, *rest = self._error.lines()
            return [Content.styled(f"✖ {first}", "$t-fail"), *(muted(f"  {line}") for line in rest)]
        return [muted("◐ reading what is recorded …")]

    def _days(self, width: int) -> Sequence[Content]:
        if self._told is None:
            return []
        height = self.query_one("#days", Panel).scrollable_content_region.height
        return bar_lines(self._told.now, width, height)

    def _changes(self) -> Sequence[Change]:
        if self._told is None:
            return ()
        changes = self._told.now.changes
        if not self._figure:
            return changes
        chosen = next((one for one in self._told.now.figures if one.name == self._figure), None)
        wanted = set(chosen.records) if chosen is not None else set()
        return [one for one in changes if one.deployment.entry in wanted]

    def _draw_records(self) -> None:
        table = self.query_one("#records", Table)
        changes = self._changes()
        table.fill(record_rows(changes), empty=self._no_records())
        title = Content.assemble("Records", muted(f"  of {self._figure}") if self._figure else "")
        table.face(title, muted(plural(len(changes), "change")) if changes else "")

    def _no_records(self) -> list[Content]:
        if self._told is None:
            return []
        if self._figure:
            return [Content(f"No record stands behind {self._figure}."), muted("escape shows all of them.")]
        return [
            Content("Nothing that went live is recorded in this window."),
            muted("What the console leads is recorded by itself; i takes over from GitHub what was deployed"),
            muted("elsewhere, and muva metrics record writes down what no workflow did. w: another window."),
        ]

    # acting

    def on_table_opened(self, event: Table.Opened) -> None:
        """A figure keeps its records; a record is shown whole."""
        if event.table.id == "figures":
            self._figure = "" if self._figure == event.key else event.key
            self._draw_records()
            self.query_one("#records", Table).focus()
            return
        one = next((each for each in self._changes() if each.deployment.id == event.key), None)
        if one is not None:
            lines = record_lines(one)
            title = f"{one.deployment.commit[:7]} on {self.environment}"
            self.app.push_screen(Reader(title, lambda width: wrapped(lines, width), command=self._command()))

    def go_back(self) -> bool:
        """All records again."""
        if not self._figure:
            return False
        self._figure = ""
        self._draw_records()
        self.query_one("#figures", Table).focus()
        return True

    def action_window(self) -> None:
        """The next window."""
        names = list(WINDOWS)
        self._window = names[(names.index(self._window) + 1) % len(names)]
        self._told = None
        self.refresh_all()
        self.refreshed()

    def action_export(self) -> None:
        """Choose a format and write a file."""
        if self._told is not None:
            self.console_app.work_on("writing a file", self._export, group="metrics.export")

    async def _export(self) -> None:
        from asyncio import to_thread

        from muva_console.clipboard import save_bytes, state_folder
        from muva_console.ops.metrics.chart import as_csv, as_png, as_svg, data_of
        from muva_console.screens.choices import Choice, Chooser

        told = self._told
        if told is None:
            return
        choices = [
            Choice("csv", (Content("CSV"), muted("the records, for a spread sheet"))),
            Choice("svg", (Content("SVG"), muted("the days and the figures, for a page"))),
            Choice("png", (Content("PNG"), muted("the same as a picture"))),
            Choice("json", (Content("JSON"), muted("figures and records, for a program"))),
        ]
        columns = (Column("format", 6), Column("what", 40, flex=True))
        shape = await self.app.push_screen_wait(Chooser("Write a file", columns, choices, "csv"))
        if shape is None:
            return

        def made() -> bytes:
            import msgspec

            match shape:
                case "csv":
                    return as_csv(told.now).encode()
                case "svg":
                    return as_svg(told.now).encode()
                case "png":
                    return as_png(told.now)
                case _:
                    both = {"report": data_of(told.now), "before": data_of(told.before)}
                    return msgspec.json.format(msgspec.json.encode(both), indent=2)

        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = state_folder() / "metrics" / f"{self.environment}-{stamp}.{shape}"
        try:
            await to_thread(lambda: save_bytes(made(), path))
        except OSError as error:
            raise OpsError(f"not written: {error.strerror or error}", where=str(path)) from error
        self.console_app.tell(str(path), title="Written")

    def action_import_runs(self) -> None:
        """Take over from GitHub's runs."""
        app = self.console_app
        if app.workspace.read_only:
            app.tell("Read-only: nothing is recorded.", severity="warning")
        elif not self._importing:
            app.work_on("taking over from GitHub", self._import, group="metrics.import", exclusive=True)

    async def _import(self) -> None:
        from muva_console.ops.metrics.recording import import_runs

        app, environment = self.console_app, self.environment
        since = app.now() - timedelta(days=WINDOWS[self._window])
        count = 0
        self._importing = "asking GitHub"
        self.refresh_all()
        try:
            async for _line in app.engine.iterate(lambda: import_runs(app.workspace, environment, since)):
                count += 1
                self._importing = f"{count} taken over"
                self.refresh_all()
        finally:
            self._importing = ""
            self.refreshed()
            self.refresh_all()
        app.tell(f"{plural(count, 'deployment')} taken over" if count else "Nothing is new.", title="GitHub")

    def _command(self) -> str:
        days = WINDOWS[self._window]
        return f"muva metrics report --env {self.environment} --window {days}d --records"

    def copy_items(self) -> Sequence[CopyItem]:
        """The command, the figures, the records."""
        return [
            CopyItem("the command behind it", self._command()),
            CopyItem("the figures", self.query_one("#figures", Table).text()),
            CopyItem("the records", self.query_one("#records", Table).text()),
        ]
