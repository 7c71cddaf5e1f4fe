"""A text to its statements and their deeds, through PostgreSQL's own parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from msgspec import structs

from muva_console.ops.migrations.bodies import sql_in
from muva_console.ops.migrations.deeds import Deed, Do, Stated
from muva_console.ops.migrations.deeds_alter import alter_table, constraint, new_column
from muva_console.ops.migrations.deeds_other import ALONE_TYPES, MORE
from muva_console.ops.migrations.expressions import (
    Node,
    dotted,
    is_temporary,
    is_true,
    relation,
    tables_read,
    text_of,
    walk,
)
from muva_console.ops.migrations.statements import WITH_OBJECT, lead
from muva_console.ops.migrations.trees import Places, Raw, parse_tree, read_trees

_FIRST = re.compile(rb"[A-Za-z_]+(?:\s+[A-Za-z_]+)?")
_MAY_BE_ALONE = frozenset(
    ["IndexStmt", "DropStmt", "ReindexStmt", "AlterTableStmt", "VacuumStmt", "ClusterStmt", *ALONE_TYPES]
)


def read_statements(data: bytes, places: Places | None = None) -> tuple[Stated, ...]:
    """Every statement of a text. Raises postgast.PgQueryError where it does not parse."""
    places = places or Places(data)
    found = []
    for raw in read_trees(data):
        line, column = places(raw.start)
        deeds = tuple(deeds_of(raw)) if raw.kind else tuple(_guess(data, raw))
        found.append(
            Stated(
                kind=_kind(data, raw.start),
                start=raw.start,
                end=raw.end,
                line=line,
                column=column,
                deeds=deeds,
                alone=raw.kind in _MAY_BE_ALONE and _is_alone(raw, deeds),
                known=bool(raw.kind),
            )
        )
    return tuple(found)


def _kind(data: bytes, start: int) -> str:
    """The first words of a statement in capitals, one or two."""
    words = _FIRST.match(data, start)
    if words is None:
        return lead(data[start : start + 200].decode("utf-8", "replace"))
    return _spelt(words[0])


@lru_cache(maxsize=1024)
def _spelt(words: bytes) -> str:
    first, *second = words.decode().upper().split()
    return f"{first} {second[0]}" if second and first in WITH_OBJECT else first


def deeds_of(raw: Raw) -> Iterable[Deed]:
    """What a statement does."""
    reader = _READERS.get(raw.kind) or MORE.get(raw.kind)
    if reader is not None:
        return reader(raw.body, raw.shift)
    return (Deed(do=Do.OTHER, type=raw.kind),)


def _guess(data: bytes, raw: Raw) -> Iterator[Deed]:
    """Of a statement without a tree: what its first words say."""
    words = data[raw.start : raw.start + 400].decode("utf-8", "replace")
    first = lead(words).split(" ")[0]
    if first == "INSERT":
        target = re.match(r'(?is)insert\s+into\s+([\w."]+)', words)
        name = target[1].replace('"', "") if target else ""
        yield Deed(do=Do.INSERT, on=name if "." in name or not name else f"public.{name}")
    else:
        yield Deed(do=Do.OPAQUE, type=first)


def _is_alone(raw: Raw, deeds: tuple[Deed, ...]) -> bool:
    if raw.kind in ALONE_TYPES:
        return True
    for deed in deeds:
        if deed.do in (Do.ADD_COLUMN, Do.CONSTRAINT):
            continue
        if deed.do in (Do.INDEX, Do.DROP_INDEX, Do.REINDEX, Do.DETACH) and "concurrently" in deed.marks:
            return True
        if deed.do is Do.VACUUM and "analyze alone" not in deed.marks:
            return True
        # of a whole database or schema
        if deed.do in (Do.CLUSTER, Do.REINDEX) and not deed.on:
            return True
    return False


# --- tables and indexes


def _create_table(body: Node, shift: int) -> list[Deed]:
    """Marks: ``if not exists``, ``temporary``, ``partition`` (of `to`), ``partitioned``."""
    table = relation(body.get("relation"))
    marks = []
    if body.get("if_not_exists"):
        marks.append("if not exists")
    if is_temporary(body.get("relation")):
        marks.append("temporary")
    parent = ""
    if "partbound" in body:
        marks.append("partition")
        parent = relation(body["inhRelations"][0]["RangeVar"]) if body.get("inhRelations") else ""
    if "partspec" in body:
        marks.append("partitioned")
    found = [Deed(do=Do.CREATE_TABLE, on=table, to=parent, marks=tuple(marks))]
    for node in body.get("tableElts", ()):
        if "ColumnDef" in node:
            found += new_column(node["ColumnDef"], table, shift)
        elif "Constraint" in node:
            found += constraint(node["Constraint"], table, shift, ("new table",))
    return found


def _create_table_as(body: Node, shift: int) -> Iterator[Deed]:
    into = body.get("into", {})
    table = relation(into.get("rel"))
    marks = ["as"]
    if body.get("if_not_exists"):
        marks.append("if not exists")
    if is_temporary(into.get("rel")):
        marks.append("temporary")
    if body.get("objtype") == "OBJECT_MATVIEW":
        marks.append("materialized view")
    yield Deed(do=Do.CREATE_TABLE, on=table, marks=tuple(marks))
    if not into.get("skipData"):
        for read in tables_read(body.get("query")):
            yield Deed(do=Do.READ, on=read)


def _index(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``concurrently``, ``if not exists``, ``unique``, ``partial``, ``only`` (a partitioned
    table's own entry, which builds nothing).
    """
    marks = [
        mark
        for mark, key in (
            ("concurrently", "concurrent"),
            ("if not exists", "if_not_exists"),
            ("unique", "unique"),
            ("partial", "whereClause"),
        )
        if body.get(key)
    ]
    var = body.get("relation", {})
    if not var.get("inh"):
        marks.append("only")
    columns = tuple(one["IndexElem"].get("name", "") for one in body.get("indexParams", ()))
    table = relation(var)
    yield Deed(do=Do.INDEX, on=table, name=body.get("idxname", ""), columns=columns, marks=tuple(marks))


# --- rows


def _truncate(body: Node, shift: int) -> Iterator[Deed]:
    marks = ("cascade",) if body.get("behavior") == "DROP_CASCADE" else ()
    for node in body.get("relations", ()):
        var = node["RangeVar"]
        yield Deed(do=Do.TRUNCATE, on=relation(var), marks=marks, at=var.get("location", 0) + shift)


def _condition(body: Node) -> tuple[str, ...]:
    """``all``: without a WHERE, or with one that every row meets; ``nulls``: WHERE … IS NULL, the usual
    backfill, which is every row the first time.
    """
    where = body.get("whereClause")
    if where is None or is_true(where):
        return ("all",)
    if any("limitCount" in part for _, part in walk(where)):
        return ()  # in batches
    if any(
        name == "NullTest" and part.get("nulltesttype", "IS_NULL") == "IS_NULL" for name, part in walk(where)
    ):
        return ("nulls",)
    return ()


def _delete(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.DELETE, on=relation(body.get("relation")), marks=_condition(body))
    yield from _with(body)


def _update(body: Node, shift: int) -> Iterator[Deed]:
    """Columns: those that are set."""
    columns = tuple(one["ResTarget"].get("name", "") for one in body.get("targetList", ()))
    marks = _condition(body)
    # UPDATE … FROM touches what the join finds, mostly all
    if "all" in marks and body.get("fromClause"):
        marks = ("nulls",)
    yield Deed(do=Do.UPDATE, on=relation(body.get("relation")), columns=columns, marks=marks)
    yield from _with(body)


def _insert(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``query`` when rows come from one."""
    query = body.get("selectStmt", {}).get("SelectStmt", {})
    rows = "valuesLists" in query or not query
    reads = () if rows else tables_read(query)
    yield Deed(do=Do.INSERT, on=relation(body.get("relation")), marks=("query",) if reads else ())
    for table in reads:
        yield Deed(do=Do.READ, on=table)
    yield from _with(body)


def _with(body: Node) -> Iterator[Deed]:
    """What WITH … changes before the statement itself."""
    for node in body.get("withClause", {}).get("ctes", ()):
        for kind, inner in node["CommonTableExpr"].get("ctequery", {}).items():
            if kind in ("DeleteStmt", "UpdateStmt", "InsertStmt"):
                yield from _READERS[kind](inner, 0)


def _select(body: Node, shift: int) -> Iterator[Deed]:
    yield from _with(body)
    if body.get("intoClause"):
        yield Deed(do=Do.CREATE_TABLE, on=relation(body["intoClause"].get("rel")), marks=("as",))
    marks = ("for update",) if body.get("lockingClause") else ()
    if "whereClause" not in body and "limitCount" not in body:
        marks = (*marks, "all")
    reads = tables_read(body)
    for table in reads:
        yield Deed(do=Do.READ, on=table, marks=marks)
    for name, part in walk(body):
        if name == "FuncCall":
            called = text_of(part.get("funcname", ()))
            if called[-1:] == ["set_config"]:
                words = [
                    one.get("A_Const", {}).get("sval", {}).get("sval", "") for one in part.get("args", ())
                ]
                yield Deed(do=Do.SET, name=(words[0] if words else "").lower(), to="".join(words[1:2]))
            elif not reads and called[:1] != ["pg_catalog"]:
                yield Deed(do=Do.OTHER, type="SELECT", name=".".join(called))


def _merge(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``deletes``."""
    kinds = {node.get("MergeWhenClause", {}).get("commandType") for node in body.get("mergeWhenClauses", ())}
    marks = ("deletes",) if "CMD_DELETE" in kinds else ()
    yield Deed(do=Do.MERGE, on=relation(body.get("relation")), marks=marks)
    for table in tables_read(body.get("sourceRelation")):
        yield Deed(do=Do.READ, on=table)


def _copy(body: Node, shift: int) -> Iterator[Deed]:
    table = relation(body.get("relation"))
    if body.get("is_from"):
        yield Deed(do=Do.COPY, on=table)
    elif table:
        yield Deed(do=Do.READ, on=table)


def _dotted_view(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.VIEW, on=relation(body.get("view")), marks=("replace",) if body.get("replace") else ())


def _comment(body: Node, shift: int) -> Iterator[Deed]:
    item = body.get("object", {})
    words = item.get("List", {}).get("items", ())
    if body.get("objtype") == "OBJECT_COLUMN":
        words = list(words)[:-1]
    of_table = body.get("objtype") in ("OBJECT_TABLE", "OBJECT_COLUMN")
    yield Deed(do=Do.COMMENT, on=dotted(words) if of_table and words else "")


def _do(body: Node, shift: int) -> Iterator[Deed]:
    """What the SQL in a block does, as far as it can be told; its places are the block's."""
    from postgast import PgQueryError

    words = {}
    for node in body.get("args", ()):
        option = node["DefElem"]
        words[option.get("defname")] = option.get("arg", {}).get("String", {}).get("sval", "")
    parts = sql_in(words.get("as", "")) if words.get("language", "plpgsql").lower() == "plpgsql" else None
    if parts is None:
        yield Deed(do=Do.OPAQUE, type="DO")
        return
    for part in parts:
        if part.dynamic:
            yield Deed(do=Do.OPAQUE, type="EXECUTE")
            continue
        try:
            statements = parse_tree(part.sql.encode()) or []
        except PgQueryError:
            yield Deed(do=Do.OPAQUE, type="DO")
            continue
        for one in statements:
            kind, inner = next(iter(one.get("stmt", {"": {}}).items()))
            for deed in deeds_of(Raw(0, 0, kind, inner)):
                yield structs.replace(deed, at=0)


Reader = Callable[[dict[str, Any], int], Iterable[Deed]]

_READERS: dict[str, Reader] = {
    "AlterTableStmt": alter_table,
    "CreateStmt": _create_table,
    "CreateTableAsStmt": _create_table_as,
    "IndexStmt": _index,
    "TruncateStmt": _truncate,
    "DeleteStmt": _delete,
    "UpdateStmt": _update,
    "InsertStmt": _insert,
    "SelectStmt": _select,
    "MergeStmt": _merge,
    "CopyStmt": _copy,
    "ViewStmt": _dotted_view,
    "CommentStmt": _comment,
    "DoStmt": _do,
}
