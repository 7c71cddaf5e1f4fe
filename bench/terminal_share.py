"""The terminal's share: bytes a second and processor time, idle and while logs run."""

from __future__ import annotations

import asyncio

from bench.report import Figure
from bench.terminal import terminal

SECONDS = 8.0
BAR = 80.0
"""KiB a second while logs run."""


async def measure() -> list[Figure]:
    """A log that is idle, one of 20 lines a second, one of 1,000, and the same on a large terminal."""
    figures = []
    for rate, columns, lines in ((0, 120, 40), (20, 80, 24), (20, 120, 40), (1000, 120, 40), (1000, 200, 60)):
        kib, cpu = await asyncio.to_thread(_share, rate, columns, lines)
        if rate:
            figures.append(
                Figure(
                    f"terminal: {rate:,} lines/s at {columns}×{lines}",
                    f"{kib:.0f} KiB/s, {cpu:.1%} CPU",
                    "bar 80 KiB/s",
                    kib / BAR,
                    "≤ 80 KiB/s",
                    kib <= BAR,
                )
            )
        else:
            figures.append(
                Figure(
                    "terminal: an idle log",
                    f"{kib * 1024:.0f} B/s, {cpu:.1%} CPU",
                    "bar 1 % of a core",
                    cpu / 0.01,
                    "~0 B/s, ≤ 1 %",
                    kib < 0.1 and cpu <= 0.01,
                )
            )
    return figures


def _share(rate: int, columns: int, lines: int) -> tuple[float, float]:
    with terminal("-m", "bench.log_app", str(rate), columns=columns, lines=lines) as screen:
        screen.wait_for(b"#0#", 20)
        screen.read(2.0)
        before = screen.cpu()
        count = screen.read(SECONDS)
        return count / 1024 / SECONDS, (screen.cpu() - before) / SECONDS
