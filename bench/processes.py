"""One reading of all processes against `pm2 jlist`, over the same SSH connection to a drill estate.

Both are asked in turn, a burst of readings and one `pm2 jlist`, so that whatever else the machine does
falls on both. `pm2 jlist` is run as any SSH client would, without what our own link wraps around
commands. Every reading is one that the console would take, the look at the host that comes with one in so
many included. The first reading of each burst, when every process on the way had gone to sleep, is told
apart, and so is the first of a session, which looks at the host twice, 0.2 s apart, for a rate of CPU.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.report import Figure, header
from muva_console.config.model import Host

ROUNDS = 25
BURST = 6
BAR = 50.0


async def measure() -> list[Figure]:
    """Three figures; the first has DESIGN's bar."""
    from muva_console.config.load import load
    from muva_console.drill import estate

    with tempfile.TemporaryDirectory(prefix="muva-b-") as folder:
        directory = Path(folder) / "e"
        made = await estate.up(directory)
        try:
            return await _against(load(made.config).config.hosts)
        finally:
            await estate.down(directory)


async def _against(hosts: Mapping[str, Host]) -> list[Figure]:
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.processes import SOCKET, ProcessReader

    host = hosts["vps"]
    link = SshLink("vps", host)
    reader = ProcessReader(link, host)
    ours: list[float] = []
    rested: list[float] = []
    peer: list[float] = []
    first: list[float] = []
    try:
        connection = await link.connect()
        for _ in range(3):
            fresh = ProcessReader(link, host)
            began = time.perf_counter()
            await fresh.read()
            first.append(time.perf_counter() - began)
            await fresh.close()
        await reader.read()
        for _ in range(ROUNDS):
            for number in range(BURST):
                began = time.perf_counter()
                reading = await reader.read()
                (ours if number else rested).append(time.perf_counter() - began)
                assert reading.source == SOCKET
            began = time.perf_counter()
            told = await connection.run("pm2 jlist", check=True)
            peer.append(time.perf_counter() - began)
            assert str(told.stdout).count('"pm_id"') >= len(reading.processes) > 0
    finally:
        await reader.close()
        await link.close()
    theirs = statistics.median(peer)
    return [
        _figure("all processes, channel open", ours, theirs, BAR),
        _figure("all processes, after a rest", rested, theirs, None),
        _figure("all processes, first reading of a session", first, theirs, None),
    ]


def _figure(name: str, ours: list[float], peer: float, bar: float | None) -> Figure:
    median = statistics.median(ours)
    ratio = peer / median
    return Figure(
        name=name,
        ours=f"{median * 1000:.2f} ms (≤ {max(ours) * 1000:.0f})",
        peer=f"pm2 jlist {peer * 1000:.0f} ms",
        ratio=ratio,
        bar="" if bar is None else f"≥ {bar:g} × faster",
        met=None if bar is None else ratio >= bar,
    )


async def main() -> None:
    """Print the figures."""
    print(header())
    for figure in await measure():
        print(figure.line())


if __name__ == "__main__":
    asyncio.run(main())
