"""The locks that a statement takes, what is done under them, and whom that keeps waiting.

PostgreSQL 18's documentation: "Explicit Locking" (modes and conflicts), and the page of each command;
of ALTER TABLE's subcommands `AlterTableGetLockLevel`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.migrations.deeds import Deed, Do
from muva_console.ops.migrations.known import Known
from muva_console.ops.migrations.type_change import Change, change


class Mode(StrEnum):
    """Table lock modes, the weakest first."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"


_STRENGTH = {mode: number for number, mode in enumerate(Mode)}
_BLOCKS = {
    Mode.ACCESS_SHARE: "",
    Mode.ROW_SHARE: "",
    Mode.ROW_EXCLUSIVE: "index builds and schema changes",
    Mode.SHARE_UPDATE_EXCLUSIVE: "vacuum, index builds and schema changes",
    Mode.SHARE: "writes and schema changes",
    Mode.SHARE_ROW_EXCLUSIVE: "writes and schema changes",
    Mode.EXCLUSIVE: "writes, SELECT FOR UPDATE and schema changes",
    Mode.ACCESS_EXCLUSIVE: "reads, writes and schema changes",
}


class Taken(Struct, frozen=True, kw_only=True, gc=False):
    """A lock on a table that was there before."""

    mode: Mode
    on: str
    """``schema.name``; empty when it is not known which."""
    rewrites: bool = False
    """The table is written anew under it."""
    scans: bool = False
    """Every row is read under it (an index built, a constraint looked at)."""

    @property
    def blocks(self) -> str:
        """Whom it keeps waiting, in words; empty for nobody."""
        return _BLOCKS[self.mode]

    @property
    def takes_time(self) -> bool:
        """Whether it is held for as long as the table is large."""
        return self.rewrites or self.scans

    @property
    def told(self) -> str:
        """``ACCESS EXCLUSIVE on public.bookings (blocks reads, writes and schema changes; rewrites it)``."""
        more = [f"blocks {self.blocks}"] if self.blocks else []
        if self.rewrites:
            more.append("rewrites it")
        elif self.scans:
            more.append("reads all of it")
        return f"{self.mode} on {self.on or 'a table'}" + (f" ({'; '.join(more)})" if more else "")


def is_stronger(one: Mode, other: Mode) -> bool:
    """Whether the first is the stronger."""
    return _STRENGTH[one] > _STRENGTH[other]


def locks_of(deeds: Iterable[Deed], known: Known, file: int) -> tuple[Taken, ...]:
    """The locks that a statement takes on what was there before it and its file, a table once with its
    strongest. `known` as before the statement.
    """
    found: dict[str, Taken] = {}
    born = known.born
    for deed in deeds:
        do = deed.do
        if do in _NONE or (do not in _OTHERS and born.get(deed.on) == file):
            continue
        if do is Do.CONSTRAINT and "new table" in deed.marks and deed.type != "FOREIGN KEY":
            continue
        for one in taken(deed, known, file):
            if one.on and born.get(one.on) == file:
                continue
            held = found.get(one.on)
            if held is not None:
                stronger = one if is_stronger(one.mode, held.mode) else held
                one = Taken(  # noqa: PLW2901 - what both say
                    mode=stronger.mode,
                    on=one.on,
                    rewrites=one.rewrites or held.rewrites,
                    scans=one.scans or held.scans,
                )
            found[one.on] = one
    return tuple(found.values())


def taken(deed: Deed, known: Known, file: int) -> Iterator[Taken]:
    """The locks of one deed, on new tables as well."""
    exclusive, on, marks = Mode.ACCESS_EXCLUSIVE, deed.on, deed.marks
    if deed.do in _EXCLUSIVE:
        if on:
            yield Taken(mode=exclusive, on=on)
        return
    match deed.do:
        case Do.CONSTRAINT:
            yield from _of_constraint(deed, known)
        case Do.INDEX:
            if "only" not in marks:
                built = Mode.SHARE_UPDATE_EXCLUSIVE if "concurrently" in marks else Mode.SHARE
                yield Taken(mode=built, on=on, scans=True)
            else:
                yield Taken(mode=Mode.SHARE, on=on)
        case Do.DROP_INDEX | Do.REINDEX:
            table = known.index_of.get(deed.name, ("", 0))[0] or ("" if deed.name else on)
            if "concurrently" in marks:
                yield Taken(mode=Mode.SHARE_UPDATE_EXCLUSIVE, on=table, scans=deed.do is Do.REINDEX)
            elif deed.do is Do.REINDEX:
                yield Taken(mode=Mode.SHARE, on=table, scans=True)
            else:
                yield Taken(mode=exclusive, on=table)
        case Do.ADD_COLUMN:
            yield Taken(mode=exclusive, on=on, rewrites=rewrites_for_column(deed))
        case Do.SET_TYPE:
            yield Taken(mode=exclusive, on=on, rewrites=type_change_of(deed, known) is not Change.FREE)
        case Do.SET_NOT_NULL:
            yield Taken(mode=exclusive, on=on, scans=not known.is_proved(on, deed.name, file))
        case Do.REWRITE:
            yield Taken(mode=exclusive, on=on, rewrites=True)
        case Do.VALIDATE:
            yield Taken(mode=Mode.SHARE_UPDATE_EXCLUSIVE, on=on, scans=True)
        case Do.ATTACH:
            yield Taken(mode=Mode.SHARE_UPDATE_EXCLUSIVE, on=on)
            yield Taken(mode=exclusive, on=deed.to, scans=not known.table(deed.to).checked)
        case Do.DETACH:
            light = "concurrently" in marks
            yield Taken(mode=Mode.SHARE_UPDATE_EXCLUSIVE if light else exclusive, on=on)
            yield Taken(mode=exclusive, on=deed.to)
        case Do.ALTER:
            yield Taken(mode=Mode(deed.type) if deed.type else exclusive, on=on)
        case Do.CREATE_TABLE if deed.to:
            yield Taken(mode=exclusive, on=deed.to)
        case Do.DROP if deed.type in ("TABLE", "MATVIEW", "VIEW", "TRIGGER", "RULE", "FOREIGN TABLE"):
            yield Taken(mode=exclusive, on=on)
        case Do.RENAME if deed.type in (
            "TABLE",
            "COLUMN",
            "VIEW",
            "MATVIEW",
            "TABCONSTRAINT",
            "TRIGGER",
            "POLICY",
        ):
            yield Taken(mode=exclusive, on=on)
        case Do.SET_SCHEMA if deed.type in ("TABLE", "VIEW", "MATVIEW"):
            yield Taken(mode=exclusive, on=on)
        case Do.TRIGGER | Do.TRIGGERS_OFF | Do.TRIGGERS_ON:
            yield Taken(mode=Mode.SHARE_ROW_EXCLUSIVE, on=on)
        case Do.VACUUM if on:
            full = "full" in marks
            yield Taken(mode=exclusive if full else Mode.SHARE_UPDATE_EXCLUSIVE, on=on, rewrites=full)
        case Do.CLUSTER if on:
            yield Taken(mode=exclusive, on=on, rewrites=True)
        case Do.REFRESH:
            light = "concurrently" in marks
            yield Taken(mode=Mode.EXCLUSIVE if light else exclusive, on=on, rewrites=not light)
        case Do.LOCK:
            yield Taken(mode=Mode(deed.type), on=on)
        case Do.UPDATE | Do.DELETE | Do.INSERT | Do.MERGE | Do.COPY if on:
            yield Taken(mode=Mode.ROW_EXCLUSIVE, on=on)
        case Do.READ:
            yield Taken(mode=Mode.ROW_SHARE if "for update" in marks else Mode.ACCESS_SHARE, on=on)
        case Do.COMMENT if on:
            yield Taken(mode=Mode.SHARE_UPDATE_EXCLUSIVE, on=on)
        case _:
            return


_NONE = frozenset(
    [Do.COLUMN, Do.FUNCTION, Do.VIEW, Do.CREATE_TYPE, Do.GRANT, Do.SET, Do.BEGIN, Do.END, Do.OTHER, Do.OPAQUE]
)
"""What locks no table."""
_OTHERS = frozenset([Do.CREATE_TABLE, Do.CONSTRAINT, Do.ATTACH, Do.DETACH, Do.DROP_INDEX, Do.REINDEX])
"""What may lock another table than the one it is done to."""
_EXCLUSIVE = frozenset(
    [
        Do.DROP_COLUMN,
        Do.DROP_NOT_NULL,
        Do.DROP_CONSTRAINT,
        Do.DROP_DEFAULT,
        Do.RLS_ON,
        Do.RLS_OFF,
        Do.POLICY,
        Do.POLICY_ALTERED,
        Do.RULE,
        Do.TRUNCATE,
    ]
)


def _of_constraint(deed: Deed, known: Known) -> Iterator[Taken]:
    marks, exclusive = deed.marks, Mode.ACCESS_EXCLUSIVE
    if "new table" in marks:
        if deed.type == "FOREIGN KEY":
            yield Taken(mode=Mode.SHARE_ROW_EXCLUSIVE, on=deed.to)
        return
    if deed.type == "FOREIGN KEY":
        # a new column without a default holds no value to look at
        scans = "not valid" not in marks and ("new column" not in marks or "default" in marks)
        yield Taken(mode=Mode.SHARE_ROW_EXCLUSIVE, on=deed.on, scans=scans)
        yield Taken(mode=Mode.SHARE_ROW_EXCLUSIVE, on=deed.to)
    elif "using index" in marks:
        nulls = deed.type == "PRIMARY KEY" and not all(
            known.table(deed.on).columns.get(name) and known.table(deed.on).columns[name].not_null
            for name in deed.columns or ("",)
        )
        yield Taken(mode=exclusive, on=deed.on, scans=nulls)
    else:
        yield Taken(mode=exclusive, on=deed.on, scans="not valid" not in marks)


def rewrites_for_column(deed: Deed) -> bool:
    """Whether ADD COLUMN writes every row anew: a default that may differ, serial, identity, stored."""
    return not {"serial", "identity", "stored", "volatile"}.isdisjoint(deed.marks)


def type_change_of(deed: Deed, known: Known) -> Change:
    """What SET TYPE does, by what is known of the column."""
    column = known.table(deed.on).columns.get(deed.name)
    using = next((mark for mark in deed.marks if mark.startswith("using")), "")
    return change(column.type if column else "", deed.type, using=using)
