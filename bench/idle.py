"""The console at rest on an estate that does not change: bytes to the terminal and processor time."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.first_paint import CONFIGURATION
from bench.report import Figure
from bench.terminal import terminal

SECONDS = 15.0
SETTLE = 63.0
"""Seconds until ages are told in minutes: the first minute is not rest."""
QUIET = 256.0
"""Bytes a second that count as none: the clock's ten cells take some forty."""


async def measure() -> list[Figure]:
    """The Overview, nobody pressing a key; paused, so that what is measured is the screen alone."""
    rate, cpu = await asyncio.to_thread(_idle)
    return [
        Figure(
            "the console at rest",
            f"{rate:.0f} B/s, {cpu:.2%} CPU",
            "bar 1 % of a core",
            cpu / 0.01,
            "~0 B/s, ≤ 1 %",
            rate <= QUIET and cpu <= 0.01,
        )
    ]


def _idle() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "muva.toml"
        file.write_text(CONFIGURATION.format(directory=folder), encoding="utf-8")
        with terminal("-m", "muva_console", "--config", str(file)) as screen:
            screen.wait_for(b"commands", 20)
            screen.press(b"p")
            screen.read(SETTLE)
            before = screen.cpu()
            count = screen.read(SECONDS)
            return count / SECONDS, (screen.cpu() - before) / SECONDS
