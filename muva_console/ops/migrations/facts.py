"""What a statement leaves in the catalogs, so that a look there tells whether it was done."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from muva_console.ops.migrations.statements import lead
from muva_console.ops.migrations.text import parsed


class Fact(Struct, frozen=True):
    """A thing that a statement makes or takes away."""

    kind: str
    """``relation`` (a table, view, index or sequence), ``column``, ``constraint``, ``policy``, ``trigger``,
    ``function``, ``type``, ``schema``, ``extension`` or ``security`` (row level security is on)."""
    owner: str
    """``schema.name`` of the relation it belongs to; the thing itself where it belongs to none."""
    name: str = ""
    """Of a column, constraint, policy or trigger."""
    gone: bool = False
    """It is taken away."""
    sure: bool = True
    """False where the statement does nothing when it is so already: IF EXISTS, IF NOT EXISTS, OR REPLACE."""

    @property
    def thing(self) -> tuple[str, str, str]:
        """What it is about, made or taken away."""
        return self.kind, self.owner, self.name

    def __str__(self) -> str:
        if self.kind == "relation":
            return self.owner
        if self.kind == "security":
            return f"row level security on {self.owner}"
        return f"{self.kind} {self.name} on {self.owner}" if self.name else f"{self.kind} {self.owner}"


class Step(Struct, frozen=True):
    """One statement of a file, as it may be looked for."""

    line: int
    lead: str
    """Its first words: ``CREATE INDEX``."""
    facts: tuple[Fact, ...] = ()
    """Empty where nothing in the catalogs tells of it: INSERT, UPDATE, DO."""


def steps_of(text: bytes) -> tuple[Step, ...]:
    """The statements of a text; none where it cannot be parsed. To be called in `in_parser`."""
    import postgast

    found = []
    try:
        statements = parsed(text.decode().removeprefix("\ufeff"))
    except (UnicodeDecodeError, postgast.PgQueryError):
        return ()
    elsewhere = False
    for line, words, node in statements:
        facts = () if node is None else _facts(node)
        if node is not None and node.WhichOneof("node") == "variable_set_stmt":
            elsewhere = elsewhere or node.variable_set_stmt.name == "search_path"
        # a name without a schema is in public, unless the file says otherwise
        if elsewhere and any(fact.owner.startswith("public.") for fact in facts):
            facts = ()
        found.append(Step(line, lead(words), facts))
    return tuple(found)


def _facts(node: Any) -> tuple[Fact, ...]:
    which = node.WhichOneof("node") or ""
    body: Any = getattr(node, which) if which else None
    match which:
        case "create_stmt":
            return (Fact("relation", _relation(body.relation), sure=not body.if_not_exists),)
        case "create_table_as_stmt":
            return (Fact("relation", _relation(body.into.rel), sure=not body.if_not_exists),)
        case "view_stmt":
            return (Fact("relation", _relation(body.view), sure=not body.replace),)
        case "create_seq_stmt":
            return (Fact("relation", _relation(body.sequence), sure=not body.if_not_exists),)
        case "index_stmt":
            if not body.idxname:
                return ()
            schema = _relation(body.relation).partition(".")[0]
            return (Fact("relation", f"{schema}.{body.idxname}", sure=not body.if_not_exists),)
        case "create_enum_stmt":
            return (Fact("type", _dotted(body.type_name)),)
        case "composite_type_stmt":
            return (Fact("type", _relation(body.typevar)),)
        case "create_domain_stmt":
            return (Fact("type", _dotted(body.domainname)),)
        case "create_function_stmt":
            return (Fact("function", _dotted(body.funcname), sure=not body.replace),)
        case "create_policy_stmt":
            return (Fact("policy", _relation(body.table), body.policy_name),)
        case "create_trig_stmt":
            return (Fact("trigger", _relation(body.relation), body.trigname, sure=not body.replace),)
        case "create_schema_stmt" if body.schemaname:
            return (Fact("schema", body.schemaname, sure=not body.if_not_exists),)
        case "create_extension_stmt":
            return (Fact("extension", body.extname, sure=not body.if_not_exists),)
        case "alter_table_stmt":
            return _altered(body)
        case "rename_stmt" if body.HasField("relation"):
            return _renamed(body)
        case "drop_stmt":
            return _dropped(body)
    return ()


def _altered(body: Any) -> tuple[Fact, ...]:
    from postgast import pg_query_pb2 as tree

    if tree.ObjectType.Name(body.objtype) != "OBJECT_TABLE":
        return ()
    table = _relation(body.relation)
    found = []
    for node in body.cmds:
        command = node.alter_table_cmd
        made = getattr(command, "def")
        match tree.AlterTableType.Name(command.subtype):
            case "AT_AddColumn":
                found.append(Fact("column", table, made.column_def.colname, sure=not command.missing_ok))
            case "AT_DropColumn":
                found.append(Fact("column", table, command.name, gone=True, sure=not command.missing_ok))
            case "AT_AddConstraint" if made.constraint.conname:
                found.append(Fact("constraint", table, made.constraint.conname))
            case "AT_DropConstraint":
                found.append(Fact("constraint", table, command.name, gone=True, sure=not command.missing_ok))
            case "AT_EnableRowSecurity":
                # it may have been on before
                found.append(Fact("security", table, sure=False))
            case _:
                return ()
    return tuple(found)


def _renamed(body: Any) -> tuple[Fact, ...]:
    from postgast import pg_query_pb2 as tree

    relation, sure = _relation(body.relation), not body.missing_ok
    match tree.ObjectType.Name(body.rename_type):
        case "OBJECT_TABLE" | "OBJECT_VIEW" | "OBJECT_INDEX" | "OBJECT_MATVIEW" | "OBJECT_SEQUENCE":
            new = f"{relation.partition('.')[0]}.{body.newname}"
            return Fact("relation", relation, gone=True, sure=sure), Fact("relation", new, sure=sure)
        case "OBJECT_COLUMN":
            old = Fact("column", relation, body.subname, gone=True, sure=sure)
            return old, Fact("column", relation, body.newname, sure=sure)
    return ()


_RELATIONS = frozenset(
    ["OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_INDEX", "OBJECT_SEQUENCE",
     "OBJECT_FOREIGN_TABLE"]
)  # fmt: skip
_OWNED = {"OBJECT_POLICY": "policy", "OBJECT_TRIGGER": "trigger"}
_TYPES = frozenset(["OBJECT_TYPE", "OBJECT_DOMAIN"])


def _dropped(body: Any) -> tuple[Fact, ...]:
    from postgast import pg_query_pb2 as tree

    what, sure = tree.ObjectType.Name(body.remove_type), not body.missing_ok
    found = []
    for node in body.objects:
        if what in _RELATIONS:
            found.append(Fact("relation", _dotted(node.list.items), gone=True, sure=sure))
        elif what in _OWNED:
            items = list(node.list.items)
            owner, name = _dotted(items[:-1]), items[-1].string.sval
            found.append(Fact(_OWNED[what], owner, name, gone=True, sure=sure))
        elif what in _TYPES:
            found.append(Fact("type", _dotted(node.type_name.names), gone=True, sure=sure))
    return tuple(found)


def _relation(relation: Any) -> str:
    return f"{relation.schemaname or 'public'}.{relation.relname}"


def _dotted(nodes: Any) -> str:
    parts = [node.string.sval for node in nodes]
    return ".".join(parts) if len(parts) > 1 else f"public.{''.join(parts)}"
