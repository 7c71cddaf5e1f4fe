"""All 18 items of both pre-deployment checklists at once, against the slowest of them by itself.

On a drill estate of its own. Where the build is remembered, the slowest is a check that asks over the
network; where it is not, it is the tests, which wait for the build and are the slowest by far.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import Figure, median

if TYPE_CHECKING:
    from muva_console.ops.runbooks.standing import RunView
    from muva_console.ops.workspace import Workspace

ROUNDS = 5
LISTS = {"pre-deploy-staging": "staging", "pre-deploy-production": "production"}
REMEMBERED, BUILT = 2.0, 1.25
"""The bars. With a build the slowest item takes seconds, and the others are done meanwhile. Without one it
takes a third of a second, of processor time alone (detect-secrets starts); the other fifteen need as much
again, git's processes most of it, which two processors cannot do in no time."""


async def measure() -> list[Figure]:
    """The ratio with the build remembered, and with a build and tests that really run."""
    from muva_console.config.load import load
    from muva_console.drill import estate as estates
    from muva_console.ops.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="muva-b-") as folder:
        directory = Path(folder) / "estate"
        estate = await estates.up(directory, owner=os.getpid())
        # what is usual was measured on a machine that had nothing else to do
        usual = re.compile(r'^baseline = "[^"]*"', re.MULTILINE)
        estate.config.write_text(usual.sub('baseline = "80ms"', estate.config.read_text()))
        workspace = Workspace(load(estate.config))
        try:
            await _both(workspace, again=False)  # opens the links, builds
            return [await _remembered(workspace), await _built(workspace)]
        finally:
            await workspace.close()
            await estates.down(directory)


async def _both(workspace: Workspace, *, again: bool) -> tuple[float, list[RunView]]:
    """Sense every item of both lists, side by side: seconds, and what came out."""
    began = time.perf_counter()
    views = await asyncio.gather(*(_sense(workspace, book, again=again) for book in LISTS))
    return time.perf_counter() - began, list(views)


async def _sense(workspace: Workspace, book: str, *, only: str = "", again: bool = False) -> RunView:
    from muva_console.ops.runbooks.load import find_runbook
    from muva_console.ops.walking.once import sense_once

    runbook = find_runbook(workspace.runbooks, book)
    return await sense_once(workspace, runbook, LISTS[book], only=(only,) if only else (), again=again)


async def _alone(workspace: Workspace, book: str, item: str, *, again: bool = False) -> float:
    began = time.perf_counter()
    await _sense(workspace, book, only=item, again=again)
    return time.perf_counter() - began


def _items(views: list[RunView]) -> list[tuple[str, str]]:
    found = [(view.run.runbook.id, item.id) for view in views for item in view.items]
    assert len(found) == 18, found
    bad = [item for view in views for item in view.items if item.step.sensed and item.open]
    assert not bad, bad
    return [(view.run.runbook.id, item.id) for view in views for item in view.items if item.step.sensed]


async def _remembered(workspace: Workspace) -> Figure:
    _, views = await _both(workspace, again=False)
    single = {key: [await _alone(workspace, *key) for _ in range(3)] for key in _items(views)}
    slowest = max(single, key=lambda key: median(single[key]))
    ours, alone = [], []
    for _ in range(ROUNDS):
        alone.append(await _alone(workspace, *slowest))
        ours.append((await _both(workspace, again=False))[0])
    return _figure("18 items, the build remembered", ours, alone, slowest[1], REMEMBERED)


async def _built(workspace: Workspace) -> Figure:
    slowest = ("pre-deploy-staging", "tests-pass")
    ours, alone = [], []
    for _ in range(2):
        alone.append(await _alone(workspace, *slowest, again=True))
        ours.append((await _both(workspace, again=True))[0])
    return _figure("18 items, with build and tests", ours, alone, slowest[1], BUILT)


def _figure(name: str, ours: list[float], alone: list[float], slowest: str, bar: float) -> Figure:
    ratio = median(ours) / median(alone)
    return Figure(
        name=name,
        ours=f"{median(ours) * 1000:.0f} ms (≤ {max(ours) * 1000:.0f})",
        peer=f"{slowest} {median(alone) * 1000:.0f} ms",
        ratio=ratio,
        bar=f"≤ {bar:g} ×",
        met=ratio <= bar,
    )
