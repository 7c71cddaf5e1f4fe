"""Rules of rows, and of what is taken away or gets another name: data that is lost, code that breaks."""

from __future__ import annotations

from collections.abc import Iterator

from muva_console.ops.migrations.deeds import Deed, Do
from muva_console.ops.migrations.rules import (
    READS_AND_WRITES,
    Found,
    Rule,
    Scene,
    base,
    columns_sql,
    sql,
)
from muva_console.ops.migrations.weigh import Weight

_LATER = "Deploy the code that does without it first; drop it in a release of its own, after a backup."
_PLAIN = frozenset(["INDEX", "TABCONSTRAINT", "TRIGGER", "POLICY", "RULE", "DOMCONSTRAINT", "SEQUENCE"])
"""What code does not name."""
_MADE_BY = {
    Do.VIEW: ("VIEW", "MATVIEW"),
    Do.FUNCTION: ("FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"),
    Do.CREATE_TYPE: ("TYPE", "DOMAIN"),
    Do.CREATE_TABLE: ("VIEW", "MATVIEW", "TABLE"),
}


def _drop_column(deed: Deed, scene: Scene) -> Iterator[Found]:
    if scene.is_new(deed.on):
        return
    column = scene.known.table(deed.on).columns.get(deed.name)
    if column is not None and column.file == scene.file:
        return
    table, name = sql(deed.on), columns_sql((deed.name,))
    swapped = any(
        one.do is Do.RENAME and one.type == "COLUMN" and (one.on, one.to) == (deed.on, deed.name)
        for one in scene.later()
    )
    more = "; CASCADE takes views and keys with it" if "cascade" in deed.marks else ""
    yield Found(
        "drop-column",
        f"{name} of {table} is gone, with its values; running code that names it fails{more}",
        Weight.CARE if swapped else Weight.LOSS,
        (deed.on,),
        _LATER,
        deed.at,
    )


def _drop(deed: Deed, scene: Scene) -> Iterator[Found]:
    if scene.is_new(deed.on) or deed.type in _PLAIN or deed.type in ("CAST", "COLLATION", "STATISTIC EXT"):
        return
    again = any(deed.type in _MADE_BY.get(one.do, ()) and one.on == deed.on for one in scene.later()) or any(
        one.do is Do.RENAME and one.type == deed.type and _renamed(one) == deed.on for one in scene.later()
    )
    cascade = "cascade" in deed.marks
    name = sql(deed.on)
    if deed.type in ("TABLE", "FOREIGN TABLE"):
        more = "; CASCADE takes views and foreign keys with it" if cascade else ""
        again_told = "is made again, without its rows" if again else "is gone, with its rows"
        yield Found(
            "drop-table",
            f"{name} {again_told}; running code that uses it fails{more}",
            Weight.LOSS,
            (deed.on,),
            "Deploy the code that does without it first; rename it then (ALTER TABLE … RENAME TO …_old), and "
            "drop it in a release of its own, after a backup.",
            deed.at,
        )
    elif deed.type in ("SCHEMA", "DATABASE"):
        rule = "drop-schema" if deed.type == "SCHEMA" else "drop-database"
        # without CASCADE it fails unless the schema is empty
        sure = deed.type == "DATABASE" or cascade
        weight = Weight.CERTAIN if sure else Weight.CARE
        yield Found(
            rule, f"{deed.type.lower()} {name} is gone, with all that is in it", weight, (), _LATER, deed.at
        )
    elif cascade and deed.type in ("TYPE", "DOMAIN", "EXTENSION"):
        yield Found(
            "drop-cascade",
            f"CASCADE drops every column of type {name}, in every table, without naming it"
            if deed.type != "EXTENSION"
            else f"CASCADE drops all that needs {name}, columns too, without naming it",
            Weight.CERTAIN,
            (),
            "Name what depends on it and change that first; then DROP … without CASCADE, which fails where "
            "something was forgotten.",
            deed.at,
        )
    elif not again:
        if cascade:
            yield Found(
                "drop-cascade",
                f"CASCADE takes all that depends on {name} with it, without naming it",
                Weight.CARE,
                (),
                "Drop what depends on it by name; then DROP … without CASCADE.",
                deed.at,
            )
        yield Found(
            "drop-object",
            f"{deed.type.lower()} {name} is gone; running code that uses it fails",
            Weight.CARE,
            (),
            _LATER,
            deed.at,
        )


def _drop_constraint(deed: Deed, scene: Scene) -> Iterator[Found]:
    key = "cascade" in deed.marks or deed.name.endswith("_pkey")
    again = any(
        one.do is Do.CONSTRAINT and one.on == deed.on and one.type == "PRIMARY KEY"
        for one in (*scene.siblings(), *scene.later())
    )
    if key and not scene.is_new(deed.on) and not ("cascade" not in deed.marks and again):
        more = ", with every foreign key that refers to it" if "cascade" in deed.marks else ""
        yield Found(
            "drop-key",
            f"{deed.name} of {sql(deed.on)} is gone{more}: what it held is not held any more",
            Weight.CARE,
            (deed.on,),
            "-- the new key first (CREATE UNIQUE INDEX CONCURRENTLY), then DROP CONSTRAINT and ADD "
            "CONSTRAINT … "
            "USING INDEX in one ALTER TABLE",
            deed.at,
        )


def _drop_owned(deed: Deed, scene: Scene) -> Iterator[Found]:
    yield Found(
        "drop-owned",
        f"all that {deed.name} owns is gone, tables and their rows too",
        Weight.CERTAIN,
        (),
        f"REASSIGN OWNED BY {columns_sql((deed.name,))} TO …;  -- and REVOKE what it was granted",
        deed.at,
    )


def _restart(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.on):
        yield Found(
            "sequence-restart",
            f"{sql(deed.on)} begins anew: numbers that rows have are given again",
            Weight.CARE,
            (),
            f"SELECT setval('{sql(deed.on)}', (SELECT max(id) FROM …));",  # noqa: S608 - told, never run
            deed.at,
        )


def _merge(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "deletes" in deed.marks and not scene.is_new(deed.on):
        yield Found(
            "delete-all",
            f"MERGE deletes every row of {sql(deed.on)} that it finds in the other table",
            Weight.CARE,
            (deed.on,),
            "Look at how many it finds first (SELECT count(*) with the same join); a backup first.",
            deed.at,
            "writes of the same rows",
        )


def _renamed(deed: Deed) -> str:
    return f"{deed.on.rpartition('.')[0]}.{deed.to}"


def _rename(deed: Deed, scene: Scene) -> Iterator[Found]:
    if deed.type in _PLAIN or scene.is_new(deed.on):
        return
    old = base(deed.on)
    column = columns_sql((deed.name,))
    safe = "Old code and new code run side by side while a release goes out: "
    if deed.type == "COLUMN":
        of = scene.known.table(deed.on).columns.get(deed.name)
        if of is not None and of.file == scene.file:
            return
        if any(
            one.do is Do.DROP_COLUMN and (one.on, one.name) == (deed.on, deed.to)
            for one in (*scene.earlier(), *scene.siblings())
        ) or any(_is_column_rename(one, deed.on, deed.to) for one in scene.earlier()):
            return  # it takes the place of one that went just before: code goes on finding the name
        yield Found(
            "rename-column",
            f"{column} of {sql(deed.on)} becomes {columns_sql((deed.to,))}; running code that names the "
            "old one "
            "fails",
            Weight.BREAKS,
            (deed.on,),
            safe
            + "add the new column, write both, fill it in batches, read the new one, drop the old one in a "
            "later release.",
            deed.at,
        )
        return
    # a view (or another table) of the old name in the same file keeps running code going
    for one in scene.later():
        takes = one.do in (Do.VIEW, Do.CREATE_TABLE) and one.on == deed.on
        if takes or (one.do is Do.RENAME and one.type != "COLUMN" and _renamed(one) == deed.on):
            return
    # and so does one that takes the name of what went away just before
    for one in scene.earlier():
        left = one.do in (Do.RENAME, Do.DROP, Do.SET_SCHEMA) and one.type == deed.type
        if left and one.on == _renamed(deed):
            return
    if deed.type in ("TABLE", "VIEW", "MATVIEW", "FOREIGN_TABLE"):
        yield Found(
            "rename-table",
            f"{sql(deed.on)} becomes {columns_sql((deed.to,))}; running code that names the old one fails",
            Weight.BREAKS,
            (deed.on,),
            f"ALTER TABLE {sql(deed.on)} RENAME TO {columns_sql((deed.to,))};\n"  # noqa: S608 - told, never run
            f"CREATE VIEW {columns_sql((old,))} WITH (security_invoker = true) AS SELECT * FROM "
            f"{columns_sql((deed.to,))};  -- in the same file; dropped when no code uses it",
            deed.at,
        )
    else:
        yield Found(
            "rename-object",
            f"{deed.type.lower()} {sql(deed.on)} gets another name; running code that uses the old one fails",
            Weight.CARE,
            (),
            safe + "make the new one beside it, and drop the old one in a later release.",
            deed.at,
        )


def _is_column_rename(deed: Deed, on: str, name: str) -> bool:
    return deed.do is Do.RENAME and deed.type == "COLUMN" and (deed.on, deed.name) == (on, name)


def _enum_rename(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.on):
        yield Found(
            "rename-enum-value",
            f"'{deed.name}' of {sql(deed.on)} becomes '{deed.to}'; running code that writes or compares it "
            "fails",
            Weight.BREAKS,
            (),
            f"ALTER TYPE {sql(deed.on)} ADD VALUE '{deed.to}';  -- then the code writes it; then rows are "
            "moved in "
            "batches",
            deed.at,
        )


def _set_schema(deed: Deed, scene: Scene) -> Iterator[Found]:
    if scene.is_new(deed.on) or deed.type in ("EXTENSION",):
        return
    yield Found(
        "set-schema",
        f"{sql(deed.on)} moves to the schema {deed.to}; running code that looks in the old one fails",
        Weight.BREAKS if deed.type in ("TABLE", "VIEW", "MATVIEW") else Weight.CARE,
        (deed.on,) if deed.type == "TABLE" else (),
        "A view of the old name in the old schema, in the same file; dropped when no code uses it.",
        deed.at,
    )


def _truncate(deed: Deed, scene: Scene) -> Iterator[Found]:
    if scene.is_new(deed.on):
        return
    more = ", and of every table that refers to it (CASCADE)" if "cascade" in deed.marks else ""
    yield Found(
        "truncate",
        f"every row of {sql(deed.on)}{more} is gone",
        Weight.LOSS,
        (deed.on,),
        "A backup first; DELETE … WHERE in batches of what is not needed.",
        deed.at,
        READS_AND_WRITES,
    )


def _delete(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "all" in deed.marks and not scene.is_new(deed.on):
        yield Found(
            "delete-all",
            f"DELETE without a condition: every row of {sql(deed.on)} is gone",
            Weight.LOSS,
            (deed.on,),
            f"DELETE FROM {sql(deed.on)} WHERE …;  -- in batches where it is many; a backup first",  # noqa: S608 - told, never run
            deed.at,
            "writes of the same rows",
        )


def _update(deed: Deed, scene: Scene) -> Iterator[Found]:
    if scene.is_new(deed.on):
        return
    known = scene.known.table(deed.on).columns
    fresh = all(one in known and known[one].file >= 0 for one in deed.columns)
    table = sql(deed.on)
    batches = (
        f"-- in a file of its own, or a job, in batches of some thousands, each its own transaction:\n"  # noqa: S608 - told, never run
        f"UPDATE {table} SET … WHERE id IN (SELECT id FROM {table} WHERE … LIMIT 5000);"
    )
    if "all" in deed.marks:
        what = (
            f"every row of {table} is written in one transaction, and stays locked until its end"
            if fresh
            else f"UPDATE without a condition: every row of {table} gets another value, and the old ones "
            "are gone"
        )
        weight = Weight.MOMENT if fresh else Weight.TIME
        yield Found("update-all", what, weight, (deed.on,), batches, deed.at, "writes of the same rows")
    elif "nulls" in deed.marks:
        yield Found(
            "backfill-at-once",
            f"{table} is filled in one transaction; every row it writes stays locked until the end",
            Weight.WORK,
            (deed.on,),
            batches,
            deed.at,
            "writes of the same rows",
        )


RULES_OF: dict[Do, Rule] = {
    Do.DROP_COLUMN: _drop_column,
    Do.DROP: _drop,
    Do.RENAME: _rename,
    Do.ENUM_RENAME: _enum_rename,
    Do.SET_SCHEMA: _set_schema,
    Do.TRUNCATE: _truncate,
    Do.DELETE: _delete,
    Do.UPDATE: _update,
    Do.DROP_CONSTRAINT: _drop_constraint,
    Do.DROP_OWNED: _drop_owned,
    Do.RESTART: _restart,
    Do.MERGE: _merge,
}
