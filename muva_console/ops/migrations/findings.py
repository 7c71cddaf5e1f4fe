"""The answer of a validation: hazards by line, the locks of each statement, and the level of a file."""

from __future__ import annotations

from msgspec import Struct

from muva_console.ops.migrations.locks import Taken
from muva_console.ops.migrations.model import Problem
from muva_console.ops.readings import Level, worst


class Hazard(Struct, frozen=True, kw_only=True, gc=False):
    """One thing that may hurt where a file is applied."""

    rule: str
    """Its id, which comments name to allow it (`rules.RULES`)."""
    level: Level
    """By the size of what it is about; OK: the table is small enough."""
    line: int
    column: int
    """From 1; in characters."""
    statement: int
    """The statement's number in the file, from 1; 0 for the file itself."""
    kind: str
    """The statement's first words: ``ALTER TABLE``."""
    what: str
    """What happens."""
    blocks: str = ""
    """Whom it keeps waiting: ``reads and writes``."""
    sizes: tuple[str, ...] = ()
    """The tables that it is about with their sizes, in words."""
    safe: str = ""
    """The safe way to write it."""
    by: tuple[str, ...] = ("muva",)
    """Who says so: ``muva``, ``squawk RULE``."""


class Allowed(Struct, frozen=True, kw_only=True, gc=False):
    """A hazard that a comment allows."""

    hazard: Hazard
    reason: str
    """Empty where squawk's own comment gives none."""
    line: int
    """Of the comment."""
    squawk: bool = False
    """The comment is squawk's own."""


class StatementReport(Struct, frozen=True, kw_only=True, gc=False):
    """A statement and what it locks."""

    line: int
    column: int
    kind: str
    locks: tuple[Taken, ...] = ()
    """On what was there before the file."""
    alone: bool = False
    """Cannot run in a transaction."""


class FileReport(Struct, frozen=True, kw_only=True, gc=False):
    """What validating one file told."""

    path: str
    level: Level
    problems: tuple[Problem, ...] = ()
    """Why it cannot be applied at all."""
    hazards: tuple[Hazard, ...] = ()
    """By line."""
    allowed: tuple[Allowed, ...] = ()
    statements: tuple[StatementReport, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be looked at, such as squawk that is not there."""


def level_of(problems: tuple[Problem, ...], hazards: tuple[Hazard, ...], *, large: bool) -> Level:
    """The level of a file. What is too large to be parsed is not known to be bad."""
    if problems:
        return Level.UNKNOWN if large and len(problems) == 1 else Level.FAIL
    return worst((Level.OK, *(one.level for one in hazards)))
