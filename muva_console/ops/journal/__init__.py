"""The journal: who did what when, in an append-only, hash-chained record that a team shares."""

from __future__ import annotations

from muva_console.ops.journal.clean import Redact, no_redaction
from muva_console.ops.journal.errors import JournalError, JournalProblem
from muva_console.ops.journal.folder import journal_directory
from muva_console.ops.journal.model import (
    Begun,
    Draft,
    Ended,
    Entry,
    Filter,
    Flaw,
    JournalStatus,
    Kind,
    Life,
    OpenAct,
    Outcome,
    Owner,
    Verification,
)
from muva_console.ops.journal.store import Journal, new_act

__all__ = [
    "Begun",
    "Draft",
    "Ended",
    "Entry",
    "Filter",
    "Flaw",
    "Journal",
    "JournalError",
    "JournalProblem",
    "JournalStatus",
    "Kind",
    "Life",
    "OpenAct",
    "Outcome",
    "Owner",
    "Redact",
    "Verification",
    "journal_directory",
    "new_act",
    "no_redaction",
]
