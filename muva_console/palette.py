"""The command palette: everything that can be done, found by typing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Provider
from textual.content import Content

from muva_console.screens.frame import ALL_MODES
from muva_console.widgets.theme import MONO, NAMES

if TYPE_CHECKING:
    from muva_console.app import MuvaApp

_THEMES = {
    "muva-dark": "dark",
    "muva-light": "light",
    "muva-16": "the terminal's own sixteen colours",
    "muva-mono": "no colour at all",
}
_ACTS = (
    ("process-restart", "restart"),
    ("process-reload", "reload"),
    ("process-stop", "stop"),
    ("process-start", "start"),
    ("process-memory-limit", "set the memory limit of"),
)
_MIGRATIONS = (
    ("apply", "Apply migrations to {}"),
    ("rollback", "Roll back migrations on {}"),
    ("dry", "Dry run of migrations on {}"),
    ("backup", "Back up the database of {}"),
    ("restore", "Restore the database of {}"),
)


class Command(NamedTuple):
    """A line of the palette."""

    title: str
    help: str
    run: Callable[[], object]


class Commands(Provider):
    """Modes, environments, processes, acts, and what the keys do."""

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        """Without a word typed: all of it."""
        for command in commands(cast("MuvaApp", self.app)):
            yield DiscoveryHit(_line(Content(command.title), command.help), command.run, text=command.title)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """What fits what was typed."""
        matcher = self.matcher(query)
        for command in commands(cast("MuvaApp", self.app)):
            score = matcher.match(command.title)
            if score > 0:
                line = _line(matcher.highlight(command.title), command.help)
                yield Hit(score, line, command.run, text=command.title)


def _line(title: Content, help: str) -> Content:
    return Content.assemble(title, "  ", (help, "$t-muted"))


class Palette(CommandPalette):
    """Textual's palette in this console's looks: a line a command."""

    DEFAULT_CSS = """
    Palette > Vertical { width: 90; max-width: 96%; margin-top: 3; background: transparent; }
    Palette #--input { border: round $line-focus; background: $surface; }
    Palette #--input.--list-visible { border: round $line-focus; }
    Palette SearchIcon { display: none; }
    Palette CommandInput, Palette CommandInput:focus { padding: 0 1; border: none; height: 1; }
    Palette CommandList, Palette CommandList:focus {
        background: $surface; border: round $line; max-height: 70vh; scrollbar-size-vertical: 1;
    }
    Palette CommandList > .option-list--option { padding: 0 1; text-style: none; }
    Palette CommandList > .option-list--option-highlighted {
        background: $block-cursor-background; color: $block-cursor-foreground;
        text-style: $block-cursor-text-style;
    }
    .-ansi-theme Palette #--input, .-ansi-theme Palette CommandList { background: ansi_default; }
    .-ascii Palette #--input, .-ascii Palette CommandList { border: ascii $line-focus; }
    """

    _answered = False

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Close, once: a second `enter` may come before the palette is gone, and runs nothing again."""
        if self._answered:
            self._selected_command = DiscoveryHit("", _nothing)  # it is run after this returns
            return AwaitComplete()
        self._answered = True
        return super().dismiss(result)


def _nothing() -> None:
    """Do nothing."""


def commands(app: MuvaApp) -> Iterable[Command]:
    """All commands now."""
    for mode in ALL_MODES:
        yield Command(mode.title, f"key {mode.key}", partial(app.action_mode, mode.name))
    for name in app.workspace.environments:
        here = " (in hand)" if name == app.environment else ""
        yield Command(f"Environment {name}{here}", "key e", partial(app.set_environment, name))
    yield from _processes(app)
    yield from _migrations(app)
    pause = "Go on asking" if app.paused else "Pause"
    yield Command("Refresh now", "key r", app.action_refresh)
    yield Command(pause, "key p", app.action_pause)
    yield Command("Refresh more often", "key -", partial(app.action_pace, -1))
    yield Command("Refresh less often", "key +", partial(app.action_pace, 1))
    yield Command("Copy the command behind what is selected", "key y", app.action_copy)
    yield Command("Copy or save something else", "key Y", app.action_copy_more)
    for host in app.workspace.config.hosts:
        yield Command(f"Shell on {host}", "key s opens the one in hand", partial(app.open_shell_on, host))
        yield Command(f"Host key of {host}", "is it trusted?", partial(app.ask_about_host_key, host))
    yield Command("What the console ran for you", "key @", app.action_command_log)
    yield Command("Help for what has focus", "key ?", app.action_help)
    for theme in NAMES:
        yield Command(f"Theme {theme}", _THEMES[theme], partial(use_theme, app, theme))
    yield Command("Leave the console", "key ctrl+q", app.exit)


def _processes(app: MuvaApp) -> Iterable[Command]:
    from muva_console.screens.processes import found_processes

    environment = app.environment
    found = [process for _, process in found_processes(app.board, environment).values()]
    names = [process.name for process in found]
    for process in found:
        which = f" [{process.pm_id}]" if names.count(process.name) > 1 else ""
        name = f"{process.name}{which} on {process.host}"
        show = partial(app.open_process, environment, process.host, process.name)
        yield Command(f"Process {name}", f"{process.status}, its log", show)
        for action, verb in _ACTS:
            yield Command(
                f"{verb.capitalize()} {name}",
                "shows its plan and asks",
                partial(app.begin_act, environment, process, action),
            )


def _migrations(app: MuvaApp) -> Iterable[Command]:
    environment = app.environment
    of = app.workspace.environments.get(environment)
    if of is None or of.config.database is None:
        return
    for what, title in _MIGRATIONS:
        run = partial(app.act_on_migrations, what)
        yield Command(title.format(environment), "shows everything first, and asks", run)


def use_theme(app: MuvaApp, theme: str) -> None:
    """Look like this from now on."""
    if app.environ.get("NO_COLOR") and theme != MONO:
        app.tell("NO_COLOR is set: no colour is used.", severity="warning")
        return
    app.theme = theme


def open_palette(app: MuvaApp) -> None:
    """Open the palette over the mode in sight."""
    if not app.awake:  # the mode in sight is about to make room for the first real one
        return
    app.push_screen(Palette(providers=[Commands], placeholder="What do you want to do?"))
