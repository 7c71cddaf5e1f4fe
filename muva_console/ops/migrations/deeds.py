"""What one statement does, as plain facts: the ground on which locks are told and hazards are judged.

A deed is small, hangs on the text alone and can be kept on disk; what it means where it is applied (was the
table made just before? how large is it?) is judged later, for all files together.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.migrations.model import Problem


class Do(StrEnum):
    """What is done."""

    CREATE_TABLE = "create table"
    COLUMN = "column of a new table"
    CONSTRAINT = "constraint"
    """ADD CONSTRAINT, or one written with a column or in a new table; `Deed.type` says which."""
    INDEX = "create index"
    DROP_INDEX = "drop index"
    REINDEX = "reindex"
    ADD_COLUMN = "add column"
    DROP_COLUMN = "drop column"
    SET_TYPE = "set type"
    SET_NOT_NULL = "set not null"
    DROP_NOT_NULL = "drop not null"
    VALIDATE = "validate constraint"
    DROP_CONSTRAINT = "drop constraint"
    REWRITE = "rewrite"
    """SET LOGGED, SET TABLESPACE, SET ACCESS METHOD, SET EXPRESSION; `Deed.type` says which."""
    ATTACH = "attach partition"
    DETACH = "detach partition"
    RLS_ON = "enable row level security"
    RLS_OFF = "disable row level security"
    TRIGGERS_OFF = "disable trigger"
    TRIGGERS_ON = "enable trigger"
    ALTER = "alter table"
    """Any other change of a table; `Deed.type` names the lock where it is not ACCESS EXCLUSIVE."""
    DROP = "drop"
    """Of anything but an index; `Deed.type` is ``TABLE``, ``VIEW``, ``FUNCTION`` …"""
    RENAME = "rename"
    """`Deed.type` is ``TABLE``, ``COLUMN``, ``VIEW`` …"""
    SET_SCHEMA = "set schema"
    TRUNCATE = "truncate"
    DELETE = "delete"
    UPDATE = "update"
    MERGE = "merge"
    INSERT = "insert"
    COPY = "copy"
    READ = "read"
    """A query over a table: of a SELECT, or what INSERT … SELECT and CREATE TABLE AS read."""
    TRIGGER = "create trigger"
    RULE = "create rule"
    POLICY = "create policy"
    POLICY_ALTERED = "alter or drop policy"
    VIEW = "create view"
    FUNCTION = "create function"
    GRANT = "grant"
    REFRESH = "refresh materialized view"
    VACUUM = "vacuum"
    CLUSTER = "cluster"
    ENUM_ADD = "add enum value"
    ENUM_RENAME = "rename enum value"
    DROP_DEFAULT = "drop default"
    """DROP DEFAULT, DROP EXPRESSION, DROP IDENTITY; `Deed.type` says which."""
    DROP_OWNED = "drop owned"
    RESTART = "restart sequence"
    PASSWORD = "password"  # noqa: S105 - a deed
    """A role's, in plain."""
    CREATE_TYPE = "create type"
    DOMAIN_CHECK = "add domain constraint"
    LOCK = "lock table"
    """`Deed.type` is the mode."""
    BEGIN = "begin"
    END = "commit or rollback"
    SET = "set"
    """A setting of the session: `Deed.name`, to `Deed.to`."""
    OPAQUE = "run code"
    """Code that cannot be looked into: CALL, EXECUTE of what is put together."""
    COMMENT = "comment"
    OTHER = "other"


class Deed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing that a statement does. Names are ``schema.name``, ``public`` where none is given."""

    do: Do
    on: str = ""
    """The table, or what else it is done to."""
    name: str = ""
    """The column, constraint, index, setting."""
    type: str = ""
    columns: tuple[str, ...] = ()
    to: str = ""
    """The table that a foreign key refers to; the new name."""
    marks: tuple[str, ...] = ()
    """What else matters: ``not valid``, ``concurrently``, ``if not exists`` … each word is told where it is
    read."""
    at: int = 0
    """The byte of the text that it stands at."""


class Stated(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A statement and its deeds."""

    kind: str
    """Its first words: ``ALTER TABLE``."""
    start: int
    """Bytes of the text from its first word to its end."""
    end: int
    line: int
    column: int
    """From 1; in characters."""
    deeds: tuple[Deed, ...] = ()
    alone: bool = False
    """Cannot run in a transaction."""
    known: bool = True
    """False where there is no tree: too long or too deep; what it does is told by its first words alone."""


class Remark(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A comment that allows hazards (see `suppress.py`)."""

    line: int
    column: int
    start: int
    """The byte it begins at."""
    rules: tuple[str, ...] = ()
    """Ids of rules; squawk's own where `squawk`; empty: every rule."""
    reason: str = ""
    file: bool = False
    """For the whole file."""
    squawk: bool = False
    wrong: str = ""
    """Why it is no good."""


class Read(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All that hangs on a text alone, and is remembered by its content."""

    problems: tuple[Problem, ...] = ()
    statements: tuple[Stated, ...] = ()
    remarks: tuple[Remark, ...] = ()
    large: bool = False
    """Too large to be parsed."""
    crlf: int = 0
    """The first line that ends in CRLF; 0 where none does."""
    enums_used: tuple[str, ...] = ()
    """Values that ALTER TYPE … ADD VALUE adds and a later statement of the text uses."""
    breaks: tuple[int, ...] = ()
    """The bytes at which lines end."""
    wide: tuple[int, ...] = ()
    """The bytes that go on with a character."""

    def place(self, at: int) -> tuple[int, int]:
        """Line and column, in characters, of a byte; both from 1."""
        line = bisect_right(self.breaks, at - 1)
        begin = self.breaks[line - 1] + 1 if line else 0
        more = bisect_right(self.wide, at - 1) - bisect_right(self.wide, begin - 1) if self.wide else 0
        return line + 1, at - begin - more + 1
