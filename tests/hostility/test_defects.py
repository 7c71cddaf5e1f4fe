"""Defects of our own in a real terminal: told without secrets, and the console goes on where it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from muva_console.drill.state import Estate
from tests.console.terminal import Terminal
from tests.hostility.world import assert_no_secret

Broken = Callable[[str], Terminal]

_CRASH = """
def crash(*_arguments, **_options):
    from pathlib import Path
    from muva_console.config.redact import redactor
    password = Path({password!r}).read_text().strip()
    redactor.add(password)  # as `secrets.resolve` does
    url = f"postgresql://muva_production:{{password}}@127.0.0.1/db"
    raise RuntimeError(f"a defect with {{url}} and {{password}} and {{Path({planted!r}).read_text()}}")
"""


@pytest.fixture
def broken(estate: Estate, tmp_path: Path) -> Iterator[Broken]:
    """Opens consoles that run some lines first, in which `crash` raises an error full of secrets."""
    opened: list[Terminal] = []
    password, planted = estate.secrets / "muva_production.password", estate.secrets / "planted"

    def open_one(lines: str) -> Terminal:
        # Python imports this module, where there is one, before anything else
        text = _CRASH.format(password=str(password), planted=str(planted)) + lines
        (tmp_path / "sitecustomize.py").write_text(text)
        terminal = Terminal("--config", str(estate.config), "--env", "production", PYTHONPATH=str(tmp_path))
        opened.append(terminal)
        return terminal

    yield open_one
    for terminal in opened:
        terminal.kill()


WHERE = {
    "a message": "from muva_console.screens.health import Health as H\nH.on_screen_resume = crash\n",
    "the drawing": "from muva_console.screens.health import Health as H\nH.render_lines = crash\n",
    "the body": "from muva_console.screens.health import Health as H\nH.body = crash\n",
    "a reading": "from muva_console.screens.overview import Overview as O\nO.changed = crash\n",
    "the clock": "from muva_console.screens.overview import Overview as O\nO.tick = crash\n",
    "an action": "from muva_console.app import MuvaApp as M\nM.action_mode = crash\n",
}


@pytest.mark.parametrize("where", WHERE)
def test_it_is_told_and_the_console_goes_on(estate: Estate, broken: Broken, where: str) -> None:
    terminal = broken(WHERE[where])
    terminal.until("web ●")  # the band of the Overview, drawn whatever else is broken
    mark = len(terminal.written)
    if where == "the clock":
        terminal.until("A defect")  # the clock of a screen stands still while another is in sight
    terminal.send("6")
    if where == "an action":
        terminal.until("A defect", since=mark)
    terminal.send("9")  # away from a screen that is broken as a whole
    terminal.until("A defect")
    terminal.until("RuntimeError")
    if where != "an action":
        terminal.until("all environments", since=mark)
    mark = len(terminal.written)
    terminal.resize(100, 30)
    terminal.until("PRODUCTION", since=mark)
    assert terminal.poll() is None
    terminal.send("\x11")
    assert terminal.wait() == 0
    assert_no_secret(estate, bytes(terminal.written), "the terminal")
    assert terminal.cooked()


def test_before_the_first_paint_it_ends_with_a_report_without_secrets(estate: Estate, broken: Broken) -> None:
    terminal = broken("from muva_console.screens.frame import Opening\nOpening.body = crash\n")
    assert terminal.wait() == 1
    assert "muva ended because of a defect" in terminal.text
    assert "RuntimeError" in terminal.text
    assert "‹redacted›" in terminal.text
    assert_no_secret(estate, bytes(terminal.written), "the crash report")
    assert terminal.cooked()
