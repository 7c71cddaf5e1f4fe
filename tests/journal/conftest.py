"""Journals in folders of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal

DANA = Engineer(name="dana", host="jump-1", origin="ssh from 10.0.0.7", account="dana")
EVE = Engineer(name="eve", host="jump-1", origin="ssh from 10.0.0.8", account="deploy", claimed=True)
SECRET = "hunter2-planted-secret"


def redact(text: str) -> str:
    """Knows one secret."""
    return text.replace(SECRET, "‹redacted›")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def open_journal(folder: Path) -> AsyncIterator[Callable[..., Journal]]:
    """Opens journals (by default on `folder`) and closes them afterwards."""
    opened: list[Journal] = []

    def make(directory: Path | None = None, engineer: Engineer = DANA, **options: object) -> Journal:
        journal = Journal(directory or folder, engineer, redact=redact, **options)  # type: ignore[arg-type]
        opened.append(journal)
        return journal

    yield make
    for journal in opened:
        await journal.close()


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    return open_journal()
