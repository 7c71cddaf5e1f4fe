"""The command palette: everything that can be done, found by typing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Provider

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
            yield DiscoveryHit(command.title, command.run, help=command.help)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """What fits what was typed."""
        matcher = self.matcher(query)
        for command in commands(cast("MuvaApp", self.app)):
            score = matcher.match(command.title)
            if score > 0:
                yield Hit(score, matcher.highlight(command.title), command.run, help=command.help)


def commands(app: MuvaApp) -> Iterable[Command]:
    """All commands now."""
    for mode in ALL_MODES:
        yield Command(mode.title, f"key {mode.key}", partial(app.action_mode, mode.name))
    for name in app.workspace.environments:
        here = " (in hand)" if name == app.environment else ""
        yield Command(f"Environment {name}{here}", "key e", partial(app.set_environment, name))
    yield from _processes(app)
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
    for _, process in found_processes(app.board, environment).values():
        name = f"{process.name} on {process.host}"
        show = partial(app.open_process, environment, process.host, process.name)
        yield Command(f"Process {name}", f"{process.status}, its log", show)
        for action, verb in _ACTS:
            yield Command(
                f"{verb.capitalize()} {name}",
                "shows its plan and asks",
                partial(app.begin_act, environment, process, action),
            )


def use_theme(app: MuvaApp, theme: str) -> None:
    """Look like this from now on."""
    if app.environ.get("NO_COLOR") and theme != MONO:
        app.tell("NO_COLOR is set: no colour is used.", severity="warning")
        return
    app.theme = theme


def open_palette(app: MuvaApp) -> None:
    """Open the palette over the mode in sight."""
    app.push_screen(CommandPalette(providers=[Commands], placeholder="What do you want to do?"))
