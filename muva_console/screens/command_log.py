"""The command log: everything the console ran on the engineer's behalf."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from muva_console.screens.frame import CopyItem
from muva_console.widgets.dialog import Dialog
from muva_console.widgets.format import clock, milliseconds
from muva_console.widgets.level import muted
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.links.base import CommandRecord

_COLUMNS = (
    Column("at", 9, keep=80),
    Column("where", 18, keep=70),
    Column("command or request", 30, flex=True),
    Column("outcome", 12, keep=60),
    Column("took", 7, align="right", keep=50),
)
_GOOD = ("exit 0", "ok", "done", "2", "3")


class CommandLogScreen(Dialog[None]):
    """The newest first; `y` copies the line."""

    YIELDS = True
    HELP = "All that the console ran for you, the newest first, secrets taken out. `y` copies a line."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", id="log.copy", tooltip="Copy the command"),
    ]
    DEFAULT_CSS = """
    CommandLogScreen #box { width: 96%; max-width: 180; height: 90%; }
    CommandLogScreen Table, CommandLogScreen Table:focus { border: none; padding: 0; height: 1fr; }
    """

    def heading(self) -> str:
        """What this is."""
        return "What the console ran for you"

    def content(self) -> Iterable[Widget]:
        """The list."""
        yield LogTable(_COLUMNS, id="log")

    def on_mount(self) -> None:
        """Follow the log while it is looked at."""
        self._lines: dict[str, CommandRecord] = {}
        self._total = -1
        self._show()
        self.set_interval(1.0, self._show)
        self.query_one(Table).focus()

    def _show(self) -> None:
        log = cast("MuvaApp", self.app).workspace.commands
        if log.total == self._total:
            return
        self._total = log.total
        records = log.records()
        first = log.total - len(records)
        keyed = [(str(first + index), record) for index, record in enumerate(records)]
        keyed.reverse()
        self._lines = dict(keyed)
        empty = [muted("Nothing yet: links open when they are first needed.")]
        self.query_one(Table).fill((Row(key, _cells(record)) for key, record in keyed), empty=empty)

    def action_copy(self) -> None:
        """Copy the command under the cursor."""
        from muva_console.screens.copying import copy_text

        record = self._lines.get(self.query_one(Table).chosen or "")
        if record is not None:
            self.app.run_worker(copy_text(self.app, CopyItem("the command", record.line)))


class LogTable(Table):
    """There is nothing behind a line of the log to open."""

    HELP = "`y` copies the command under the cursor."

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is opened here."""
        return action != "open"


def _cells(record: CommandRecord) -> tuple[Content, ...]:
    good = record.outcome.startswith(_GOOD)
    return (
        muted(clock(record.at)),
        Content(record.where.removeprefix("https://").removeprefix("http://")),
        Content(record.line),
        Content(record.outcome) if good else Content.styled(record.outcome, "$t-warn"),
        muted(milliseconds(record.took_ms)),
    )
