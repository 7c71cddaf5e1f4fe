"""The console in a terminal through the drill's faults, while keys are pressed and the window changes."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest

from muva_console.drill import faults
from muva_console.drill.state import Estate
from tests.console.terminal import _ESCAPES as ESCAPES
from tests.console.terminal import Terminal
from tests.hostility.parts import reconfigured
from tests.patience import HANG

WORDS = {
    "process-stopped": "stopped",
    "database-stopped": "not reachable",
    "ssh-gone": "refused",
    "pm2-daemon-killed": "daemon",
}
"""What the console says of a fault in the words of its checks: of those that take away what it reads by.
Those that come with a release only change what is read, and cost two deployments each: tests/cli has them."""
KEYS = ("1", "5", "6", "9", "j", "k", "r", "g", "G", "d", "\x1b", "\r", "?", "@", "e", "\t", "+-", "/")
"""Every mode, the dialogs, the cursor; nothing that acts, leaves or pauses."""


def impatient(document: dict[str, Any]) -> None:
    document["console"] = {"refresh": "1s"}
    document["health"]["timeout"] = "10s"
    for name in ("production", "staging"):
        thresholds = document["environments"][name]["thresholds"]
        # a busy machine is no fault: no answer is called slow here
        thresholds.update(database="8s", response="9s", baseline="5s", restart_window="10s")


async def storm(terminal: Terminal, chance: random.Random, ended: asyncio.Event) -> None:
    """Keys and sizes without pause until `ended`, twenty at least."""
    count = 0
    while not ended.is_set() or count < 20:
        terminal.resize(chance.randint(20, 250), chance.randint(5, 80))
        terminal.send(chance.choice(KEYS))
        count += 1
        assert terminal.poll() is None, f"it ended with {terminal.status}: {terminal.text[-4000:]}"
        await asyncio.sleep(chance.choice((0.0, 0.005, 0.03, 0.1)))


async def until_shown(terminal: Terminal, words: str, seconds: float = HANG) -> None:
    """Wait until the Overview shows `words` in a common size, drawing it anew from time to time."""
    deadline = time.monotonic() + seconds
    columns = 160
    while True:
        # each time: a question that has just opened is deaf, a slow console is still at the storm's keys
        for keys in ("\x1b", "\x1b", "\x1b", "\x1b", "1"):
            terminal.send(keys)
            await asyncio.sleep(0.12)  # else an escape and what follows are one key, alt and that
        columns = 320 - columns + 1 if columns < 161 else 160
        mark = len(terminal.written)
        terminal.resize(columns, 50)  # all is drawn anew
        terminal.send("r")
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert terminal.poll() is None, f"it ended with {terminal.status}: {terminal.text[-4000:]}"
            shown = ESCAPES.sub(b"", bytes(terminal.written[mark:])).decode("utf-8", "replace")
            if words in shown:
                return
        assert time.monotonic() < deadline, f"no {words!r} in {shown[-9000:]}"


@pytest.mark.timeout(300)
async def test_it_lives_through_faults_in_a_storm(breakable_estate: Estate, tmp_path: Path) -> None:
    estate = breakable_estate
    chance = random.Random(20251105)
    config = reconfigured(estate, tmp_path / "muva.toml", impatient)
    terminal = Terminal("--config", str(config), "--env", "production", columns=120, rows=40)
    try:
        terminal.until("healthy")
        for name, words in WORDS.items():
            ended = asyncio.Event()
            pressing = asyncio.create_task(storm(terminal, chance, ended))
            await faults.break_in(estate.directory, name)
            ended.set()
            await pressing
            await until_shown(terminal, words)
            await faults.mend(estate.directory)
            await until_shown(terminal, "Every check of every environment is ok")
        assert terminal.poll() is None
        terminal.send("\x11")
        assert terminal.wait() == 0
    finally:
        terminal.kill()
    assert "Traceback" not in terminal.text
    assert "defect" not in terminal.text.lower()
