"""What is known of a database's tables as files go by, from the files
alone: what was made when, columns and their types, which constraints prove what, which indexes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from muva_console.ops.migrations.deeds import Deed, Do, Stated

BEFORE = -1
"""The number of a file that is applied already."""


@dataclass(slots=True)
class Column:
    """A column."""

    type: str = ""
    not_null: bool = False
    file: int = BEFORE
    """In which file it was made."""


@dataclass(slots=True)
class Table:
    """A table, as far as is known."""

    columns: dict[str, Column] = field(default_factory=dict)
    checks: dict[str, tuple[tuple[str, ...], bool]] = field(default_factory=dict)
    """By a CHECK's name the columns it holds to be not null, and whether it was validated."""
    indexes: list[tuple[str, ...]] = field(default_factory=list)
    """The columns of indexes and keys over all rows."""
    unvalidated: dict[str, int] = field(default_factory=dict)
    """Constraints added NOT VALID, and in which file."""
    foreign: list[tuple[tuple[str, ...], str, int, int, int]] = field(default_factory=list)
    """Foreign keys: columns, to which table, in which file, at which statement and byte."""
    rls: bool = False
    policies: bool = False
    partitioned: bool = False
    temporary: bool = False
    checked: bool = False
    """Has a validated CHECK of any kind."""
    validated_unknown: int = -2
    """The file that validated a constraint whose beginning is not known."""


class Known:
    """Tables by ``schema.name``."""

    def __init__(self, there: Collection[str] = ()) -> None:
        """`there`: the tables that the database has already."""
        self.there = there
        self.tables: dict[str, Table] = {}
        self.born: dict[str, int] = {}
        """In which file a table, view, type or function was made."""
        self.index_of: dict[str, tuple[str, int]] = {}
        """The table of an index, and the file that made it."""
        self.index_columns: dict[str, tuple[str, ...]] = {}
        self.checked_types: set[str] = set()
        """Domains with a constraint."""
        self.uses_rls = False
        self._guarded: bool | None = None

    def table(self, name: str) -> Table:
        """What is known of a table; an empty one where nothing is."""
        found = self.tables.get(name)
        if found is None:
            found = self.tables[name] = Table()
        return found

    def is_new(self, name: str, file: int) -> bool:
        """Whether something was made by this very file, so that nobody else knows it."""
        return self.born.get(name) == file

    def mostly_guarded(self) -> bool:
        """Whether half of the tables in public that these files make have row level security, at least: a
        database that is read through a public key. For the end: it is looked at once.
        """
        if self._guarded is None:
            self._guarded = self.uses_rls and self._are_guarded()
        return self._guarded

    def _are_guarded(self) -> bool:
        made = [
            one
            for name, one in self.tables.items()
            if name.startswith("public.") and name in self.born and not one.temporary and one.columns
        ]
        guarded = sum(one.rls for one in self.tables.values())
        return 2 * guarded >= len(made)

    def is_proved(self, table: str, column: str, file: int) -> bool:
        """Whether SET NOT NULL finds a validated CHECK that spares it the scan."""
        of = self.tables.get(table)
        if of is None:
            return False
        found = of.columns.get(column)
        if found is not None and found.not_null:
            return True
        return of.validated_unknown == file or any(
            valid and column in columns for columns, valid in of.checks.values()
        )

    def has_index(self, table: str, columns: tuple[str, ...]) -> bool:
        """Whether an index over all rows begins with these columns, in any order."""
        of = self.tables.get(table)
        wanted = set(columns)
        return of is not None and any(set(one[: len(wanted)]) == wanted for one in of.indexes)

    def take_all(self, deeds: Iterable[Deed], file: int, number: int, stated: Stated) -> None:
        """Learn what deeds do, done by statement `number` of file `file`."""
        for deed in deeds:
            learn = _LEARN.get(deed.do)
            if learn is not None:
                learn(self, deed, file)
            elif deed.do is Do.CONSTRAINT:
                self._constrain(deed, file, number, stated)

    def _column(self, deed: Deed, file: int) -> None:
        self.table(deed.on).columns[deed.name] = Column(deed.type, "not null" in deed.marks, file)

    def _index(self, deed: Deed, file: int) -> None:
        if "partial" not in deed.marks:
            self.table(deed.on).indexes.append(deed.columns)
        if deed.name:
            name = f"{deed.on.rpartition('.')[0]}.{deed.name}"
            self.index_of[name] = (deed.on, file)
            self.index_columns[name] = deed.columns

    def _drop_column(self, deed: Deed, file: int) -> None:
        self.table(deed.on).columns.pop(deed.name, None)

    def _type(self, deed: Deed, file: int) -> None:
        self.table(deed.on).columns.setdefault(deed.name, Column()).type = deed.type

    def _nullable(self, deed: Deed, file: int) -> None:
        column = self.table(deed.on).columns.setdefault(deed.name, Column())
        column.not_null = deed.do is Do.SET_NOT_NULL

    def _drop_constraint(self, deed: Deed, file: int) -> None:
        self.table(deed.on).checks.pop(deed.name, None)

    def _rls(self, deed: Deed, file: int) -> None:
        self.table(deed.on).rls = deed.do is Do.RLS_ON
        self.uses_rls = True

    def _policy(self, deed: Deed, file: int) -> None:
        self.table(deed.on).policies = True
        self.uses_rls = True

    def _made(self, deed: Deed, file: int) -> None:
        if "checked" in deed.marks or deed.do is Do.DOMAIN_CHECK:
            self.checked_types.add(deed.on)
        if deed.do is not Do.DOMAIN_CHECK:
            self.born.setdefault(deed.on, file)

    def _drop(self, deed: Deed, file: int) -> None:
        if deed.type == "TABLE":
            self.tables.pop(deed.on, None)
            self.born.pop(deed.on, None)

    def _create(self, deed: Deed, file: int) -> None:
        # what may be there already keeps what is known of it
        if "if not exists" in deed.marks and (deed.on in self.born or deed.on in self.there):
            return
        self.born[deed.on] = file
        made = self.tables[deed.on] = Table()
        made.partitioned = "partitioned" in deed.marks
        made.temporary = "temporary" in deed.marks

    def _constrain(self, deed: Deed, file: int, number: int, stated: Stated) -> None:
        of = self.table(deed.on)
        valid = "not valid" not in deed.marks
        if not valid and deed.name:
            of.unvalidated[deed.name] = file
        match deed.type:
            case "CHECK":
                of.checks[deed.name or f"unnamed {len(of.checks)}"] = (deed.columns, valid)
                of.checked = of.checked or valid
            case "NOT NULL":
                if valid:
                    for name in deed.columns:
                        of.columns.setdefault(name, Column()).not_null = True
                else:
                    of.checks[deed.name or f"unnamed {len(of.checks)}"] = (deed.columns, False)
            case "FOREIGN KEY":
                of.foreign.append((deed.columns, deed.to, file, number, deed.at or stated.start))
            case "UNIQUE" | "PRIMARY KEY":
                of.indexes.append(deed.columns)
                if deed.type == "PRIMARY KEY":
                    for name in deed.columns:
                        of.columns.setdefault(name, Column()).not_null = True

    def _validate(self, deed: Deed, file: int) -> None:
        of = self.table(deed.on)
        if deed.name in of.checks:
            of.checks[deed.name] = (of.checks[deed.name][0], True)
            of.checked = True
        elif deed.name not in of.unvalidated:
            of.validated_unknown = file

    def _rename(self, deed: Deed, file: int) -> None:
        schema, _, name = deed.on.rpartition(".")
        if deed.type == "COLUMN" and deed.do is Do.RENAME:
            of = self.table(deed.on)
            if deed.name in of.columns:
                of.columns[deed.to] = of.columns.pop(deed.name)
            of.indexes = [
                tuple(deed.to if one == deed.name else one for one in columns) for columns in of.indexes
            ]
            return
        now = f"{schema}.{deed.to}" if deed.do is Do.RENAME else f"{deed.to}.{name}"
        for known in (self.tables, self.born, self.index_of):
            if deed.on in known:
                known[now] = known.pop(deed.on)  # type: ignore[assignment]


_LEARN: dict[Do, Callable[[Known, Deed, int], None]] = {
    Do.CREATE_TABLE: Known._create,
    Do.COLUMN: Known._column,
    Do.ADD_COLUMN: Known._column,
    Do.INDEX: Known._index,
    Do.DROP_COLUMN: Known._drop_column,
    Do.SET_TYPE: Known._type,
    Do.SET_NOT_NULL: Known._nullable,
    Do.DROP_NOT_NULL: Known._nullable,
    Do.VALIDATE: Known._validate,
    Do.DROP_CONSTRAINT: Known._drop_constraint,
    Do.RLS_ON: Known._rls,
    Do.RLS_OFF: Known._rls,
    Do.POLICY: Known._policy,
    Do.DOMAIN_CHECK: Known._made,
    Do.VIEW: Known._made,
    Do.FUNCTION: Known._made,
    Do.CREATE_TYPE: Known._made,
    Do.RENAME: Known._rename,
    Do.SET_SCHEMA: Known._rename,
    Do.DROP: Known._drop,
}
