"""The console as a process in a terminal that is resized, stalled, hung up and killed, on a real estate."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from muva_console.drill.state import Estate
from tests.console.terminal import Terminal, journal_of
from tests.patience import HANG

Open = Callable[..., Terminal]


@pytest.fixture
def console() -> Iterator[Open]:
    """Opens consoles, and ends them all."""
    opened: list[Terminal] = []

    def open_one(estate: Estate, *arguments: str, **options: object) -> Terminal:
        terminal = Terminal("--config", str(estate.config), "--env", "production", *arguments, **options)  # type: ignore[arg-type]
        opened.append(terminal)
        return terminal

    yield open_one
    for terminal in opened:
        terminal.kill()


def until(condition: Callable[[], bool], seconds: float = HANG) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_it_shows_the_living_estate_and_leaves_the_terminal_as_it_was(console: Open, estate: Estate) -> None:
    terminal = console(estate)
    terminal.until("PRODUCTION")
    terminal.until("healthy")
    terminal.send("5")
    terminal.until("muva-production")
    terminal.until("GET /api/health 200")
    terminal.send("6")
    terminal.until("Critical table access")
    terminal.send("9")
    terminal.until("Journal")
    mark = len(terminal.written)
    terminal.send("\x11")  # ctrl+q
    assert terminal.wait() == 0
    assert b"\x1b[?1049l" in terminal.written[mark:], "the alternate screen is left"
    assert terminal.cooked()


def test_resized_it_draws_again(console: Open, estate: Estate) -> None:
    terminal = console(estate, COLUMNS="80", LINES="24")  # a shell that exports them
    terminal.until("healthy")
    for columns, rows in ((80, 24), (200, 60), (20, 5), (120, 40)):
        mark = len(terminal.written)
        terminal.resize(columns, rows)
        if columns >= 80:  # twenty columns hold no word, and must only be survived
            terminal.until("Overview", since=mark)
    assert terminal.poll() is None


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_it_in_order(console: Open, estate: Estate, number: signal.Signals) -> None:
    terminal = console(estate)
    terminal.until("healthy")
    mark = len(terminal.written)
    os.kill(terminal.pid, number)
    assert terminal.wait() == 128 + number
    assert b"\x1b[?1049l" in terminal.written[mark:], "the alternate screen is left"
    assert terminal.cooked()


def test_a_closed_terminal_ends_it(console: Open, estate: Estate) -> None:
    terminal = console(estate)
    terminal.until("healthy")
    terminal.hang_up()
    assert terminal.wait() != 0


def test_an_act_is_seen_through_while_the_terminal_stalls(console: Open, breakable_estate: Estate) -> None:
    """A lid closes in the midst of a restart: it is verified and recorded all the same."""
    estate = breakable_estate
    before = len(journal_of(estate.journal))
    terminal = console(estate)
    terminal.until("healthy")
    terminal.send("5")
    terminal.until("muva-production")
    terminal.until("GET /api/health")
    terminal.send("R")
    terminal.until("pm2 restart")
    time.sleep(0.6)  # the dialog is deaf at first, on purpose: see widgets/dialog.py
    terminal.send("production\r")
    time.sleep(0.6)
    terminal.send("\r")

    def recorded(kind: str) -> bool:
        return any(entry["kind"] == kind for entry in journal_of(estate.journal)[before:])

    until(lambda: recorded("act-begun"))
    terminal.stall(True)
    until(lambda: recorded("act-ended"))
    terminal.stall(False)
    begun, done = [e for e in journal_of(estate.journal)[before:] if e["kind"].startswith("act-")][:2]
    assert begun["environment"] == "production"
    assert "restart" in begun["subject"] + begun["text"] + begun["data"]
    assert '"done"' in done["data"] or "done" in done["text"], done
    assert terminal.poll() is None


def test_killed_in_the_midst_of_an_act_the_journal_tells(
    console: Open, breakable_estate: Estate, tmp_path: Path
) -> None:
    """`kill -9` after the beginning was recorded: the next reader is told that the outcome is unknown."""
    estate = breakable_estate
    before = len(journal_of(estate.journal))
    terminal = console(estate)
    terminal.until("healthy")
    terminal.send("5")
    terminal.until("GET /api/health")
    terminal.send("R")
    terminal.until("pm2 restart")
    time.sleep(0.6)
    terminal.send("production\r")
    time.sleep(0.6)
    terminal.send("\r")
    until(lambda: any(e["kind"] == "act-begun" for e in journal_of(estate.journal)[before:]))
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.wait()

    import subprocess
    import sys

    command = [sys.executable, "-m", "muva_console", "--config", str(estate.config), "journal"]
    told = subprocess.run([*command, "open"], capture_output=True, text=True, timeout=HANG, check=False)
    assert "interrupted" in told.stdout + told.stderr
    verified = subprocess.run([*command, "verify"], capture_output=True, text=True, timeout=HANG, check=False)
    # 3 when it died between its first entry and the anchor: then nothing says whether more had been written
    assert verified.returncode in {0, 3}, verified.stdout + verified.stderr
    assert "each as it was written" in verified.stdout


def test_two_consoles_at_once(console: Open, estate: Estate) -> None:
    first, second = console(estate), console(estate, "--read-only")
    first.until("healthy")
    second.until("healthy")
    second.until("read-only")
    assert first.poll() is None
