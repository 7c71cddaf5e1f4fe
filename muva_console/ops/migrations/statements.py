"""What one statement does, by its tree: its effect on data and on running code, what it is about and makes.

Which statements cannot run in a transaction: PostgreSQL 18's reference pages of each, and
`PreventInTransactionBlock` in its sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from muva_console.ops.migrations.model import Effect, Statement

_ADDITIVE = frozenset(
    [
        "alter_default_privileges_stmt",
        "alter_owner_stmt",
        "checkpoint_stmt",
        "cluster_stmt",
        "comment_stmt",
        "composite_type_stmt",
        "create_cast_stmt",
        "create_domain_stmt",
        "create_enum_stmt",
        "create_extension_stmt",
        "create_fdw_stmt",
        "create_foreign_server_stmt",
        "create_foreign_table_stmt",
        "create_policy_stmt",
        "create_publication_stmt",
        "create_range_stmt",
        "create_role_stmt",
        "create_schema_stmt",
        "create_seq_stmt",
        "create_stats_stmt",
        "create_stmt",
        "create_table_as_stmt",
        "define_stmt",
        "explain_stmt",
        "grant_role_stmt",
        "index_stmt",
        "lock_stmt",
        "notify_stmt",
        "refresh_mat_view_stmt",
        "reindex_stmt",
        "sec_label_stmt",
        "transaction_stmt",
        "vacuum_stmt",
        "variable_set_stmt",
        "variable_show_stmt",
    ]
)
_OPAQUE = frozenset(["do_stmt", "call_stmt", "execute_stmt", "prepare_stmt"])
_ADDITIVE_COLUMNS = frozenset(
    [
        "AT_AddIdentity",
        "AT_AttachPartition",
        "AT_ChangeOwner",
        "AT_ClusterOn",
        "AT_ColumnDefault",
        "AT_DropNotNull",
        "AT_EnableTrig",
        "AT_ReplicaIdentity",
        "AT_ResetRelOptions",
        "AT_SetCompression",
        "AT_SetOptions",
        "AT_SetRelOptions",
        "AT_SetStatistics",
        "AT_SetStorage",
        "AT_ValidateConstraint",
    ]
)
_LOSING = {
    "OBJECT_TABLE": "DROP TABLE",
    "OBJECT_FOREIGN_TABLE": "DROP FOREIGN TABLE",
    "OBJECT_MATVIEW": "DROP MATERIALIZED VIEW",
    "OBJECT_SCHEMA": "DROP SCHEMA",
    "OBJECT_SEQUENCE": "DROP SEQUENCE",
}
_LOSING_BY_CASCADE = frozenset(["OBJECT_TYPE", "OBJECT_DOMAIN", "OBJECT_EXTENSION"])
_ON_TABLE = frozenset(["OBJECT_POLICY", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_TABCONSTRAINT"])
WITH_OBJECT = ("CREATE", "ALTER", "DROP", "REINDEX", "REFRESH")
_WORD = re.compile(r"[A-Za-z_]+")


def classify(node: Any, text: str, line: int) -> Statement:
    """A statement by its tree (a protobuf ``Node``); `text` is its source, `line` where it begins."""
    which = node.WhichOneof("node") or ""
    body: Any = getattr(node, which) if which else None
    kind, effect = lead(text), Effect.CHANGING
    touches: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    alone = False
    match which:
        case "alter_table_stmt":
            kind, effect, alone = _alter_table(body, kind)
            touches = (_relation(body.relation),)
        case "drop_stmt":
            kind, effect = _drop(body, kind)
            touches, alone = _dropped(body), body.concurrent
        case "truncate_stmt":
            kind, effect = "TRUNCATE", Effect.DESTRUCTIVE
            touches = tuple(_relation(one.range_var) for one in body.relations)
        case "delete_stmt" | "update_stmt":
            kind = which.removesuffix("_stmt").upper()
            touches = (_relation(body.relation),)
            if not body.HasField("where_clause"):
                kind, effect = f"{kind} without WHERE", Effect.DESTRUCTIVE
        case "insert_stmt":
            kind, touches = "INSERT", (_relation(body.relation),)
            replaces = body.HasField("on_conflict_clause") and body.on_conflict_clause.action == 3
            effect = Effect.CHANGING if replaces else Effect.ADDITIVE
        case "select_stmt":
            effect = _of_select(body)
        case "index_stmt":
            effect, alone = Effect.ADDITIVE, body.concurrent
            table = _relation(body.relation)
            touches = (table,)
            if body.idxname and not body.if_not_exists:
                makes = (f"{table.rpartition('.')[0]}.{body.idxname}",)
        case "create_stmt":
            effect, touches = Effect.ADDITIVE, (_relation(body.relation),)
            makes = () if body.if_not_exists else touches
        case "create_table_as_stmt":
            effect, touches = Effect.ADDITIVE, (_relation(body.into.rel),)
            makes = () if body.if_not_exists else touches
        case "view_stmt":
            touches = (_relation(body.view),)
            effect, makes = (Effect.CHANGING, ()) if body.replace else (Effect.ADDITIVE, touches)
        case "create_seq_stmt":
            effect, touches = Effect.ADDITIVE, (_relation(body.sequence),)
            makes = () if body.if_not_exists else touches
        case "create_function_stmt":
            touches = (_dotted(body.funcname) + "()",)
            effect, makes = (Effect.CHANGING, ()) if body.replace else (Effect.ADDITIVE, touches)
        case "create_trig_stmt":
            # a trigger acts on what the code of before writes
            touches = (_relation(body.relation),)
        case "create_policy_stmt" | "alter_policy_stmt":
            touches = (_relation(body.table),)
            effect = Effect.ADDITIVE if which == "create_policy_stmt" else Effect.CHANGING
        case "create_enum_stmt" | "alter_enum_stmt":
            touches = (_dotted(body.type_name),)
            makes = touches if which == "create_enum_stmt" else ()
            effect = Effect.CHANGING if which == "alter_enum_stmt" and body.old_val else Effect.ADDITIVE
        case "composite_type_stmt":
            effect, touches = Effect.ADDITIVE, (_relation(body.typevar),)
            makes = touches
        case "create_domain_stmt":
            effect, touches = Effect.ADDITIVE, (_dotted(body.domainname),)
            makes = touches
        case "rename_stmt":
            kind = "RENAME"
            touches = (_relation(body.relation),) if body.HasField("relation") else _names([body.object])
        case "grant_stmt":
            effect = Effect.ADDITIVE if body.is_grant else Effect.CHANGING
            touches = _names(body.objects)
        case "reindex_stmt":
            effect = Effect.ADDITIVE
            alone = any(param.def_elem.defname == "concurrently" for param in body.params)
        case "vacuum_stmt":
            effect, alone = Effect.ADDITIVE, body.is_vacuumcmd
        case "alter_system_stmt" | "createdb_stmt" | "dropdb_stmt":
            alone = True
            effect = Effect.DESTRUCTIVE if which == "dropdb_stmt" else Effect.CHANGING
        case "drop_owned_stmt":
            effect = Effect.DESTRUCTIVE
        case "comment_stmt" | "alter_owner_stmt" | "alter_object_schema_stmt":
            if body.HasField("object"):
                touches = _names([body.object])
            effect = Effect.CHANGING if which == "alter_object_schema_stmt" else Effect.ADDITIVE
        case _ if which in _OPAQUE:
            effect = Effect.OPAQUE
        case _ if which in _ADDITIVE:
            effect = Effect.ADDITIVE
    return Statement(kind=kind, effect=effect, line=line, touches=touches, makes=tuple(makes), alone=alone)


def by_lead(text: str, line: int) -> Statement:
    """A statement of which only the text is known: additive where its first word says so, else opaque."""
    kind = lead(text)
    return Statement(
        kind=kind, effect=Effect.ADDITIVE if kind.startswith("INSERT") else Effect.OPAQUE, line=line
    )


def lead(text: str) -> str:
    """The first word of a statement in capitals, with what it is about where the word alone says little:
    ``CREATE INDEX``, ``INSERT``.
    """
    words = [word.upper() for word in _WORD.findall(text[:200])]
    return " ".join(words[: 2 if words and words[0] in WITH_OBJECT else 1])


def settled(statements: Iterable[Statement], made: Iterable[str] = ()) -> tuple[Statement, ...]:
    """The statements with their effect as it is where they follow each other: what is done to a thing
    that was made just before (here, or in `made`) adds and takes away nothing of before.
    """
    from msgspec import structs

    known = set(made)
    found = []
    for statement in statements:
        one = statement
        if (
            one.effect in (Effect.CHANGING, Effect.DESTRUCTIVE)
            and one.touches
            and known.issuperset(one.touches)
        ):
            one = structs.replace(one, effect=Effect.ADDITIVE)
        known.update(one.makes)
        found.append(one)
    return tuple(found)


def _alter_table(body: Any, kind: str) -> tuple[str, Effect, bool]:
    """The worst that its commands do."""
    from postgast import pg_query_pb2 as tree

    effect, alone = Effect.ADDITIVE, False
    for node in body.cmds:
        command = node.alter_table_cmd
        name = tree.AlterTableType.Name(command.subtype)
        column = f" {command.name}" if command.name else ""
        if name in ("AT_DropColumn", "AT_AlterColumnType"):
            what = "DROP COLUMN" if name == "AT_DropColumn" else "TYPE of"
            return f"ALTER TABLE … {what}{column} on", Effect.DESTRUCTIVE, alone
        alone = alone or _definition(command).partition_cmd.concurrent
        if name == "AT_AddColumn":
            if _demands_value(_definition(command).column_def):
                kind, effect = "ALTER TABLE … ADD COLUMN NOT NULL without default on", Effect.CHANGING
        elif name not in _ADDITIVE_COLUMNS:
            words = re.sub(r"(?<!^)(?=[A-Z])", " ", name.removeprefix("AT_")).upper()
            kind, effect = f"ALTER TABLE … {words} on", Effect.CHANGING
    return kind, effect, alone


def _definition(command: Any) -> Any:
    return getattr(command, "def")


def _demands_value(column: Any) -> bool:
    """Whether the code of before can no longer insert: NOT NULL, and nothing fills it."""
    from postgast import pg_query_pb2 as tree

    kinds = {tree.ConstrType.Name(node.constraint.contype) for node in column.constraints}
    fills = {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"}
    return bool(kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY"}) and not kinds & fills


def _drop(body: Any, kind: str) -> tuple[str, Effect]:
    from postgast import pg_query_pb2 as tree

    what = tree.ObjectType.Name(body.remove_type)
    if what in _LOSING:
        return _LOSING[what], Effect.DESTRUCTIVE
    if what in _LOSING_BY_CASCADE and tree.DropBehavior.Name(body.behavior) == "DROP_CASCADE":
        return f"{kind} CASCADE", Effect.DESTRUCTIVE
    return kind, Effect.CHANGING


def _dropped(body: Any) -> tuple[str, ...]:
    """What is dropped; of policies and triggers the table they stand on."""
    from postgast import pg_query_pb2 as tree

    on_table = tree.ObjectType.Name(body.remove_type) in _ON_TABLE
    return _names(body.objects, on_table=on_table)


def _of_select(body: Any) -> Effect:
    """A SELECT that only looks adds nothing; one that calls a function may do anything."""
    from postgast import find_nodes
    from postgast import pg_query_pb2 as tree

    for node in body.with_clause.ctes if body.HasField("with_clause") else ():
        if node.common_table_expr.ctequery.WhichOneof("node") != "select_stmt":
            return Effect.CHANGING
    return Effect.OPAQUE if any(True for _ in find_nodes(body, tree.FuncCall)) else Effect.ADDITIVE


def _relation(relation: Any) -> str:
    return f"{relation.schemaname or 'public'}.{relation.relname}"


def _dotted(nodes: Iterable[Any]) -> str:
    parts = [node.string.sval for node in nodes]
    return ".".join(parts) if len(parts) > 1 else f"public.{''.join(parts)}"


def _names(nodes: Iterable[Any], *, on_table: bool = False) -> tuple[str, ...]:
    found = []
    for node in nodes:
        match node.WhichOneof("node"):
            case "range_var":
                found.append(_relation(node.range_var))
            case "list":
                items = list(node.list.items)
                found.append(_dotted(items[:-1] if on_table else items))
            case "object_with_args":
                found.append(_dotted(node.object_with_args.objname) + "()")
            case "type_name":
                found.append(_dotted(node.type_name.names))
            case "string":
                found.append(node.string.sval)
    return tuple(found)
