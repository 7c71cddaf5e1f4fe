"""The deeds of ALTER TABLE, and the constraints of tables old and new.

Which subcommand takes which lock: `AlterTableGetLockLevel` of PostgreSQL 18, and ALTER TABLE's page.
"""

from __future__ import annotations

from collections.abc import Iterator

from muva_console.ops.migrations.deeds import Deed, Do
from muva_console.ops.migrations.expressions import (
    SERIAL,
    Node,
    is_stable,
    not_null_columns,
    relation,
    text_of,
    type_name,
)

SHARE_UPDATE = "SHARE UPDATE EXCLUSIVE"

_LIGHT = {
    "AT_SetStatistics": SHARE_UPDATE,
    "AT_SetOptions": SHARE_UPDATE,
    "AT_ResetOptions": SHARE_UPDATE,
    "AT_ClusterOn": SHARE_UPDATE,
    "AT_DropCluster": SHARE_UPDATE,
    "AT_SetRelOptions": SHARE_UPDATE,
    "AT_ResetRelOptions": SHARE_UPDATE,
    "AT_DetachPartitionFinalize": SHARE_UPDATE,
}
_REWRITES = {
    "AT_SetLogged": "SET LOGGED",
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_SetExpression": "SET EXPRESSION",
}
_FILLS = {
    "AT_ColumnDefault": "DROP DEFAULT",
    "AT_DropExpression": "DROP EXPRESSION",
    "AT_DropIdentity": "DROP IDENTITY",
}
_PLAIN = {
    "AT_DropColumn": Do.DROP_COLUMN,
    "AT_SetNotNull": Do.SET_NOT_NULL,
    "AT_DropNotNull": Do.DROP_NOT_NULL,
    "AT_ValidateConstraint": Do.VALIDATE,
    "AT_DropConstraint": Do.DROP_CONSTRAINT,
    "AT_EnableRowSecurity": Do.RLS_ON,
    "AT_ForceRowSecurity": Do.RLS_ON,
    "AT_DisableRowSecurity": Do.RLS_OFF,
    "AT_NoForceRowSecurity": Do.ALTER,
}
_CONSTRAINTS = {
    "CONSTR_FOREIGN": "FOREIGN KEY",
    "CONSTR_CHECK": "CHECK",
    "CONSTR_UNIQUE": "UNIQUE",
    "CONSTR_PRIMARY": "PRIMARY KEY",
    "CONSTR_EXCLUSION": "EXCLUDE",
    "CONSTR_NOTNULL": "NOT NULL",
}
# Of DROP_COLUMN and others: "cascade". Of constraints: "not valid", "using index", "new table", "new column"
# (with a column that an existing table gets), "default" (that column has one).
Where = tuple[str, ...]


def alter_table(body: Node, shift: int) -> Iterator[Deed]:
    """What ALTER TABLE (or INDEX, VIEW, SEQUENCE …) does, a deed a subcommand."""
    table = relation(body.get("relation"))
    kind = body.get("objtype", "OBJECT_TABLE").removeprefix("OBJECT_")
    if kind not in ("TABLE", "MATVIEW", "FOREIGN_TABLE"):
        yield Deed(do=Do.OTHER, on=table, type=kind)
        return
    for node in body.get("cmds", ()):
        yield from _subcommand(node["AlterTableCmd"], table, shift)


def _subcommand(command: Node, table: str, shift: int) -> Iterator[Deed]:
    subtype, name = command.get("subtype", ""), command.get("name", "")
    definition = command.get("def", {})
    cascade = ("cascade",) if command.get("behavior") == "DROP_CASCADE" else ()
    if subtype == "AT_AddColumn":
        yield from add_column(definition["ColumnDef"], table, shift)
    elif subtype == "AT_AlterColumnType":
        column = definition["ColumnDef"]
        using = column.get("raw_default")
        marks = () if using is None else ("using",)
        if using is not None and _is_cast_of(using, name):
            marks = ("using cast",)
        yield Deed(
            do=Do.SET_TYPE,
            on=table,
            name=name,
            type=type_name(column.get("typeName")),
            marks=marks,
            at=column.get("location", 0) + shift,
        )
    elif subtype == "AT_AddConstraint":
        yield from constraint(definition["Constraint"], table, shift)
    elif subtype in ("AT_AttachPartition", "AT_DetachPartition"):
        part = definition["PartitionCmd"]
        concurrent = ("concurrently",) if part.get("concurrent") else ()
        # an index is attached to another with the same words
        do = Do.ATTACH if subtype == "AT_AttachPartition" else Do.DETACH
        yield Deed(do=do, on=table, to=relation(part.get("name")), marks=concurrent)
    elif subtype in _PLAIN:
        yield Deed(do=_PLAIN[subtype], on=table, name=name, marks=cascade)
    elif subtype in _FILLS and (subtype != "AT_ColumnDefault" or not definition):
        yield Deed(do=Do.DROP_DEFAULT, on=table, name=name, type=_FILLS[subtype])
    elif subtype in _REWRITES:
        yield Deed(do=Do.REWRITE, on=table, name=name, type=_REWRITES[subtype])
    elif subtype.startswith(
        ("AT_DisableTrig", "AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig")
    ):
        off = subtype.startswith("AT_Disable")
        yield Deed(do=Do.TRIGGERS_OFF if off else Do.TRIGGERS_ON, on=table, name=name or "ALL")
    else:
        words = subtype.removeprefix("AT_")
        yield Deed(do=Do.ALTER, on=table, name=name, type=_LIGHT.get(subtype, ""), to=words)


def _is_cast_of(using: Node, column: str) -> bool:
    """Whether USING only casts the column itself."""
    inner = using.get("TypeCast", {}).get("arg", using)
    return text_of(inner.get("ColumnRef", {}).get("fields", ())) == [column]


def add_column(column: Node, table: str, shift: int) -> Iterator[Deed]:
    """A column that an existing table gets. Marks: ``serial``, ``identity``, ``stored`` (generated and
    stored), ``virtual``, ``default``, ``volatile`` (its default may differ from row to row), ``not null``.
    """
    marks, constraints, kind = _marks(column)
    name = column.get("colname", "")
    at = column.get("location", 0) + shift
    yield Deed(do=Do.ADD_COLUMN, on=table, name=name, type=kind, marks=marks, at=at)
    filled = "default" in marks or "serial" in marks or "identity" in marks
    where = ("new column", "default") if filled else ("new column",)
    for one in constraints:
        yield from constraint(one, table, shift, where, (name,))


def new_column(column: Node, table: str, shift: int) -> list[Deed]:
    """A column of a new table, and its constraints."""
    marks, constraints, kind = _marks(column)
    name = column.get("colname", "")
    at = column.get("location", 0) + shift
    found = [Deed(do=Do.COLUMN, on=table, name=name, type=kind, marks=marks, at=at)]
    for one in constraints:
        found += constraint(one, table, shift, ("new table",), (name,))
    return found


def _marks(column: Node) -> tuple[tuple[str, ...], list[Node], str]:
    """Marks of a column, its constraints but NOT NULL, and its type."""
    kind = type_name(column.get("typeName"))
    written = column.get("constraints")
    serial = ("serial", "not null") if kind in SERIAL else ()
    if not written:
        return serial, [], kind
    marks, constraints = list(serial), []
    for node in written:
        one = node["Constraint"]
        what = one["contype"]
        if what == "CONSTR_NOTNULL":
            marks.append("not null")
        elif what == "CONSTR_DEFAULT":
            expression = one.get("raw_expr")
            if not _is_null(expression):
                marks.append("default")
            if not is_stable(expression):
                marks.append("volatile")
        elif what == "CONSTR_PRIMARY":
            marks += ("not null", "primary key")
            constraints.append(one)
        elif what == "CONSTR_IDENTITY":
            marks += ("identity", "not null")
        elif what == "CONSTR_GENERATED":
            # PostgreSQL 18: virtual unless STORED is said
            marks.append("stored" if one.get("generated_kind") == "s" else "virtual")
        else:
            constraints.append(one)
    return tuple(marks), constraints, kind


def _is_null(expression: Node | None) -> bool:
    return bool(expression) and bool(expression.get("A_Const", {}).get("isnull"))  # type: ignore[union-attr]


def constraint(node: Node, table: str, shift: int, where: Where = (), of: tuple[str, ...] = ()) -> list[Deed]:
    """A constraint; `of` is the column that it is written with."""
    kind = _CONSTRAINTS.get(node.get("contype", ""))
    if kind is None:
        return []
    marks = list(where)
    if node.get("skip_validation") or (kind == "FOREIGN KEY" and node.get("is_enforced") is False):
        marks.append("not valid")
    if node.get("indexname"):
        marks.append("using index")
    at = max(0, node.get("location", 0)) + shift
    match kind:
        case "FOREIGN KEY":
            columns = tuple(text_of(node.get("fk_attrs", ()))) or of
            to = relation(node.get("pktable"))
        case "CHECK":
            columns, to = not_null_columns(node.get("raw_expr")), ""
        case _:
            columns, to = tuple(text_of(node.get("keys", ()))) or of, node.get("indexname", "")
    return [
        Deed(
            do=Do.CONSTRAINT,
            on=table,
            name=node.get("conname", ""),
            type=kind,
            columns=columns,
            to=to,
            marks=tuple(marks),
            at=at,
        )
    ]
