"""Journal: who did what when, the newest first; acts without an end; whether the record is whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Entry, Filter, JournalStatus, Life, OpenAct, Verification
from muva_console.ops.readings import Level
from muva_console.screens.frame import CopyItem, Frame
from muva_console.screens.journal_text import entry_cells, entry_lines, life_mark
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import moment, plural
from muva_console.widgets.level import mark, muted
from muva_console.widgets.panel import Build, Panel
from muva_console.widgets.table import Column, Row, Table

PAGE = 500
"""Entries read at a time."""

_COLUMNS = (
    Column("when (UTC)", 19, keep=80),
    Column("who", 14, keep=70),
    Column("where", 11, keep=60),
    Column("outcome", 13, keep=90),
    Column("what", 20, flex=True),
    Column("entry", 7, align="right", keep=10),
)


class JournalScreen(Frame):
    """The newest entries, and the one under the cursor whole."""

    MODE = "journal"
    HELP = (
        "Everything that was done and found, by anybody on this journal, the newest first. Entries are "
        "chained by hashes: `v` walks the chain and finds any edit. `/` keeps those in which a text stands."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash",
            "filter",
            "filter",
            key_display="/",
            id="journal.filter",
            tooltip="Only entries with a text",
        ),
        Binding("v", "verify", "verify", id="journal.verify", tooltip="Walk the chain of hashes"),
        Binding("a", "scope", "all/this", id="journal.scope", tooltip="All environments, or the one in hand"),
        Binding(
            "i",
            "incident",
            "incident",
            show=False,
            id="journal.incident",
            tooltip="The open incident of the environment in hand, or its last: how it stands, its time line",
        ),
        Binding("m", "more", "older", id="journal.more", tooltip="Read older entries too"),
    ]
    DEFAULT_CSS = """
    JournalScreen #body { layout: vertical; }
    JournalScreen #both { layout: vertical; height: 1fr; }
    JournalScreen #entries { height: 3fr; }
    JournalScreen #entry { height: 2fr; }
    JournalScreen #open { height: auto; max-height: 8; display: none; }
    JournalScreen #open.-any { display: block; }
    JournalScreen #filter { height: 1; border: none; padding: 0 1; display: none; background: $panel; }
    JournalScreen #filter.-any { display: block; }
    JournalScreen.-wide #both { layout: horizontal; }
    JournalScreen.-wide #entries { width: 3fr; height: 100%; }
    JournalScreen.-wide #entry { width: 2fr; height: 100%; }
    JournalScreen.-short #entry, JournalScreen #entry.-none { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, Entry] = {}
        self._open: list[OpenAct] = []
        self._status: JournalStatus | None = None
        self._verified: Verification | None = None
        self._error: OpsError | None = None
        self._read_once = False
        self._all = True
        self._text = ""
        self._limit = PAGE

    def body(self) -> Iterable[Widget]:
        """Open acts, the filter, the list, the entry."""
        yield Container(
            Panel(self._open_lines, title="Without an end", id="open"),
            Input(placeholder="text that stands in an entry", id="filter", compact=True),
            Container(
                Table(_COLUMNS, title="Journal", id="entries"),
                Panel(self._entry_lines, title="Entry", id="entry"),
                id="both",
            ),
            id="body",
        )

    def on_mount(self) -> None:
        """The list has the focus, not the filter."""
        self.query_one("#entries", Table).focus()

    # reading

    def entered(self) -> None:
        """Read what is new, and go on following while it is looked at."""
        self.refreshed()
        self.console_app.work_on(
            "following the journal", self._follow, group="journal.follow", exclusive=True
        )

    def left(self) -> None:
        """Follow no more."""
        self.app.workers.cancel_group(self.app, "journal.follow")

    def refreshed(self) -> None:
        """Read the journal again."""
        self.console_app.work_on("reading the journal", self._read, group="journal.read", exclusive=True)

    async def _read(self) -> None:
        app = self.console_app
        journal = app.workspace.journal
        environment = None if self._all else self.environment
        wanted = Filter(environment=environment, text=self._text, limit=self._limit)
        try:
            entries = await app.ask_ops(lambda: journal.read(wanted))
            self._open = await app.ask_ops(lambda: journal.open_acts(environment))
            self._status = await app.ask_ops(journal.status)
            self._error = None
        except OpsError as error:
            self._error = error
        else:
            self._entries = {str(entry.id): entry for entry in reversed(entries)}
        self._read_once = True
        if self.is_mounted:
            self.refresh_all()

    async def _follow(self) -> None:
        """Wait for new entries, whoever writes them."""
        app = self.console_app
        journal = app.workspace.journal
        async for _batch in app.engine.iterate(journal.follow):
            if not self.shown:
                return
            self.refreshed()

    # drawing

    def refresh_all(self) -> None:
        """Draw everything."""
        table = self.query_one("#entries", Table)
        rows = [Row(key, entry_cells(entry)) for key, entry in self._entries.items()]
        table.fill(rows, empty=self._empty())
        scope = "all environments" if self._all else self.environment
        title = Content.assemble("Journal  ", muted(scope))
        if self._text:
            title = Content.assemble(title, muted("  with "), f"“{self._text}”")
        table.face(title, self._state())
        opened = self.query_one("#open", Panel)
        opened.set_class(bool(self._open) or bool(self._warnings()), "-any")
        opened.face(Content.styled("Without an end" if self._open else "The journal warns", "$t-warn"))
        opened.redraw()
        opened.refresh(layout=True)
        self._draw_entry()

    def _empty(self) -> list[Content]:
        if self._error is not None:
            first, *rest = self._error.lines()
            return [Content.styled(f"✖ {first}", "$t-fail"), *(muted(f"  {line}") for line in rest)]
        if not self._read_once:
            return [muted("◐ reading the journal …")]
        if self._text or not self._all:
            return [Content("No entry fits."), muted("a shows all environments; / changes the filter.")]
        where = self._status.directory if self._status is not None else ""
        return [Content("Nothing is recorded yet."), muted(f"It is kept in {where}.")]

    def _state(self) -> Content:
        if self._error is not None:
            return Content.styled("✖ not read", "$t-fail")
        verified = self._verified
        if verified is not None:
            return mark(verified.level, verified.summary)
        if self._status is None:
            return Content("")
        shown = plural(len(self._entries), "entry", "entries")
        if len(self._entries) >= self._limit:
            shown = f"the newest {len(self._entries):,}, m reads older ones"
        return muted(f"{shown}  not verified, v walks the chain")

    def _warnings(self) -> tuple[str, ...]:
        return self._status.warnings if self._status is not None else ()

    def _open_lines(self, width: int) -> Sequence[Content]:
        lines = [Content.styled(f"▲ {warning}", "$t-warn") for warning in self._warnings()]
        for act in self._open:
            lines.append(Content.assemble(life_mark(act.life), f" {act.summary}"))
            if act.life is Life.INTERRUPTED:
                lines.append(
                    muted(f"  look what became of it, then: muva journal settle {act.entry.id} TEXT")
                )
        return wrapped(lines, width)

    def _draw_entry(self) -> None:
        entry = self._chosen()
        panel = self.query_one("#entry", Panel)
        panel.set_class(entry is None, "-none")
        panel.face(
            f"Entry {entry.id}" if entry is not None else "Entry", muted(moment(entry.at)) if entry else ""
        )
        panel.redraw()

    def _chosen(self) -> Entry | None:
        return self._entries.get(self.query_one("#entries", Table).chosen or "")

    def _entry_lines(self, width: int) -> Sequence[Content]:
        entry = self._chosen()
        return wrapped(entry_lines(entry), width) if entry is not None else []

    # acting

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another entry."""
        self.query_one("#entry", Panel).scroll_home(animate=False)
        self._draw_entry()

    def on_table_opened(self, event: Table.Opened) -> None:
        """An entry whole."""
        from muva_console.screens.reader import Reader

        entry = self._entries.get(event.key)
        if entry is not None:
            lines = wrapped_entry(entry)
            self.app.push_screen(
                Reader(f"Entry {entry.id}", lines, command=f"muva journal --json  # entry {entry.id}")
            )

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-any")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, back to the list."""
        self._filter(event.value)
        self.query_one("#entries", Table).focus()

    def on_key(self, event: Key) -> None:
        """Escape in the filter drops it."""
        field = self.query_one("#filter", Input)
        if event.key == "escape" and field.has_focus:
            event.stop()
            event.prevent_default()
            field.value = ""
            self._filter("")
            self.query_one("#entries", Table).focus()

    def _filter(self, text: str) -> None:
        self._text = text.strip()
        self.query_one("#filter", Input).set_class(bool(self._text), "-any")
        self.refreshed()

    def go_back(self) -> bool:
        """Drop the filter first."""
        if self._text:
            self.query_one("#filter", Input).value = ""
            self._filter("")
            return True
        return False

    def action_scope(self) -> None:
        """All environments, or the one in hand."""
        self._all = not self._all
        self.refreshed()

    def action_more(self) -> None:
        """Read older entries too."""
        self._limit += PAGE
        self.refreshed()

    def action_verify(self) -> None:
        """Walk the chain."""
        self.console_app.work_on(
            "verifying the journal", self._verify, group="journal.verify", exclusive=True
        )

    def action_incident(self) -> None:
        """Read the incident in hand."""
        self.console_app.work_on(
            "reading the incident", self._incident, group="journal.incident", exclusive=True
        )

    async def _incident(self) -> None:
        from muva_console.ops.incidents.desk import Desk
        from muva_console.ops.incidents.timeline import read_timeline
        from muva_console.ops.readings import utc_now
        from muva_console.screens.incident_text import incident_lines
        from muva_console.screens.reader import Reader

        app, environment = self.console_app, self.environment
        journal = app.workspace.journal
        known = await app.ask_ops(lambda: Desk(journal).all(environment))
        if not known:
            app.tell(f"{environment} has no incident in this journal: muva incident open", title="Incident")
            return
        found = next((one for one in reversed(known) if one.open), known[-1])
        moments = await app.ask_ops(lambda: read_timeline(journal, found, now=utc_now()))
        lines = incident_lines(found, moments)
        self.app.push_screen(
            Reader(
                f"Incident {found.id}, {environment}",
                lambda width: wrapped(lines, width),
                command=f"muva incident show --id {found.id}",
            )
        )

    async def _verify(self) -> None:
        app = self.console_app
        journal = app.workspace.journal
        self.query_one("#entries", Table).face("Journal", muted("◐ walking the chain …"))
        self._verified = await app.ask_ops(journal.verify)
        self.refresh_all()
        if self._verified.level is not Level.OK:
            text = "\n".join((self._verified.summary, *self._verified.evidence))
            app.tell(text, title="The journal is not as it was written", severity="error", timeout=20)

    def copy_items(self) -> Sequence[CopyItem]:
        """The entry, the list."""
        entry = self._chosen()
        items = []
        if entry is not None:
            items.append(CopyItem("the entry", "\n".join(line.plain for line in entry_lines(entry))))
        items.append(CopyItem("the list", self.query_one("#entries", Table).text()))
        items.append(CopyItem("the command", "muva journal"))
        return items


def wrapped_entry(entry: Entry) -> Build:
    """What a reader shows of an entry."""
    return lambda width: wrapped(entry_lines(entry), width)
