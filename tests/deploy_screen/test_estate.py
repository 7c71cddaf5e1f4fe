"""A push to staging, seen live on the Deploy screen to its success, on an estate that really deploys."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.drill import estate as estates
from muva_console.drill.state import Estate
from muva_console.engine import Engine
from muva_console.ops.deploys.timeline import Source
from muva_console.ops.deploys.watch import Watch
from muva_console.ops.links.github_runs import WorkflowRun
from muva_console.ops.workspace import Workspace
from muva_console.screens.deploy import Deploy
from tests.patience import HANG
from tests.screens.show_text import text_of
from tests.workshop.team import git


@pytest.mark.skipif(shutil.which("ssh") is None, reason="the workflows deploy with ssh")
async def test_a_push_to_staging_is_seen_live(breakable_estate: Estate, tmp_path: Path) -> None:
    estate = breakable_estate
    engine = Engine()
    engine.start()
    workspace = Workspace(load(estate.config))
    try:
        await _seen(estate, workspace, engine, tmp_path / "clone")
    finally:
        await asyncio.to_thread(engine.stop, workspace.close)
        await estates.down(estate.directory)  # its branches are not as the others expect them


async def _seen(estate: Estate, workspace: Workspace, engine: Engine, clone: Path) -> None:
    git(clone.parent, "clone", "-q", "--template=", "--branch", "staging", str(estate.repository), str(clone))
    git(clone, "merge", "-q", "--no-edit", "origin/dev")
    staged = git(clone, "rev-parse", "HEAD").strip()
    app = MuvaApp(workspace, engine, environment="staging", environ={"TERM": "xterm"}, live=False)
    async with app.run_test(size=(120, 40)) as pilot, asyncio.timeout(3 * HANG):
        while app.current_mode != "overview":
            await pilot.pause(0.05)
        git(clone, "push", "-q", "origin", "staging")
        await pilot.press("3")
        while not isinstance(app.mode_screen, Deploy) or not app.mode_screen.is_mounted:
            await pilot.pause(0.05)
        screen = app.mode_screen
        while (run := next((r for r in _runs(screen) if r.sha == staged), None)) is None:
            await pilot.press("r")
            await pilot.pause(0.3)
        screen.table.choose(str(run.id))
        while not any(one.source is Source.HOST for one in screen.line.moments):
            await pilot.pause(0.05)
        watch = screen.watch_in_hand
        assert watch is not None
        assert watch.run is not None
        assert not watch.run.finished, "the host's lines are there while the run goes on"
        # the job's log comes at the end, the list is asked by the key
        while (
            not any(one.source is Source.JOB for one in screen.line.moments)
            or not _over(screen)
            or not _ended(watch)
        ):
            await pilot.press("r")
            await pilot.pause(0.3)
        assert watch.run.conclusion == "success"
        while "succeeded in" not in text_of(app):  # the head is drawn once a second
            await pilot.pause(0.1)


def _ended(watch: Watch) -> bool:
    return watch.run is not None and watch.run.finished


def _over(screen: Deploy) -> bool:
    return screen.run is not None and screen.run.finished


def _runs(screen: Deploy) -> tuple[WorkflowRun, ...]:
    return screen.known.runs if screen.known is not None else ()
