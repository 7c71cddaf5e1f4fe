"""The keys that work everywhere; each has an id (for a key map) and a tooltip (for the help)."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from muva_console.screens.frame import ALL_MODES

EVERYWHERE: list[BindingType] = [
    *(
        Binding(
            mode.key,
            f"mode('{mode.name}')",
            mode.title,
            show=False,
            id=f"mode.{mode.name}",
            tooltip=f"Go to {mode.title}",
        )
        for mode in ALL_MODES
    ),
    Binding(
        "exclamation_mark",
        "emergency",
        "emergency",
        key_display="!",
        id="emergency",
        tooltip="Look at everything at once: what is wrong, and what leads out of it",
    ),
    Binding(
        "A",
        "alerts",
        "alerts",
        show=False,
        id="alerts",
        tooltip="Alerts: service failures and error patterns, seen to or silenced",
    ),
    Binding("r", "refresh", "refresh", id="refresh", tooltip="Ask everything in sight again, now"),
    Binding("p", "pause", "pause", id="pause", tooltip="Stop asking, or go on"),
    Binding("y", "copy", "copy", id="copy", tooltip="Copy the command behind what is selected"),
    Binding("Y", "copy_more", "copy more", show=False, id="copy_more", tooltip="Choose what to copy"),
    Binding("e", "environment", "environment", id="environment", tooltip="Choose the environment"),
    Binding("s", "shell", "shell", id="shell", tooltip="A shell on the host in hand; the console waits"),
    Binding(
        "at",
        "command_log",
        "log of commands",
        key_display="@",
        show=False,
        id="command_log",
        tooltip="Everything the console ran on your behalf",
    ),
    Binding(
        "plus", "pace(1)", "slower", key_display="+", show=False, id="slower", tooltip="Refresh less often"
    ),
    Binding(
        "minus", "pace(-1)", "faster", key_display="-", show=False, id="faster", tooltip="Refresh more often"
    ),
    Binding(
        "question_mark", "help", "help", key_display="?", id="help", tooltip="The keys of what has focus"
    ),
    Binding(
        "colon", "command_palette", "commands", key_display=":", id="palette", tooltip="Find any command"
    ),
    Binding("q", "leave", "back", show=False, id="leave", tooltip="Back; twice from the Overview: leave"),
    Binding("ctrl+q", "quit", "leave", show=False, id="quit", priority=True, tooltip="Leave the console"),
]
