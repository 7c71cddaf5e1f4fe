"""The journal's newest entries as changes, beside those that the console saw itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.readings import Level
from muva_console.screens.changes import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muva_console.app import MuvaApp
    from muva_console.ops.journal.model import Entry

COUNT = 50
"""Entries read for "What changed"."""

_TOLD = ("act-ended", "note", "incident")
_LEVELS = {"done": Level.OK, "failed": Level.FAIL, "abandoned": Level.WARN, "unknown": Level.UNKNOWN}


class Recent:
    """What the journal told last."""

    def __init__(self) -> None:
        self._entries: tuple[Change, ...] = ()
        self._head = -1

    async def read(self, app: MuvaApp) -> bool:
        """Read the journal's newest entries; True when there was something new."""
        from muva_console.ops.journal.model import Filter

        journal = app.workspace.journal
        entries = await app.ask_ops(lambda: journal.read(Filter(kinds=_TOLD, limit=COUNT)))
        head = entries[-1].id if entries else 0
        if head == self._head:
            return False
        self._head = head
        self._entries = tuple(change_of(entry) for entry in entries)
        return True

    def merged(self, seen: Sequence[Change]) -> list[Change]:
        """Both, newest first."""
        return sorted((*self._entries, *seen), key=lambda change: change.at, reverse=True)


def change_of(entry: Entry) -> Change:
    """A journal entry as a change."""
    text = entry.subject
    if entry.outcome and entry.outcome != "done":
        text = f"{text}: {entry.outcome}"
    elif entry.kind != "act-ended" and entry.text:
        text = entry.text
    level = _LEVELS.get(entry.outcome, Level.OK)
    return Change(entry.at, entry.environment or "–", level, text, entry.engineer)
