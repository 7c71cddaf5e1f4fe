"""The floor of a first paint: a Textual application that does nothing, with as many modes as the console."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.widgets import Static


class Empty(Screen[None]):
    def compose(self) -> ComposeResult:
        yield Static("nothing here")


class EmptyApp(App[None]):
    MODES: ClassVar = dict.fromkeys(("overview", "processes", "health", "journal"), Empty)
    DEFAULT_MODE = "overview"

    def get_system_commands(self, screen: Screen[Any]) -> Any:
        return ()


if __name__ == "__main__":
    EmptyApp().run()
