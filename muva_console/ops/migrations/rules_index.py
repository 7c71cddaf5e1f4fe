"""Rules of indexes, partitions, triggers, domains and upkeep: what is built, or waits for everybody."""

from __future__ import annotations

from collections.abc import Iterator

from muva_console.ops.migrations.deeds import Deed, Do
from muva_console.ops.migrations.rules import READS_AND_WRITES, WRITES, Found, Rule, Scene, columns_sql, sql
from muva_console.ops.migrations.weigh import Weight


def _index(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "concurrently" in deed.marks or "only" in deed.marks or scene.is_new(deed.on):
        return
    table, columns = sql(deed.on), columns_sql(deed.columns)
    name = columns_sql((deed.name,)) if deed.name else ""
    unique = "UNIQUE " if "unique" in deed.marks else ""
    if scene.known.table(deed.on).partitioned:
        safe = (
            f"CREATE {unique}INDEX {name} ON ONLY {table} ({columns});\n"
            f"-- then CONCURRENTLY on each partition, and ALTER INDEX {name} ATTACH PARTITION …"
        )
    else:
        safe = f"CREATE {unique}INDEX CONCURRENTLY {name} ON {table} ({columns});  -- alone in its file"
    yield Found(
        "index-blocks-writes",
        f"building {name or 'the index'} reads all of {table}",
        Weight.TIME,
        (deed.on,),
        safe,
        deed.at,
        WRITES,
    )


def _drop_index(deed: Deed, scene: Scene) -> Iterator[Found]:
    table, file = scene.known.index_of.get(deed.name, ("", -2))
    if "concurrently" in deed.marks or file == scene.file or (table and scene.is_new(table)):
        return
    yield Found(
        "drop-index",
        f"dropping {sql(deed.name)} waits for every query on {sql(table) if table else 'its table'}, and all "
        "others wait behind it",
        Weight.MOMENT,
        (table,),
        f"DROP INDEX CONCURRENTLY {sql(deed.name)};  -- alone in its file",
        deed.at,
        READS_AND_WRITES,
    )


def _reindex(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "concurrently" in deed.marks:
        return
    table = scene.known.index_of.get(deed.name, ("", 0))[0] if deed.name else deed.on
    if table and scene.is_new(table):
        return
    yield Found(
        "reindex",
        f"REINDEX reads all of {sql(table) if table else 'its tables'}",
        Weight.TIME,
        (table,),
        f"REINDEX {deed.type} CONCURRENTLY {sql(deed.name or deed.on) or '…'};  -- alone in its file",
        deed.at,
        "writes, and reads by the index",
    )


def _refresh(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "concurrently" in deed.marks or scene.is_new(deed.on):
        return
    empties = "no data" in deed.marks
    yield Found(
        "refresh-view",
        f"{sql(deed.on)} cannot be read "
        f"{'until it is refreshed again' if empties else 'while it is made anew'}",
        Weight.BREAKS if empties else Weight.TIME,
        (deed.on,),
        f"REFRESH MATERIALIZED VIEW CONCURRENTLY {sql(deed.on)};  -- wants a unique index over all rows",
        deed.at,
        "reads",
    )


def _vacuum(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "full" in deed.marks:
        yield Found(
            "vacuum-full",
            f"{sql(deed.on) or 'every table'} is written anew",
            Weight.TIME,
            (deed.on,),
            "VACUUM (ANALYZE) …;  -- frees the space for new rows; pg_repack or a new table gives it back",
            deed.at,
            READS_AND_WRITES,
        )


def _cluster(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.on):
        yield Found(
            "cluster",
            f"{sql(deed.on) or 'every table'} is written anew",
            Weight.TIME,
            (deed.on,),
            "-- pg_repack, or a new table in the wished order, filled in batches and renamed",
            deed.at,
            READS_AND_WRITES,
        )


def _attach(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.to) and not scene.known.table(deed.to).checked:
        part = sql(deed.to)
        yield Found(
            "attach-partition",
            f"ATTACH looks at every row of {part}, unless a CHECK proves that they fit",
            Weight.MOMENT,
            (deed.to,),
            f"ALTER TABLE {part} ADD CONSTRAINT … CHECK (the partition's bounds) NOT VALID;\n"
            "-- in the next file: VALIDATE CONSTRAINT; in the one after: ATTACH PARTITION, DROP CONSTRAINT",
            deed.at,
            f"{READS_AND_WRITES} of {part}",
        )


def _detach(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "concurrently" not in deed.marks and not scene.is_new(deed.on):
        yield Found(
            "detach-partition",
            f"DETACH waits for every query on {sql(deed.on)}, and all others wait behind it",
            Weight.MOMENT,
            (deed.on,),
            f"ALTER TABLE {sql(deed.on)} DETACH PARTITION {sql(deed.to)} CONCURRENTLY;  -- alone in its file",
            deed.at,
            READS_AND_WRITES,
        )


def _create_table(deed: Deed, scene: Scene) -> Iterator[Found]:
    if deed.to and not scene.is_new(deed.to):
        yield Found(
            "partition-of",
            f"PARTITION OF locks all of {sql(deed.to)}",
            Weight.MOMENT,
            (deed.to,),
            f"CREATE TABLE {sql(deed.on)} (LIKE {sql(deed.to)} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);\n"
            f"ALTER TABLE {sql(deed.to)} ATTACH PARTITION {sql(deed.on)} FOR VALUES …;",
            deed.at,
            READS_AND_WRITES,
        )


def _domain(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.on):
        yield Found(
            "domain-constraint",
            f"the {deed.type} looks at every column of type {sql(deed.on)}, in every table",
            Weight.TIME,
            ("",),
            f"ALTER DOMAIN {sql(deed.on)} ADD CONSTRAINT … CHECK (…) NOT VALID;\n"
            "-- in a later file: ALTER DOMAIN … VALIDATE CONSTRAINT …;",
            deed.at,
            READS_AND_WRITES,
        )


def _trigger(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.on):
        yield Found(
            "trigger-lock",
            f"the trigger waits for every writer of {sql(deed.on)}, and runs for each write from then on",
            Weight.MOMENT,
            (deed.on,),
            "-- in a file of its own, with a short lock_timeout; its function light",
            deed.at,
            WRITES,
        )


RULES_OF: dict[Do, Rule] = {
    Do.INDEX: _index,
    Do.DROP_INDEX: _drop_index,
    Do.REINDEX: _reindex,
    Do.REFRESH: _refresh,
    Do.VACUUM: _vacuum,
    Do.CLUSTER: _cluster,
    Do.ATTACH: _attach,
    Do.DETACH: _detach,
    Do.CREATE_TABLE: _create_table,
    Do.DOMAIN_CHECK: _domain,
    Do.TRIGGER: _trigger,
}
