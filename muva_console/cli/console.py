"""Opening the full-screen console, and closing it in every way a terminal can end."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

import click

from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.cli.base import Invocation


def open_console(invocation: Invocation, environment: str | None = None) -> int:
    """Open the console on the configuration; returns its exit status when it is closed.

    Raises ConfigError when the configuration cannot be used, click.UsageError without a terminal.
    """
    require_terminal()
    gc.disable()  # nothing is garbage before the first paint; the application enables it again after
    loaded = invocation.load()

    from muva_console.app import MuvaApp
    from muva_console.engine import Engine
    from muva_console.ops.workspace import Workspace

    for name in ("COLUMNS", "LINES"):
        # a shell that exports them freezes the size: the terminal itself is to be asked, again and again
        os.environ.pop(name, None)
    engine = Engine()
    engine.start()
    workspace = Workspace(loaded, read_only=invocation.read_only)
    app = MuvaApp(workspace, engine, environment=environment)
    try:
        app.run()
    finally:
        engine.stop(app.workspace.close)
    return app.return_code or Exit.OK


def require_terminal() -> None:
    """Raises click.UsageError where there is no terminal to draw on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "the console needs a terminal.\n"
            "For scripts and pipes each answer is a command: muva health --env E --json (muva --help)."
        )
