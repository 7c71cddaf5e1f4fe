"""`make screenshots`: the pictures of the README, drawn by the program itself on a real drill estate.

Nothing is posed: an estate comes up, its faults are broken in, and the console is looked at.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGES = Path(__file__).parent / "images"


@dataclass(frozen=True)
class Picture:
    """One picture: what is broken, which keys lead there, what must be in sight."""

    name: str
    keys: Sequence[str] = ()
    fault: str = ""
    words: str = "healthy"
    size: tuple[int, int] = (120, 34)
    theme: str = "muva-dark"


PICTURES = (
    Picture("overview"),
    Picture("checklist", keys=["2", "enter"], words="8 ok"),
    Picture("migrations", keys=["4"], fault="migration-failed-half-way", words="half-way"),
    Picture("processes", keys=["5"], fault="crash-loop", words="exit with code 1"),
    Picture("health", keys=["6"], fault="database-stopped", words="ECONNREFUSED"),
    Picture("emergency", keys=["exclamation_mark"], fault="port-taken", words="has the application's port"),
    Picture("plan", keys=["5", "R"], words="pm2 restart"),
    Picture("narrow-light", size=(80, 24), theme="muva-light"),
)


async def main() -> None:
    """Draw every picture, or those that are named on the command line."""
    from muva_console.drill import estate as estates
    from muva_console.drill import faults

    IMAGES.mkdir(exist_ok=True)
    chosen = [picture for picture in PICTURES if not sys.argv[1:] or picture.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="muva-") as folder:
        directory = Path(folder) / "e"
        estate = await estates.up(directory, owner=os.getpid())
        try:
            for picture in chosen:
                if picture.fault:
                    await faults.break_in(directory, picture.fault)
                (IMAGES / f"{picture.name}.svg").write_text(await draw(estate.config, picture))
                print(f"docs/images/{picture.name}.svg")
                if picture.fault:
                    await faults.mend(directory)
        finally:
            await estates.down(directory)


async def draw(config: Path, picture: Picture) -> str:
    """One picture as SVG."""
    from muva_console.app import MuvaApp
    from muva_console.config.load import load
    from muva_console.engine import Engine
    from muva_console.ops.workspace import Workspace

    engine = Engine()
    engine.start()
    workspace = Workspace(load(config))
    environ = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    app = MuvaApp(workspace, engine, environment="production", environ=environ)
    try:
        async with app.run_test(size=picture.size) as pilot:
            app.theme = picture.theme
            await until(
                lambda: pilot.pause(0.1),
                lambda: "web ●" in shown(app) or "web ✖" in shown(app),
                lambda: shown(app),
            )
            for key in picture.keys:
                await pilot.press(key)
                await pilot.pause(1.0)
            await until(lambda: pilot.pause(0.1), lambda: picture.words in shown(app), lambda: shown(app))
            await pilot.pause(1.5)
            svg = str(app.export_screenshot(title=f"muva — {picture.name}"))
            # no fonts from a stranger's server: every reader has a monospaced one
            return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    finally:
        engine.stop(workspace.close)


def shown(app: object) -> str:
    """The screen as text."""
    screen = app.screen  # type: ignore[attr-defined]
    return "\n".join(
        "".join(segment.text for segment in strip) for strip in screen._compositor.render_strips()
    )


async def until(
    wait: Callable[[], Awaitable[None]], condition: Callable[[], bool], screen: Callable[[], str]
) -> None:
    """Wait until the screen shows what the picture is about."""
    deadline = time.monotonic() + 40
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"the screen never showed what the picture is about:\n{screen()}")
        await wait()


if __name__ == "__main__":
    asyncio.run(main())
