"""The live log: a million lines, and keys while ten thousand a second pour in."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.log_lines import text
from bench.report import Figure
from bench.terminal import terminal

LINES = 1_000_000
RICH_LINES = 20_000
"""RichLog takes minutes for a million; its figures are scaled up and said to be."""
KEYS = 200


async def measure() -> list[Figure]:
    """Seconds and megabytes against Textual's own logs; the time a key takes under a flood."""
    ours = await _fill("ours", LINES)
    log = await _fill("Log", LINES)
    rich = await _fill("RichLog", RICH_LINES)
    scale = LINES / RICH_LINES
    figures = [
        Figure(
            "live log: 1,000,000 lines, from raw bytes",
            f"{ours['seconds']:.2f} s of CPU",
            f"Log {log['seconds']:.2f} s of CPU",
            ours["seconds"] / log["seconds"],
            "≤ 3 s",
            ours["seconds"] <= 3,
        ),
        Figure(
            "live log: 1,000,000 lines, memory",
            f"{ours['MB']:.0f} MB",
            f"Log {log['MB']:.0f} MB",
            ours["MB"] / log["MB"],
            "≤ 200 MB",
            ours["MB"] <= 200,
        ),
        Figure(
            "live log: against RichLog (scaled up)",
            f"{ours['seconds']:.2f} s, {ours['MB']:.0f} MB",
            f"{rich['seconds'] * scale:.0f} s, {rich['MB'] * scale:.0f} MB",
            ours["seconds"] / (rich["seconds"] * scale),
            "–",
            None,
        ),
    ]
    figures.append(await asyncio.to_thread(_against_toolong))
    calm = await asyncio.to_thread(_keys, 0)
    busy = await asyncio.to_thread(_keys, 10_000)
    figures.append(
        Figure(
            "live log: a key at 10,000 lines/s, p99",
            f"{busy * 1000:.0f} ms",
            f"idle {calm * 1000:.0f} ms",
            busy / calm,
            "≤ 50 ms",
            busy <= 0.05,
        )
    )
    return figures


async def _fill(kind: str, lines: int) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.log_fill", kind, str(lines), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"bench.log_fill {kind} ended with {process.returncode}")
    answer: dict[str, float] = json.loads(out)
    return answer


def _against_toolong() -> Figure:
    """From the command to the last of a million lines on the screen, a file's lines."""
    name = "live log: opening a file of 1,000,000 lines"
    found = os.environ.get("MUVA_BENCH_TOOLONG") or shutil.which("tl")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "million.log"
        with file.open("w") as out:
            for start in range(0, LINES, 10_000):
                out.write(text(start, 10_000))
            out.write("the very last line\n")
        ours, our_memory = _open("-m", "bench.log_app", str(file), program=sys.executable)
        told = f"{ours:.2f} s, {our_memory:.0f} MB"
        if found is None:
            return Figure(name, told, "toolong: no `tl` in PATH", None, "–", None)
        peer, memory = _open(str(file), program=found)
    return Figure(name, told, f"toolong {peer:.2f} s, {memory:.0f} MB", ours / peer, "–", None)


def _open(*arguments: str, program: str) -> tuple[float, float]:
    began = time.perf_counter()
    with terminal(*arguments, program=program) as screen:
        screen.wait_for(b"the very last line", 120)
        took = time.perf_counter() - began
        return took, screen.process.memory_info().rss / 1e6


def _keys(rate: int) -> float:
    """The 99th percentile of seconds from a key to its effect on the screen."""
    chance = random.Random(1)
    took = []
    with terminal("-m", "bench.log_app", str(rate)) as screen:
        screen.wait_for(b"#0#", 20)
        screen.read(1.0)
        for number in range(1, KEYS + 1):
            screen.read(chance.uniform(0.01, 0.06))
            screen.press(b"x")
            took.append(screen.wait_for(b"#%d#" % number, 10))
    return sorted(took)[int(len(took) * 0.99) - 1]
