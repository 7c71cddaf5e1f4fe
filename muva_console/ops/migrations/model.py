"""The words of migrations: a file, what its statements do, the history, and where the two stand.

The vocabulary of states is Flyway's where it has a word; the history table is the Supabase CLI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Effect(StrEnum):
    """What a statement means for the code that ran before it, and for the data."""

    ADDITIVE = "additive"
    """Adds something: the code of before goes on working, so code alone can go back."""
    CHANGING = "changing"
    """Changes or takes away what the code of before may rely on; no data is lost."""
    DESTRUCTIVE = "destructive"
    """Data is lost or rewritten: only a way back of its own or a backup brings it back."""
    OPAQUE = "opaque"
    """Runs code that cannot be looked into: DO, CALL, a function."""


class Problem(Struct, frozen=True):
    """Why a file is no good."""

    what: str
    line: int = 0
    """From 1; 0 where no line is to blame."""
    column: int = 0
    """From 1, in characters."""

    def __str__(self) -> str:
        if not self.line:
            return self.what
        column = f", column {self.column}" if self.column else ""
        return f"line {self.line}{column}: {self.what}"


class Statement(Struct, frozen=True, kw_only=True):
    """One statement of a file, classified."""

    kind: str
    """In SQL's words: ``DROP TABLE``, ``ALTER TABLE … DROP COLUMN``."""
    effect: Effect
    line: int
    """The line it begins at, from 1."""
    touches: tuple[str, ...] = ()
    """``schema.name`` of what it is about; ``public`` where no schema is given."""
    makes: tuple[str, ...] = ()
    """``schema.name`` of tables, indexes and views that it creates."""
    alone: bool = False
    """Cannot run in a transaction: CONCURRENTLY, VACUUM, ALTER SYSTEM."""

    @property
    def about(self) -> str:
        """``DROP TABLE public.guests``."""
        return f"{self.kind} {', '.join(self.touches[:3])}".rstrip()


class Examined(Struct, frozen=True, kw_only=True):
    """What a file's text says, whichever file it is."""

    shape: str
    """Alike for texts that differ in comments, white space, the case of words and semicolons alone; empty
    where the text cannot be split into words."""
    problems: tuple[Problem, ...] = ()
    statements: tuple[Statement, ...] = ()


class MigrationFile(Struct, frozen=True, kw_only=True, gc=False):
    """A file ``<version>_<name>.sql``."""

    path: str
    """As git has it."""
    version: str
    name: str
    down: bool = False
    """The way back: ``<version>_<name>.down.sql``."""


class FileSet(Struct, frozen=True, kw_only=True):
    """The migrations of one commit, by their names."""

    sha: str
    folder: str
    migrations: tuple[MigrationFile, ...]
    """Sorted as they are applied: by version as text."""
    downs: tuple[MigrationFile, ...] = ()
    skipped: tuple[str, ...] = ()
    """Paths of SQL files that no migration tool takes for one."""
    others: tuple[str, ...] = ()
    """Paths of everything else in the folder."""

    @property
    def by_version(self) -> dict[str, tuple[MigrationFile, ...]]:
        """Files by version; more than one is a duplicate."""
        found: dict[str, tuple[MigrationFile, ...]] = {}
        for one in self.migrations:
            found[one.version] = (*found.get(one.version, ()), one)
        return found

    @property
    def duplicates(self) -> dict[str, tuple[MigrationFile, ...]]:
        """Versions that more than one file has."""
        return {version: files for version, files in self.by_version.items() if len(files) > 1}

    @property
    def widths(self) -> tuple[int, ...]:
        """How many digits versions have; more than one width sorts as nobody expects."""
        return tuple(sorted({len(one.version) for one in self.migrations}))


class Applied(Struct, frozen=True, kw_only=True, gc=False):
    """A row of a database's history."""

    version: str
    name: str | None = None
    statements: tuple[str, ...] | None = None
    """What was run; None where it was not recorded."""
    rollback: tuple[str, ...] | None = None
    """How to undo it, where that is recorded."""
    by: str | None = None
    digest: bytes = b""
    """16 bytes of the recorded statements, where they were asked for instead of them (`history.DIGEST`);
    empty where none are recorded."""

    @property
    def text(self) -> str | None:
        """The statements as one text."""
        return None if self.statements is None else ";\n".join(self.statements)


class History(Struct, frozen=True, kw_only=True):
    """A database's history of migrations."""

    where: str
    """HOST:PORT/NAME."""
    applied: Mapping[str, Applied]
    """By version."""
    there: bool = True
    """False when there is no history table: nothing was ever applied by a tool that keeps one."""
    columns: tuple[str, ...] = ()

    @property
    def highest(self) -> str:
        """The highest version applied; empty when none is."""
        return max(self.applied, default="")


class State(StrEnum):
    """Where a version stands in one database."""

    APPLIED = "applied"
    PENDING = "pending"
    OUT_OF_ORDER = "out of order"
    """Pending, and lower than a version that is applied already."""
    MISSING = "applied but missing in the files"
    DUPLICATE = "duplicate version"
    DRIFTED = "applied with another content"
    RENAMED = "applied under another name"
    HALF_WAY = "failed half-way"
    """Not in the history, and some of what it does is there all the same."""
    INVALID_INDEX = "invalid index left behind"
    ABSENT = "not on this branch"
    """On neither the environment's branch nor the one that flows into it, and not applied."""
    UNKNOWN = "unknown"
    """The database cannot be asked, or what it says cannot be compared."""


class Standing(Struct, frozen=True, kw_only=True):
    """One version, as files and a history have it."""

    version: str
    name: str
    state: State
    file: MigrationFile | None = None
    applied: Applied | None = None

    @property
    def title(self) -> str:
        """``20251105120000_add_bookings``."""
        return f"{self.version}_{self.name}" if self.name else self.version
