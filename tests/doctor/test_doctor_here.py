"""What the doctor judges on this machine, part by part."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from muva_console.config.load import load
from muva_console.ops import doctor
from muva_console.ops.doctor import here
from muva_console.ops.readings import Finding, Level
from muva_console.ops.workspace import Workspace

SMALL = '[environments.production]\nbranch = "main"\n'


async def look(
    folder: Path, text: str = SMALL, terminal: doctor.Terminal | None = None
) -> dict[str, Finding]:
    file = folder / "muva.toml"
    if not file.exists():
        file.write_text(text)
    workspace = Workspace(load(file))
    try:
        report = await doctor.examine(workspace, terminal=terminal)
    finally:
        await workspace.close()
    return {finding.check: finding for finding in report.findings}


def terminal(columns: int = 120, rows: int = 40, encoding: str = "utf-8", **environ: str) -> doctor.Terminal:
    return doctor.Terminal(environ=environ, columns=columns, rows=rows, encoding=encoding)


async def test_without_a_terminal_there_is_no_word_about_one(tmp_path: Path) -> None:
    assert "terminal" not in await look(tmp_path)


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        (terminal(TERM="xterm-256color", COLORTERM="truecolor"), Level.OK, "24-bit colour, UTF-8"),
        (terminal(TERM="xterm-256color"), Level.OK, "256 colours"),
        (terminal(TERM="linux"), Level.OK, "16 colours"),
        (terminal(TERM="xterm", NO_COLOR="1"), Level.OK, "no colours (NO_COLOR)"),
        (terminal(TERM="xterm", encoding="ANSI_X3.4-1968"), Level.WARN, "no UTF-8"),
        (terminal(TERM="xterm", columns=79), Level.WARN, "xterm"),
        (terminal(TERM="dumb"), Level.FAIL, "dumb"),
    ],
)
async def test_a_terminal(tmp_path: Path, given: doctor.Terminal, level: Level, words: str) -> None:
    found = (await look(tmp_path, terminal=given))["terminal"]
    assert found.level is level
    assert words in found.summary


@pytest.mark.parametrize(
    ("version", "clipboard", "level"),
    [("tmux 3.3a", "external", Level.OK), ("tmux 3.4", "off", Level.WARN), ("tmux 2.9", "on", Level.WARN)],
)
async def test_tmux_and_the_clipboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, clipboard: str, level: Level
) -> None:
    fake = tmp_path / "bin/tmux"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "{version}" || echo "{clipboard}"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    found = (await look(tmp_path, terminal=terminal(TERM="tmux-256color", TMUX="/tmp/x,1,0")))["terminal"]
    assert found.level is level
    assert f"within {version}: set-clipboard {clipboard}" in found.evidence


async def test_a_configuration_that_anybody_can_change(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    file.write_text(SMALL)
    file.chmod(0o666)
    found = (await look(tmp_path))["configuration"]
    assert found.level is Level.WARN
    assert found.next == f"chmod o-w {file}"


async def test_a_checkout_and_its_branches(tmp_path: Path) -> None:
    assert (await look(tmp_path))["checkout"].level is Level.FAIL
    assert "no git checkout" in (await look(tmp_path))["checkout"].summary
    environ = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q", "-b", "other"], [*author, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env=environ)
    found = (await look(tmp_path))["checkout"]
    assert found.level is Level.WARN
    assert "production: main" in found.evidence
    subprocess.run(
        ["git", "update-ref", "refs/remotes/origin/main", "HEAD"], cwd=tmp_path, check=True, env=environ
    )
    assert (await look(tmp_path))["checkout"].level is Level.OK


async def test_a_journal_where_write_ahead_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    text = f'[journal]\ndirectory = "{journal}"\n{SMALL}'
    found = (await look(tmp_path, text))["journal"]
    assert found.level is Level.OK
    assert "WAL works" in found.summary
    assert list(journal.iterdir()) == []

    def refuse(directory: Path) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(here, "_try_write_ahead", refuse)
    found = (await look(tmp_path, text))["journal"]
    assert found.level is Level.FAIL
    assert "disk I/O error" in found.summary


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
async def test_a_journal_that_may_not_be_written(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir(mode=0o500)
    found = (await look(tmp_path, f'[journal]\ndirectory = "{journal}"\n{SMALL}'))["journal"]
    assert found.level is Level.FAIL


async def test_a_file_system_that_does_not_answer_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    release = threading.Event()
    monkeypatch.setattr(here, "TIMEOUT", 0.2)

    def hang(*_: Any) -> None:
        release.wait(20)

    monkeypatch.setattr(here, "_journal", hang)
    try:
        found = (await look(tmp_path))["journal"]
        assert found.level is Level.UNKNOWN
        assert "no answer within 0.2 s" in found.summary
    finally:
        release.set()
