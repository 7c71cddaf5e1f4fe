"""From the start of the process to the first frame, against an empty Textual application; both warm."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from bench.report import Figure, median
from bench.terminal import terminal

ROUNDS = 9
BAR = 1.3
CONFIGURATION = """
[project]
name = "Bench"

[console]
glyphs = "unicode"

[journal]
directory = "{directory}"

[hosts.vps]
address = "127.0.0.1"
port = 9

[environments.dev]
branch = "dev"

[environments.staging]
branch = "staging"
url = "http://127.0.0.1:9"
hosts = ["vps"]
processes = ["muva-staging"]

[environments.production]
branch = "main"
production = true
url = "http://127.0.0.1:9"
hosts = ["vps"]
processes = ["muva-production"]
"""
"""An estate where nothing answers: what is measured is the console, not its links."""


async def measure() -> list[Figure]:
    """First paint, ours and the empty application's, turn by turn."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # warm means compiled
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "muva.toml"
        file.write_text(CONFIGURATION.format(directory=folder), encoding="utf-8")
        ours: list[float] = []
        floor: list[float] = []
        for turn in range(ROUNDS + 1):
            peer = await asyncio.to_thread(_paint, b"nothing here", "-m", "bench.empty_app")
            own = await asyncio.to_thread(_paint, b"commands", "-m", "muva_console", "--config", str(file))
            if turn:  # the first turn warms the caches
                ours.append(own)
                floor.append(peer)
    ratio = median(ours) / median(floor)
    return [
        Figure(
            "first paint of the console",
            f"{median(ours) * 1000:.0f} ms",
            f"empty app {median(floor) * 1000:.0f} ms",
            ratio,
            "≤ 1.3",
            ratio <= BAR,
        )
    ]


def _paint(marker: bytes, *arguments: str) -> float:
    with terminal(*arguments) as screen:
        return screen.wait_for(marker, 20)
