"""Two consoles at one journal."""

from __future__ import annotations

from tests.cli.conftest import muva
from tests.journal.conftest import folder, open_journal

__all__ = ["folder", "muva", "open_journal"]
