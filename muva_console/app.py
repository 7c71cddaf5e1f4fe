"""The console: the modes, the environment in hand, the keys that work everywhere, and how it ends.

It draws and asks; what observes and acts runs in the engine's loop (see `engine.py`). Nothing heavy is
imported before the first paint: dialogs, palette and links come when they are first needed.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.app import App
from textual.binding import BindingType
from textual.content import Content
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.events import Event, Key
from textual.filter import ANSIToTruecolor, LineFilter
from textual.screen import Screen

from muva_console.keys import EVERYWHERE
from muva_console.ops.readings import utc_now
from muva_console.screens.alerting import Alerting
from muva_console.screens.board import Board, Topic
from muva_console.screens.frame import Frame, Opening
from muva_console.unending import UnendingApp
from muva_console.widgets.bars import ModeBar
from muva_console.widgets.filters import Ascii, Colourless, Sixteen
from muva_console.widgets.format import duration
from muva_console.widgets.theme import MONO, SIXTEEN, THEMES, ascii_only, choose

if TYPE_CHECKING:
    from textual.app import SystemCommand
    from textual.worker import Worker

    from muva_console.caretaker import Caretaker
    from muva_console.engine import Engine
    from muva_console.ops.pm2.model import Process
    from muva_console.ops.readings import Finding
    from muva_console.ops.workspace import Workspace
    from muva_console.screens.deeds import Deed

T = TypeVar("T")

INTERVALS = (5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds between refreshes that `+` and `-` step through; 30 is the playbook's."""
AFTER_PAINT = 0.02
"""Seconds after the first paint in which nothing is begun, so that it reaches the terminal undisturbed."""
LEAVE_WITHIN = 2.0
"""Seconds within which a second `q` leaves."""


def _overview() -> Screen[Any]:
    from muva_console.screens.overview import Overview

    return Overview()


def _checklist() -> Screen[Any]:
    from muva_console.screens.checklist import Checklist

    return Checklist()


def _deploy() -> Screen[Any]:
    from muva_console.screens.deploy import Deploy

    return Deploy()


def _migrations() -> Screen[Any]:
    from muva_console.screens.migrations import Migrations

    return Migrations()


def _processes() -> Screen[Any]:
    from muva_console.screens.processes import Processes

    return Processes()


def _health() -> Screen[Any]:
    from muva_console.screens.health import Health

    return Health()


def _emergency() -> Screen[Any]:
    from muva_console.screens.emergency import Emergency

    return Emergency()


def _metrics() -> Screen[Any]:
    from muva_console.screens.metrics import Metrics

    return Metrics()


def _journal() -> Screen[Any]:
    from muva_console.screens.journal import JournalScreen

    return JournalScreen()


class MuvaApp(UnendingApp):
    """The console on one workspace."""

    TITLE = "muva"
    HELP = (
        "`1` to `9` switch modes, `e` the environment; `!` looks at once what is wrong. "
        "`:` finds every command. `@` shows what the console ran on your behalf."
    )
    COMMAND_PALETTE_BINDING = "ctrl+p"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "opening": Opening,
        "overview": _overview,
        "checklist": _checklist,
        "deploy": _deploy,
        "migrations": _migrations,
        "processes": _processes,
        "health": _health,
        "emergency": _emergency,
        "metrics": _metrics,
        "journal": _journal,
    }
    DEFAULT_MODE = "opening"
    HOME = "overview"
    BINDINGS: ClassVar[list[BindingType]] = EVERYWHERE
    DEFAULT_CSS = """
    Toast { background: $panel; color: $foreground; max-width: 90%; padding: 0 1; }
    Toast.-information { border-left: outer $line-focus; }
    .-ansi-theme Toast { background: ansi_default; }
    Tooltip { background: $panel; color: $foreground; }
    .-ansi-theme ModalScreen { background: transparent; }
    """

    def __init__(
        self,
        workspace: Workspace,
        engine: Engine,
        *,
        environment: str | None = None,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        environ: Mapping[str, str] | None = None,
        live: bool = True,
    ) -> None:
        """`live` is False for pictures: no timer runs, so that nothing but what is given is shown."""
        super().__init__()
        self.environ = os.environ if environ is None else environ
        self.workspace = workspace
        self.engine = engine
        self.now = now
        self.monotonic = monotonic
        self.awake = False
        self.paused = False
        self.interval = float(workspace.config.console.refresh)
        self.engineer_label = workspace.engineer.at_host
        self.environment = environment or first_environment(workspace)
        self.journal_alarm = ""
        self.configuration_alarm = ""
        self.deeds: list[Deed] = []
        self.alerting = Alerting(self)
        self._caretaker: Caretaker | None = None
        self._live = live
        self._asked_to_leave = -LEAVE_WITHIN
        self.board = self._new_board(workspace)
        self._prepare_looks(workspace)

    def _new_board(self, workspace: Workspace) -> Board:
        return Board(workspace, self.engine, self._arrived, monotonic=self.monotonic, now=self.now)

    # ---------------------------------------------------------------- looks

    def _prepare_looks(self, workspace: Workspace) -> None:
        """Theme and glyphs are chosen before the first paint, so that nothing is painted twice."""
        for name in list(self.available_themes):
            self.unregister_theme(name)
        for theme in THEMES:
            self.register_theme(theme)
        chosen = choose(workspace.config.console.theme, self.environ)
        self.set_reactive(App.theme, chosen)
        self.stylesheet = Stylesheet(variables=self.get_css_variables())
        self.watch_theme(chosen)
        encoding = getattr(sys.__stdout__, "encoding", None) or ""
        self.ascii = ascii_only(workspace.config.console.glyphs, self.environ, encoding)
        self.set_class(self.ascii, "-ascii")
        self._ascii_filter = Ascii()
        self._theme_filters: dict[str, LineFilter] = {MONO: Colourless(), SIXTEEN: Sixteen()}

    def watch_theme(self, theme: str) -> None:
        """Tell the style sheet what kind of theme it is."""
        self.set_class(theme == MONO, "-mono")
        self.set_class(theme in (MONO, SIXTEEN), "-ansi-theme")

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line passes before it is drawn: the theme's promise is kept here, whoever drew it."""
        own = self._theme_filters.get(self.theme)
        if self.environ.get("NO_COLOR"):
            own = self._theme_filters[MONO]
        filters: list[LineFilter] = (
            [own]
            if own is not None
            else [each for each in super().get_line_filters() if isinstance(each, ANSIToTruecolor)]
        )
        if self.ascii:
            filters.append(self._ascii_filter)
        return filters

    @property
    def alarm(self) -> str:
        """What the band must not let anybody overlook."""
        return " · ".join(
            text
            for text in (
                "read-only" if self.workspace.read_only else "",
                self.alerting.alarm,
                self.configuration_alarm,
                self.journal_alarm,
            )
            if text
        )

    def pace(self) -> Content:
        """How often is asked, for the bar of modes."""
        if self.paused:
            return Content.styled("⏸ paused, p goes on", "$t-warn")
        return Content.styled(f"every {duration(self.interval)}", "$t-muted")

    # ------------------------------------------------------------- life

    def run(self, *args: Any, **options: Any) -> Any:
        """Show the console until it is left; `return_code` is 0, 1 after a defect, 128 + n on signal n."""
        from muva_console.endings import screen_is_gone

        try:
            return super().run(*args, **options)
        finally:
            screen_is_gone()

    def on_mount(self) -> None:
        """Begin to look; listen for the end."""
        self._watch_health()
        if self._live:
            from muva_console.endings import listen

            listen(self)
            self.call_after_refresh(self.set_timer, AFTER_PAINT, self._wake)
        else:
            self.awake = True
            self.call_after_refresh(self._open)
            self.board.wake()

    def _wake(self) -> None:
        """After the first paint: look, and look after things."""
        from muva_console.caretaker import Caretaker

        self.awake = True
        self._open()
        gc.enable()  # whoever opens the console may have put collecting off until it is in sight
        gc.freeze()  # what is there now stays: it need not be looked through again and again
        self.board.wake()
        self.set_interval(1.0, self._beat, name="beat")
        self._caretaker = Caretaker(self)
        self._caretaker.start()

    def _open(self) -> None:
        """Put the Overview in the place of the frame that was painted first."""
        if self.current_mode != self.DEFAULT_MODE:
            return
        if len(self.screen_stack) > 1:  # somebody was quick and opened a dialog: not under their hands
            self.set_timer(0.2, self._open)
        else:
            self.switch_mode(self.HOME)

    def _watch_health(self) -> None:
        self.board.want("console", self.board.topics("health", "alerts"))

    def on_unmount(self) -> None:
        """Look no more."""
        self.board.close()

    @property
    def mode_screen(self) -> Frame | None:
        """The mode's own screen, whatever dialog is over it."""
        stack = self.screen_stack
        return stack[0] if stack and isinstance(stack[0], Frame) else None

    def _beat(self) -> None:
        screen = self.mode_screen
        if screen is not None:
            self.guard("the clock", screen.beat)
        if self._caretaker is not None:
            self.guard("looking after things", self._caretaker.beat)

    def _arrived(self, topic: Topic) -> None:
        if topic.kind == "alerts":
            self.guard("alerts", self.alerting.look)
        screen = self.mode_screen
        if screen is not None:
            self.guard(f"{topic.kind} of {topic.environment}", lambda: screen.deliver(topic))

    def redraw(self) -> None:
        """Draw the mode in sight anew."""
        screen = self.mode_screen
        if screen is not None and screen.is_mounted:
            screen.look()
            screen.redraw()

    def adopt(self, workspace: Workspace) -> None:
        """Go on with another workspace, made from a changed configuration."""
        self.board.close()
        before, self.workspace = self.board, workspace
        self.board = self._new_board(workspace)
        self.board.inherit(before)
        self.board.pause(self.paused)
        self.board.wake()
        if self.environment not in workspace.environments:
            self.environment = first_environment(workspace)
        self.interval = float(workspace.config.console.refresh)
        self._watch_health()
        self.redraw()

    # ------------------------------------------------------------ defects

    def guard(self, what: str, act: Callable[[], object]) -> None:
        """Run `act`; a defect in it is told and ends nothing."""
        try:
            act()
        except Exception as error:
            self.tell_defect(what, error)

    def defect(self, what: str, error: BaseException) -> None:
        """Tell a failure: an expected one in its own words, a defect with where to find more."""
        from muva_console.endings import describe

        title, text = describe(what, error, self.workspace.redact)
        self.tell(text, title=title, severity="error", timeout=12)

    async def on_event(self, event: Event) -> None:
        """Keys that were meant for what was there before a question opened are not taken."""
        if isinstance(event, Key) and event.key not in ("escape", "ctrl+q") and self._deaf(event):
            event.stop()
            return
        await super().on_event(event)

    def _deaf(self, event: Key) -> bool:
        from muva_console.widgets.dialog import Dialog

        screen = self.screen
        return isinstance(screen, Dialog) and not screen.takes(event.key, event.time)

    async def run_action(
        self,
        action: str | tuple[str, str, tuple[Any, ...]],
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Perform an action; a failure in it is told and ends nothing."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:
            self.defect(f"the action {action!r}", error)
            return True

    def work_on(
        self, what: str, make: Callable[[], Awaitable[T]], *, group: str = "default", exclusive: bool = False
    ) -> Worker[T | None]:
        """Do what `make` returns beside the screen; its failure is told and ends nothing."""

        async def told() -> T | None:
            try:
                return await make()
            except Exception as error:
                self.defect(what, error)
                return None

        return self.run_worker(
            told, name=what, description=what, group=group, exclusive=exclusive, exit_on_error=False
        )

    async def ask_ops(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run what `make` returns in the engine's loop and await it here."""
        return await self.engine.call(make)

    def tell(self, text: str, *, title: str = "", severity: str = "information", timeout: float = 6) -> None:
        """A notice in the corner; text, never markup."""
        self.notify(text, title=title, severity=cast("Any", severity), timeout=timeout, markup=False)

    def _fatal_error(self) -> None:
        """When drawing itself fails: told without the values of variables, which may be secret."""
        from muva_console.endings import crash_report

        self.bell()
        self._exit_renderables.append(crash_report(self.workspace.redact))
        self._close_messages_no_wait()

    # ------------------------------------------------------------ actions

    def action_mode(self, name: str) -> None:
        """Go to a mode; a dialog must be answered first, or it would be left behind in the other mode."""
        if name != self.current_mode and len(self.screen_stack) == 1:
            self.switch_mode(name)

    async def action_emergency(self) -> None:
        """Look what is wrong with the environment in hand, at once."""
        from muva_console.screens.emergency import Emergency

        if len(self.screen_stack) > 1:
            return
        await self.switch_mode("emergency")
        screen = self.mode_screen
        if isinstance(screen, Emergency):
            screen.action_look()

    def on_mode_bar_picked(self, event: ModeBar.Picked) -> None:
        """A mode was clicked."""
        self.action_mode(event.mode)

    def action_refresh(self) -> None:
        """Ask everything in sight, now; a link that waits after a failure does not go on waiting."""
        for environment in self.workspace.environments.values():
            self.engine.post(environment.retry_now)
        self.board.refresh()
        screen = self.mode_screen
        if screen is not None:
            screen.refreshed()

    def action_pause(self) -> None:
        """Stop asking, or go on."""
        self.paused = not self.paused
        self.board.pause(self.paused)
        self.redraw()

    def action_pace(self, direction: int) -> None:
        """Refresh less or more often."""
        if direction > 0:
            self.interval = next((each for each in INTERVALS if each > self.interval), self.interval)
        else:
            self.interval = next(
                (each for each in reversed(INTERVALS) if each < self.interval), self.interval
            )
        self.board.set_interval(self.interval)
        self.redraw()

    def action_leave(self) -> None:
        """Back; at the Overview a second time within two seconds leaves."""
        screen = self.mode_screen
        if screen is not None and screen.go_back():
            return
        if self.current_mode != self.HOME:
            self.switch_mode(self.HOME)
        elif self.monotonic() - self._asked_to_leave < LEAVE_WITHIN:
            self.exit()
        else:
            self._asked_to_leave = self.monotonic()
            self.tell("q once more leaves the console", timeout=LEAVE_WITHIN)

    def set_environment(self, name: str) -> None:
        """Take another environment in hand."""
        if name in self.workspace.environments and name != self.environment:
            self.environment = name
            self.redraw()
            screen = self.mode_screen
            if screen is not None:
                screen.environment_changed()

    def action_environment(self) -> None:
        """Choose the environment in hand."""
        from muva_console.screens.choices import choose_environment

        choose_environment(self)

    def action_help(self) -> None:
        """The keys of what has focus."""
        from muva_console.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_command_log(self) -> None:
        """Everything the console ran."""
        from muva_console.screens.command_log import CommandLogScreen

        self.push_screen(CommandLogScreen())

    def action_command_palette(self) -> None:
        """Find any command."""
        if isinstance(self.screen, Frame):
            from muva_console.palette import open_palette

            open_palette(self)

    def action_alerts(self) -> None:
        """The alerts of all environments."""
        from muva_console.screens.alerts import AlertsScreen

        if len(self.screen_stack) == 1:
            self.push_screen(AlertsScreen())

    def action_copy(self) -> None:
        """Copy the command behind what is selected, or what the mouse has selected."""
        from muva_console.screens.copying import copy_first

        self.work_on("copying", lambda: copy_first(self))

    def action_copy_more(self) -> None:
        """Choose what to copy, or write it to a file."""
        from muva_console.screens.copying import choose_copy

        choose_copy(self)

    def action_shell(self) -> None:
        """A shell on the host in hand."""
        screen = self.mode_screen
        host = screen.host_in_hand() if screen is not None else None
        if host is None:
            self.tell(f"{self.environment} has no host: there is nothing to open a shell on.")
        else:
            self.open_shell_on(host)

    def open_shell_on(self, host: str) -> None:
        """A shell on a host; the console waits."""
        from muva_console.screens.shell import open_shell

        self.work_on(f"a shell on {host}", lambda: open_shell(self, host), group="shell", exclusive=True)

    async def open_finding(self, environment: str, finding: Finding) -> None:
        """Go to the evidence of a finding."""
        from muva_console.ops.migrations.status_findings import CHECK

        if finding.check == CHECK:
            self.set_environment(environment)
            self.action_mode("migrations")
            return
        from muva_console.screens.health import Health

        self.set_environment(environment)
        await self.switch_mode("health")
        screen = self.mode_screen
        if isinstance(screen, Health):
            screen.show_finding(finding)

    async def open_process(self, environment: str, host: str, name: str) -> None:
        """Go to a process and its log."""
        from muva_console.screens.processes import Processes

        self.set_environment(environment)
        await self.switch_mode("processes")
        screen = self.mode_screen
        if isinstance(screen, Processes):
            screen.select(host, name)

    def ask_about_host_key(self, host: str) -> None:
        """Show a host's key, where it is not trusted, and ask."""
        if self._caretaker is not None:
            self._caretaker.ask_about(host)

    def begin_act(self, environment: str, process: Process, action: str) -> None:
        """Plan an act on a process, show it and ask."""
        from muva_console.ops.process_operations import Action
        from muva_console.screens.process_acts import begin

        self.work_on(
            f"planning {action}", lambda: begin(self, environment, process, Action(action)), group="acts"
        )

    async def act_on_migrations(self, what: str) -> None:
        """Go to the migrations and begin an act on the environment in hand."""
        from muva_console.screens.migrations import Migrations

        await self.switch_mode("migrations")
        screen = self.mode_screen
        if isinstance(screen, Migrations):
            screen.action_act(what)

    def acted(self) -> None:
        """An act has ended: look anew at what it may have changed."""
        self.action_refresh()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None of Textual's own: the palette's providers offer what this console can do."""
        return ()


def first_environment(workspace: Workspace) -> str:
    """The environment in hand at the beginning: production where there is one, else the last."""
    names = list(workspace.environments)
    for name in names:
        if workspace.environments[name].config.production:
            return name
    return names[-1] if names else ""
