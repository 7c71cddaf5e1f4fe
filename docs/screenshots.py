"""Pictures of the console on a live estate: ``python docs/screenshots.py --config muva.toml [--to FOLDER]``.

What is shown is read at that moment, from the estate that the configuration leads to: the drill's
(``muva drill up``), best with a fault in it (``muva drill break …``). One SVG a mode and size.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.engine import Engine
from muva_console.ops.workspace import Workspace

SIZES = {"": (120, 36), "-narrow": (80, 24), "-wide": (200, 60)}
MODES = ("overview", "processes", "health", "journal")
PATIENCE = 60.0
"""Seconds to wait for the first readings."""


async def pictures(config: Path, folder: Path, *, look: float, theme: str | None) -> None:
    """Take all pictures; `look` seconds are given to the estate first, so that there is some history."""
    engine = Engine()
    engine.start()
    workspace = Workspace(load(config))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        app = MuvaApp(workspace, engine, environ={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
        async with app.run_test(size=SIZES[""], notifications=False) as pilot:
            if theme:
                app.theme = theme
            await until(pilot, lambda: app.current_mode == "overview")
            await until(pilot, lambda: all(read(app, name) for name in app.board.names))
            app.interval = 5.0
            app.board.set_interval(app.interval)
            await asyncio.sleep(look)
            for mode in MODES:
                app.action_mode(mode)
                await until(pilot, partial(in_mode, app, mode))
                await asyncio.sleep(3.0)
                for suffix, size in SIZES.items():
                    await pilot.resize_terminal(*size)
                    await pilot.pause(0.5)
                    path = folder / f"{mode}{suffix}.svg"
                    path.write_text(app.export_screenshot(title="muva"), encoding="utf-8")
                    sys.stderr.write(f"{path}\n")
    finally:
        engine.stop(workspace.close)


def in_mode(app: MuvaApp, mode: str) -> bool:
    """Whether a mode is in sight."""
    return app.current_mode == mode


def read(app: MuvaApp, name: str) -> bool:
    """Whether an environment's health has been read, or has none."""
    topics = app.board.topics("health", environment=name)
    return not topics or app.board.health(name).value is not None


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Wait for something. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the estate does not answer")
        await pilot.pause(0.05)


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "pictures")
    parser.add_argument(
        "--look", type=float, default=30.0, help="seconds of history before the first picture"
    )
    parser.add_argument("--theme", default=None)
    arguments = parser.parse_args()
    asyncio.run(pictures(arguments.config, arguments.to, look=arguments.look, theme=arguments.theme))


if __name__ == "__main__":
    main()
