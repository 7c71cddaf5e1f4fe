"""A configuration that changes under a running console: nothing goes on by the old one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.drill.deploy import get
from muva_console.drill.state import Estate
from muva_console.engine import Engine
from muva_console.ops.workspace import Workspace
from tests.console.terminal import Terminal
from tests.hostility.parts import by_way_of, until
from tests.patience import HANG
from tests.ssh.servers import Proxy


async def test_the_log_goes_on_by_the_new_way_to_the_host(breakable_estate: Estate, tmp_path: Path) -> None:
    estate = breakable_estate
    site = estate.sites["staging"]
    proxy = Proxy(estate.ssh_port)
    await proxy.start()
    config = by_way_of(estate, tmp_path / "muva.toml", proxy.port)
    terminal = Terminal("--config", str(config), "--env", "staging")

    async def drawn(words: str, since: int = 0) -> None:
        await asyncio.to_thread(terminal.until, words, since=since)

    try:
        await drawn("healthy")
        terminal.send("5")
        await drawn("GET /api/health")
        await get(site, "/old")
        await drawn("GET /old")
        mark = len(terminal.written)
        by_way_of(estate, config, estate.ssh_port)
        await drawn("is in force", mark)
        await proxy.stop()
        # the notice lies over the end of the log for a while, and the checks' own requests come in between
        async with asyncio.timeout(HANG):
            while "GET /new" not in terminal.text[mark:]:
                await get(site, "/new")
                await asyncio.sleep(0.2)
        assert terminal.poll() is None
    finally:
        terminal.kill()
        await proxy.stop()


async def test_paused_it_stays_paused(estate: Estate) -> None:
    engine = Engine()
    engine.start()
    first, second = Workspace(load(estate.config)), Workspace(load(estate.config))
    app = MuvaApp(first, engine, live=False)
    try:
        async with app.run_test() as pilot:
            await pilot.press("p")
            app.adopt(second)
            feeds = second.environments["production"].feeds()
            await until(lambda: all(feed.snapshot.paused for feed in feeds), "nothing more is asked")
            await pilot.press("p")
            await until(lambda: not any(feed.snapshot.paused for feed in feeds), "it goes on")
    finally:
        await asyncio.to_thread(engine.stop, second.close)
