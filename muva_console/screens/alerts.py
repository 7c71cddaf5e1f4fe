"""The alerts of all environments: seen to, silenced with a reason and an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from muva_console.ops.alerts.words import said_of
from muva_console.ops.errors import Refused
from muva_console.widgets.dialog import Dialog, Words
from muva_console.widgets.format import moment, short
from muva_console.widgets.level import GLYPH, STYLE, muted
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.alerts.desk import Alerts
    from muva_console.ops.alerts.model import Alert
    from muva_console.ops.alerts.round import Row as AlertRow

_COLUMNS = (
    Column("level", 9, keep=100),
    Column("environment", 11, keep=60),
    Column("what", 30, flex=True),
    Column("said", 16, keep=50),
    Column("since", 6, align="right", keep=70),
)


class AlertsScreen(Dialog[None]):
    """The worst first; below the list what is behind the one under the cursor."""

    YIELDS = True
    HELP = (
        "Service failures and error patterns. `a` says that you see to one: it calls for nobody any more. "
        "`z` silences it for two hours, or for as long as the reason begins with (`1d: …`); `u` ends that."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "ack", "seen to", id="alerts.ack", tooltip="Say that you see to it"),
        Binding(
            "z", "silence", "silence", id="alerts.silence", tooltip="Tell nobody for a while, with a reason"
        ),
        Binding(
            "u", "unsilence", "unsilence", id="alerts.unsilence", tooltip="Let a silenced one speak again"
        ),
    ]
    DEFAULT_CSS = """
    AlertsScreen #box { width: 96%; max-width: 160; height: 80%; }
    AlertsScreen Table, AlertsScreen Table:focus { border: none; padding: 0; height: 1fr; }
    AlertsScreen #behind { height: auto; max-height: 9; margin: 1 0 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, AlertRow] = {}

    def heading(self) -> str:
        """What this is."""
        return "Alerts"

    def content(self) -> Iterable[Widget]:
        """The list, and what is behind one."""
        yield Table(_COLUMNS, id="alerts")
        yield Words(id="behind")

    @property
    def console_app(self) -> MuvaApp:
        """The application."""
        return cast("MuvaApp", self.app)

    def on_mount(self) -> None:
        """Show what is known, and go on showing it."""
        self.show()
        self.set_interval(1.0, self.show)
        self.query_one(Table).focus()

    def show(self) -> None:
        """Draw what the board has."""
        board = self.console_app.board
        rounds = [board.alerts(name).value for name in board.names]
        rows = [row for one in rounds if one is not None for row in one.rows]
        rows.sort(key=lambda row: (not row.wants_somebody(board.now()), row.level.value != "fail"))
        self._rows = {f"{row.environment}\0{row.key}": row for row in rows}
        asked = any(one is not None for one in rounds)
        errors = [error for name in board.names if (error := board.alerts(name).error) is not None]
        empty = [Content("No alert: every service is up, and no error pattern is alarming.")]
        unknown = [text for one in rounds if one is not None for text in one.unknown]
        if unknown:
            empty = [
                Content.styled("? no alert, and not all could be looked at", "$t-unknown"),
                *(muted(f"  {text}") for text in unknown[:6]),
            ]
        if errors:
            empty = [
                Content.styled("? the alerts cannot be looked at", "$t-unknown"),
                *(muted(f"  {line}") for line in errors[0].lines()),
            ]
        elif not asked:
            empty = [muted("◐ not looked yet: the first look comes with the first readings")]
        shown = [Row(key, self._cells(row)) for key, row in self._rows.items()]
        self.query_one(Table).fill(shown, empty=empty)
        self._show_behind()

    def _cells(self, row: AlertRow) -> tuple[Content, ...]:
        now = self.console_app.board.now()
        quiet = not row.wants_somebody(now)
        style = "$t-muted" if quiet else STYLE[row.level]
        since = (now - row.since).total_seconds() if row.since is not None else None
        return (
            Content.styled(f"{GLYPH[row.level]} {row.level}", style),
            muted(row.environment),
            muted(row.title) if quiet else Content(row.title),
            muted(_said(row, self.console_app)),
            muted(short(since)),
        )

    def _show_behind(self) -> None:
        row = self._chosen()
        lines: list[Content] = []
        if row is not None:
            since = f"  since {moment(row.since)}" if row.since is not None else ""
            lines = [muted(f"{row.key}{since}"), *(Content(text) for text in row.evidence[:4])]
            if row.alert is not None:
                lines += [muted(text) for text in said_of(row.alert, self.console_app.board.now())]
        self.query_one("#behind", Words).say_if_changed(lines)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Another alert."""
        self._show_behind()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter sees to it."""
        self.action_ack()

    def _chosen(self) -> AlertRow | None:
        return self._rows.get(self.query_one(Table).chosen or "")

    def action_ack(self) -> None:
        """Say that it is seen to."""
        self._say("seeing to an alert", self._ack)

    def action_silence(self) -> None:
        """Ask for how long and why."""
        self._say("silencing an alert", self._silence)

    def action_unsilence(self) -> None:
        """Let it speak again."""
        self._say("ending a silence", self._unsilence)

    def _say(self, what: str, say: Callable[[AlertRow], Awaitable[None]]) -> None:
        row = self._chosen()
        if row is None:
            return
        if self.console_app.workspace.read_only:
            self.console_app.tell("Read-only: nothing is said of an alert.", severity="warning")
            return

        async def said() -> None:
            await say(row)

        self.console_app.work_on(what, said, group="alerts")

    async def _kept(self, row: AlertRow) -> tuple[Alerts, Alert]:
        """The desk, and the alert as the journal has it now. Raises Refused where it was not kept."""
        from muva_console.ops.alerts.desk import Alerts

        app = self.console_app
        desk = Alerts(app.workspace.journal)
        known = (await app.ask_ops(lambda: desk.all(row.environment))).get((row.environment, row.key))
        if known is None:
            raise Refused("the alert is not in the journal yet", next="Wait for the next look.")
        return desk, known

    async def _ack(self, row: AlertRow) -> None:
        desk, alert = await self._kept(row)
        await self.console_app.ask_ops(lambda: desk.ack(alert))
        await self._again(row, "seen to")

    async def _silence(self, row: AlertRow) -> None:
        from muva_console.config.units import parse_duration
        from muva_console.ops.readings import utc_now
        from muva_console.screens.reason import Reason

        app = self.console_app
        asked = Reason(
            "Silence an alert",
            (row.title, "Nobody is told of it for 2h, or for as long as you begin with: 1d: known, see #12"),
            answer="Silence",
        )
        said = await app.push_screen_wait(asked)
        if not said:
            return
        lasting, colon, reason = said.partition(":")
        try:
            seconds = parse_duration(lasting.strip()) if colon else 7200.0
        except ValueError:
            seconds, reason = 7200.0, said
        desk, alert = await self._kept(row)
        until = utc_now() + timedelta(seconds=seconds)
        why = (reason if colon else said).strip()
        await app.ask_ops(lambda: desk.silence(alert, why, until))
        await self._again(row, f"silenced until {moment(until)}")

    async def _unsilence(self, row: AlertRow) -> None:
        desk, alert = await self._kept(row)
        await self.console_app.ask_ops(lambda: desk.unsilence(alert))
        await self._again(row, "speaks again")

    async def _again(self, row: AlertRow, said: str) -> None:
        """Look anew, so that what was said is seen."""
        app = self.console_app
        app.tell(f"{row.key}: {said}", title=row.environment)
        feed = app.workspace.environments[row.environment].alerts
        app.engine.post(feed.refresh)


def _said(row: AlertRow, app: MuvaApp) -> str:
    alert = row.alert
    if alert is not None and alert.silenced(app.board.now()):
        return "silenced"
    if alert is not None and alert.open and alert.acked_by:
        return f"seen to, {alert.acked_by.partition(' ')[0]}"
    return "" if row.seen else "going"
