"""What the console looks after by itself: its configuration, unknown host keys, the journal's warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.errors import ConfigError, Fault, OpsError
from muva_console.screens.frame import Frame

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.config.load import LoadedConfig

JOURNAL_EVERY = 30
"""Seconds between looks at the journal's warnings."""
KEPT_EVERY = 60
"""Seconds between looks at what the history has of the last week."""
MISTAKES_SHOWN = 8


class Caretaker:
    """Watches on behalf of one application; lives in its loop."""

    def __init__(self, app: MuvaApp) -> None:
        self._app = app
        self._asked_about: set[str] = set()
        self._seconds = 0
        self._history_told = ""
        self._read_only_asked = app.workspace.read_only and not app.workspace.config.console.read_only

    def start(self) -> None:
        """Begin; the work ends with the application."""
        self._app.work_on("watching muva.toml", self._watch_configuration, group="configuration")

    def beat(self) -> None:
        """Once a second."""
        self._ask_about_host_keys()
        if self._seconds % JOURNAL_EVERY == 2:
            self._app.work_on(
                "looking at the journal", self.look_at_journal, group="caretaker", exclusive=True
            )
        if self._seconds % KEPT_EVERY == 4:
            self._app.work_on("reading the history", self.look_at_history, group="history", exclusive=True)
        self._seconds += 1

    # muva.toml

    async def _watch_configuration(self) -> None:
        from muva_console.config.watch import watch

        await watch(self._app.workspace.loaded, self._configuration_changed, self._configuration_broken)

    def _configuration_changed(self, loaded: LoadedConfig) -> None:
        from muva_console.ops.workspace import Workspace

        old = self._app.workspace
        self._app.adopt(Workspace(loaded, read_only=self._read_only_asked))
        self._app.configuration_alarm = ""
        self._app.tell(f"{loaded.path} has changed and is in force.", title="Configuration")
        self._app.work_on("closing what the old configuration led to", lambda: self._app.ask_ops(old.close))

    def _configuration_broken(self, error: ConfigError) -> None:
        lines = error.lines()
        more = (
            f"\n… and {len(lines) - MISTAKES_SHOWN} more: muva doctor" if len(lines) > MISTAKES_SHOWN else ""
        )
        text = "\n".join(lines[:MISTAKES_SHOWN]) + more
        self._app.configuration_alarm = "muva.toml is broken, the old one is in force"
        self._app.tell(
            text, title="muva.toml cannot be used; the old one stays", severity="warning", timeout=20
        )
        self._app.redraw()

    # host keys

    def _ask_about_host_keys(self) -> None:
        """A key that is not known is asked about once; later the palette offers the question."""
        app = self._app
        if not isinstance(app.screen, Frame) or app.environment not in app.workspace.environments:
            return
        for state in app.board.environment(app.environment).links():
            host = state.name.removeprefix("ssh ")
            unknown = state.error is not None and state.error.fault is Fault.HOST_KEY
            if unknown and host in app.workspace.config.hosts and host not in self._asked_about:
                self._asked_about.add(host)
                self.ask_about(host)
                return

    def ask_about(self, host: str) -> None:
        """Show a host's key and ask."""
        from muva_console.screens.trust import settle_host_key

        self._app.work_on(
            f"the key of {host}", lambda: settle_host_key(self._app, host), group="trust", exclusive=True
        )

    # the history

    async def look_at_history(self) -> None:
        """How the environments have been over the last week, for the Overview."""
        from muva_console.ops.monitoring.back import read_weeks

        app = self._app
        board = app.board
        names = [
            name for name in self._app.workspace.environments if board.topics("health", environment=name)
        ]
        try:
            board.weeks = await app.ask_ops(lambda: read_weeks(app.workspace, names, app.now()))
        except OpsError as error:
            board.weeks = {}
            if str(error) != self._history_told:
                self._app.tell("\n".join(error.lines()), title="The history", severity="warning", timeout=15)
            self._history_told = str(error)
        else:
            self._history_told = ""

    # the journal

    async def look_at_journal(self) -> None:
        """Whether the journal is as it should be; what is not stands in the band."""
        journal = self._app.workspace.journal
        try:
            status = await self._app.ask_ops(journal.status)
        except OpsError as error:
            alarm = f"journal: {error.what}"
        else:
            alarm = f"journal: {status.warnings[-1]}" if status.warnings else ""
        if alarm != self._app.journal_alarm:
            self._app.journal_alarm = alarm
            self._app.redraw()
            if alarm:
                self._app.tell(alarm, title="The journal", severity="warning", timeout=15)
