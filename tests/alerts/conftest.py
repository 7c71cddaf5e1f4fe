"""Journals of engineers, a failure that was noticed; and the command line, as other tests run it."""

from __future__ import annotations

from pathlib import Path

from muva_console.ops.alerts.model import Noticed, Source
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal, no_redaction
from muva_console.ops.readings import Level
from tests.cli.conftest import muva

__all__ = ["muva"]

NOTICED = Noticed(
    environment="production",
    key="service/api-health",
    source=Source.SERVICE,
    level=Level.FAIL,
    title="API health is down: answers 500",
    count=3,
)


def journal_of(path: Path, name: str) -> Journal:
    """An opening of a journal by somebody."""
    return Journal(path, Engineer(name=name, host="jump-1", origin="test"), redact=no_redaction)
