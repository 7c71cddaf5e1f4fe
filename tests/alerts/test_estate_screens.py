"""The console on a real estate at 80x24: figures, looking back, and an alert from its bell to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.engine import Engine
from muva_console.ops.alerts.desk import Alerts
from muva_console.ops.workspace import Workspace
from muva_console.screens.alerts import AlertsScreen
from muva_console.widgets.table import Table
from tests.alerts.test_estate import own_journal
from tests.cli.conftest import Muva
from tests.patience import HANG
from tests.screens.show_text import text_of

pytestmark = pytest.mark.timeout(5 * HANG)


async def until(pilot: Pilot[None], words: str) -> str:
    """The screen's text once it holds `words`."""
    while words not in (shown := text_of(pilot.app)):
        await pilot.pause(0.05)
    return shown


async def test_figures_looking_back_and_an_alert(
    breakable_estate: Estate, muva: Muva, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = breakable_estate
    config = own_journal(estate, tmp_path, '\n[console]\nrefresh = "1s"\n')
    for words in (("--at", "2d"), ("--at", "1d", "--kind", "hotfix")):
        answer = await muva(
            "metrics", "record", "--env", "production", "--status", "success", *words, config=config
        )
        assert answer.status == 0, answer.err
    rung: list[str] = []
    monkeypatch.setattr(MuvaApp, "bell", lambda self: rung.append("bell"))
    engine = Engine()
    engine.start()
    workspace = Workspace(load(config))
    try:
        app = MuvaApp(workspace, engine, environment="production", environ={"TERM": "xterm"}, live=False)
        async with app.run_test(size=(80, 24)) as pilot, asyncio.timeout(4 * HANG):
            await until(pilot, "healthy")
            await pilot.press("8")
            shown = await until(pilot, "2 changes")
            assert "50 %" in shown  # one of two was a hotfix, and the one before it so a failure
            assert "mended by a hotfix" in shown
            await pilot.press("6", "w")
            await until(pilot, "0 failed")
            assert not rung
            await faults.break_in(estate.directory, "process-stopped")
            while not rung:
                await pilot.pause(0.05)
            assert "alert" in text_of(app)
            await pilot.press("A")
            while not isinstance(app.screen, AlertsScreen) or not app.screen.query_one(Table).rows:
                await pilot.pause(0.05)
            table = app.screen.query_one(Table)
            assert any("API health" in row.cells[2].plain for row in table.rows)
            desk = Alerts(workspace.journal)
            table.choose("production\0service/api-health")
            await pilot.press("a")
            while not any(one.acked_by for one in await app.ask_ops(lambda: desk.open("production"))):
                await pilot.pause(0.05)
            await faults.mend(estate.directory)
            while await app.ask_ops(lambda: desk.open("production")):
                await pilot.pause(0.1)
    finally:
        await asyncio.to_thread(engine.stop, workspace.close)
