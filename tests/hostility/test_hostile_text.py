"""Attacks and secrets in a log, a process's name, an answer, a commit, a query: none comes out anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from muva_console.drill.state import Estate
from muva_console.ops.operations import Event, EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.process_operations import Action, ProcessOperation
from tests.cli.conftest import Muva
from tests.console.terminal import Terminal
from tests.hostility.parts import opened
from tests.hostility.world import (
    LONG,
    RAW,
    assert_harmless,
    assert_no_secret,
    every_secret,
    hostile_world,
)

MOST_MEMORY = 400 * 1024 * 1024
"""Bytes that a console may take although lines and bodies of 10 MB come; it takes some 130 MB without."""


@pytest.fixture
async def hostile(breakable_estate: Estate, tmp_path: Path) -> AsyncIterator[tuple[Estate, Path]]:
    """The estate with the hostile world in it, and the configuration that looks at it as staging."""
    async with hostile_world(breakable_estate, tmp_path) as config:
        yield breakable_estate, config


def texts(value: Any) -> list[str]:
    """Every text in decoded JSON, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts(item)]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


def peak_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


ESCAPE = "\x1b"
COMMANDS = {
    ("health", "--env", "staging"): ("SAW-THE-QUERY", "SAW-THE-RAW-BODY", "MARKUP"),
    ("processes", "--env", "staging"): ("SAW-THE-NAME", "[red]MARKUP[/]"),
    ("logs", "--env", "staging", "--lines", "1000"): ("SAW-THE-LOG", "[red]MARKUP[/]", "‹redacted›"),
    ("doctor", "--env", "staging"): ("web-health-db",),
    ("journal",): (),
}


async def test_the_command_line_lets_nothing_through(hostile: tuple[Estate, Path], muva: Muva) -> None:
    estate, config = hostile
    async with opened(config) as workspace:
        of = workspace.environments["staging"]
        [evil] = [p for p in (await of.read_processes("vps")).processes if "SAW-THE-NAME" in p.name]
        operation = ProcessOperation(
            Action.RESTART,
            workspace.process_reader("vps"),
            evil.name,
            environment="staging",
            production=False,
            stable_for=1.0,
        )
        plan = await workspace.performer.prepare(operation)
        events: list[Event] = []
        performing = workspace.performer.perform(operation, plan, Confirmation(confirmed=True))
        async with aclosing(performing):
            events = [event async for event in performing]
        assert events[-1].kind is EventKind.DONE, [event.text for event in events]
        told = "\n".join(event.text for event in events)
        assert "SAW-THE-LOG" in told, "what it says while it is restarted is passed on"
        assert_harmless(told)
        assert_no_secret(estate, told, "the events of an act")
        for record in workspace.commands.records():
            assert_harmless(record.line)
            assert_no_secret(estate, record.line, "the command log")
        repository = await of.read_repository()
        assert "SAW-THE-SUBJECT" in str(repository)
        assert_no_secret(estate, str(repository), "the repository's reading")

    for words, marks in COMMANDS.items():
        answer = await muva(*words, config=config)
        assert answer.status in (0, 1), answer.err
        data = await muva(*words, "--json", config=config)
        assert "Traceback" not in answer.err + data.err
        for printed in (answer.out, answer.err, data.out, data.err):
            assert_harmless(printed)
            assert_no_secret(estate, printed, " ".join(words))
        decoded = (
            [json.loads(line) for line in data.out.splitlines()]
            if words[0] == "logs"
            else json.loads(data.out)
        )
        everything = "\n".join(texts(decoded))
        assert_harmless(everything)
        for mark in marks:
            assert mark in answer.out, f"{mark} in {words}: the attack did not even arrive"
            assert mark in everything
        assert max(map(len, answer.out.splitlines()), default=0) < 10_000
    kept = b"".join(path.read_bytes() for path in (config.parent / "journal").rglob("*") if path.is_file())
    assert b"process-restart" in kept
    assert_no_secret(estate, kept, "the journal's files")
    assert not [needle for needle in RAW[:-1] if needle in kept and needle != b"\x00"]


async def test_the_console_lets_nothing_reach_the_terminal(hostile: tuple[Estate, Path]) -> None:
    estate, config = hostile
    terminal = Terminal("--config", str(config), "--env", "staging", columns=200, rows=60)
    try:
        terminal.until("MARKUP")  # the Overview tells what the web said
        terminal.send("6")
        terminal.until("Critical table access")
        for _ in range(6):  # the evidence of every check
            mark = len(terminal.written)
            terminal.send("j")
            await settled(terminal, mark)
        terminal.send("5")
        terminal.until("SAW-THE-NAME")
        for _ in range(3):
            mark = len(terminal.written)
            terminal.send("j")
            await settled(terminal, mark)
        terminal.until("SAW-THE-LOG")
        terminal.until("‹redacted›")
        for keys in (
            "d",
            "\x1b",
            "\r",
            "g",
            "G",
            "q",
            "@",
            "\x1b",
            ":",
            "evil",
            "\x1b",
            "9",
            "?",
            "\x1b",
            "1",
        ):
            mark = len(terminal.written)
            terminal.send(keys)
            await settled(terminal, mark)
        assert terminal.poll() is None, terminal.text[-3000:]
        written = bytes(terminal.written)
        for needle in RAW:
            place = written.find(needle)
            assert place < 0, f"{needle!r} in {written[max(0, place - 300) : place + 100]!r}"
        shown = written.decode("utf-8", "replace")
        assert not [control for control in "\x9b\x9d\x90\u202e\u2066" if control in shown]
        assert_no_secret(estate, written, "the terminal")
        assert peak_memory(terminal.pid) < MOST_MEMORY
        mark = len(terminal.written)
        terminal.send("\x11")
        assert terminal.wait() == 0, terminal.text[-3000:]
        assert "Traceback" not in terminal.text
    finally:
        terminal.kill()
    assert LONG > 10_000_000
    assert len(every_secret(estate)) > 10
    for path in (config.parent / "journal").rglob("*"):
        if path.is_file():
            assert_no_secret(estate, path.read_bytes(), path.name)


async def settled(terminal: Terminal, mark: int, seconds: float = 1.5) -> None:
    """Wait until something was drawn since `mark` and then nothing for a moment."""
    import asyncio

    deadline = time.monotonic() + seconds
    last, since = mark, time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(0.03)
        if len(terminal.written) != last:
            last, since = len(terminal.written), time.monotonic()
        elif time.monotonic() - since > 0.12:
            return
