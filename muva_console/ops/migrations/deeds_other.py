"""The deeds of what is neither ALTER TABLE nor about rows: DROP, RENAME, rights, functions, types, upkeep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from muva_console.ops.migrations.deeds import Deed, Do
from muva_console.ops.migrations.expressions import Node, dotted, is_true, relation, type_name

ALONE_TYPES = frozenset(["AlterSystemStmt", "CreatedbStmt", "DropdbStmt", "CreateTableSpaceStmt"])
"""Statements that never run in a transaction (`PreventInTransactionBlock`)."""

LOCKS = (
    "", "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE",
    "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE",
)  # fmt: skip
"""By number (lockdefs.h)."""

_ON_TABLE = frozenset(["POLICY", "TRIGGER", "RULE", "TABCONSTRAINT"])


def _names(nodes: Any, *, on_table: bool = False) -> Iterator[str]:
    for node in nodes:
        match next(iter(node)):
            case "List":
                items = node["List"].get("items", [])
                yield dotted(items[:-1] if on_table else items)
            case "ObjectWithArgs":
                yield dotted(node["ObjectWithArgs"].get("objname", ()))
            case "TypeName":
                yield dotted(node["TypeName"].get("names", ()))
            case "String":
                yield node["String"].get("sval", "")
            case "RangeVar":
                yield relation(node["RangeVar"])


def _drop(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``cascade``, ``if exists``, ``concurrently``."""
    kind = body.get("removeType", "").removeprefix("OBJECT_")
    marks = [
        mark
        for mark, is_so in (
            ("cascade", body.get("behavior") == "DROP_CASCADE"),
            ("if exists", body.get("missing_ok")),
            ("concurrently", body.get("concurrent")),
        )
        if is_so
    ]
    on_table = kind in _ON_TABLE
    for node in body.get("objects", ()):
        for name in _names([node], on_table=on_table):
            if kind == "INDEX":
                yield Deed(do=Do.DROP_INDEX, name=name, marks=tuple(marks))
            elif kind == "POLICY":
                yield Deed(do=Do.POLICY_ALTERED, on=name, type="DROP")
            else:
                yield Deed(do=Do.DROP, on=name, type=kind.replace("_", " "), marks=tuple(marks))


def _rename(body: Node, shift: int) -> Iterator[Deed]:
    kind = body.get("renameType", "").removeprefix("OBJECT_")
    on = relation(body.get("relation")) or next(_names([body["object"]] if "object" in body else ()), "")
    if kind == "ATTRIBUTE":
        kind = "TYPE"
    yield Deed(do=Do.RENAME, on=on, name=body.get("subname", ""), type=kind, to=body.get("newname", ""))


def _set_schema(body: Node, shift: int) -> Iterator[Deed]:
    kind = body.get("objectType", "").removeprefix("OBJECT_")
    on = relation(body.get("relation")) or next(_names([body["object"]] if "object" in body else ()), "")
    yield Deed(do=Do.SET_SCHEMA, on=on, type=kind, to=body.get("newschema", ""))


def _trigger(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.TRIGGER, on=relation(body.get("relation")), name=body.get("trigname", ""))


def _policy(body: Node, shift: int) -> Iterator[Deed]:
    """Columns: the roles, ``public`` where none is named. Marks: ``open`` where every row may be written."""
    roles = tuple(_roles(body.get("roles", ()))) or ("public",)
    command = body.get("cmd_name", "all")
    judged = body.get("with_check") or body.get("qual")
    free = is_true(judged) and command != "select" and body.get("permissive", False)
    yield Deed(
        do=Do.POLICY,
        on=relation(body.get("table")),
        name=body.get("policy_name", ""),
        type=command.upper(),
        columns=roles,
        marks=("open",) if free else (),
    )


def _policy_altered(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.POLICY_ALTERED, on=relation(body.get("table")), type="ALTER")


def _roles(nodes: Any) -> Iterator[str]:
    for node in nodes:
        role = node.get("RoleSpec", {})
        kind = role.get("roletype")
        yield role.get("rolename", "public" if kind == "ROLESPEC_PUBLIC" else "")


def _function(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``replace``, ``definer`` (runs with its owner's rights), ``search path`` (it sets one)."""
    marks = ["replace"] if body.get("replace") else []
    for node in body.get("options", ()):
        option = node.get("DefElem", {})
        if option.get("defname") == "security" and option.get("arg", {}).get("Boolean", {}).get("boolval"):
            marks.append("definer")
        if option.get("defname") == "set":
            setting = option.get("arg", {}).get("VariableSetStmt", {})
            if setting.get("name") == "search_path":
                marks.append("search path")
    yield Deed(do=Do.FUNCTION, on=dotted(body.get("funcname", ())), marks=tuple(marks))


def _alter_function(body: Node, shift: int) -> Iterator[Deed]:
    yield from _function(
        {"funcname": body.get("func", {}).get("objname", ()), "options": body.get("actions", ())}, shift
    )


def _grant(body: Node, shift: int) -> Iterator[Deed]:
    """Of a right that is given; columns: to whom; marks: the rights, ``ALL`` for all of them.
    `type`: ``TABLE``, ``FUNCTION`` … or ``ALL TABLE`` for all of a schema.
    """
    kind = body.get("objtype", "").removeprefix("OBJECT_")
    if not body.get("is_grant"):
        yield Deed(do=Do.OTHER, type="REVOKE")
        return
    rights = tuple(one["AccessPriv"].get("priv_name", "").upper() for one in body.get("privileges", ()))
    whole = body.get("targtype") in ("ACL_TARGET_ALL_IN_SCHEMA", "ACL_TARGET_DEFAULTS")
    for name in list(_names(body.get("objects", ()))) or [""]:
        yield Deed(
            do=Do.GRANT,
            on=name,
            type=f"ALL {kind}" if whole else kind,
            columns=tuple(_roles(body.get("grantees", ()))),
            marks=rights or ("ALL",),
        )


def _default_rights(body: Node, shift: int) -> Iterator[Deed]:
    yield from _grant(body.get("action", {}), shift)


def _options(nodes: Any) -> dict[str, Any]:
    return {one["DefElem"].get("defname"): one["DefElem"].get("arg") for one in nodes if "DefElem" in one}


def _is_on(options: dict[str, Any], name: str) -> bool:
    if name not in options:
        return False
    value = options[name]
    if value is None:
        return True
    word = str(next(iter(next(iter(value.values()), {}).values()), "true")).lower()
    return word not in ("false", "off", "0", "no")


def _refresh(body: Node, shift: int) -> Iterator[Deed]:
    marks = [m for m, key in (("concurrently", "concurrent"), ("no data", "skipData")) if body.get(key)]
    yield Deed(do=Do.REFRESH, on=relation(body.get("relation")), marks=tuple(marks))


def _vacuum(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``full``, ``analyze alone``."""
    options = _options(body.get("options", ()))
    marks = ["full"] if _is_on(options, "full") else []
    if not body.get("is_vacuumcmd"):
        marks.append("analyze alone")
    rels = body.get("rels") or [{}]
    for node in rels:
        on = relation(node.get("VacuumRelation", {}).get("relation"))
        yield Deed(do=Do.VACUUM, on=on, marks=tuple(marks))


def _cluster(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.CLUSTER, on=relation(body.get("relation")))


def _reindex(body: Node, shift: int) -> Iterator[Deed]:
    """`on` is a table, `name` an index; neither for a schema or a database."""
    kind = body.get("kind", "").removeprefix("REINDEX_OBJECT_")
    marks = ("concurrently",) if _is_on(_options(body.get("params", ())), "concurrently") else ()
    of = relation(body.get("relation"))
    if kind == "INDEX":
        yield Deed(do=Do.REINDEX, on=f"index {of}", name=of, type=kind, marks=marks)
    else:
        yield Deed(do=Do.REINDEX, on=of if kind == "TABLE" else "", type=kind, marks=marks)


def _enum(body: Node, shift: int) -> Iterator[Deed]:
    on = dotted(body.get("typeName", ()))
    if body.get("oldVal"):
        yield Deed(do=Do.ENUM_RENAME, on=on, name=body["oldVal"], to=body.get("newVal", ""))
    else:
        yield Deed(do=Do.ENUM_ADD, on=on, name=body.get("newVal", ""))


def _create_type(body: Node, shift: int) -> Iterator[Deed]:
    """Marks: ``checked`` for a domain with a constraint."""
    name = body.get("domainname") or body.get("typeName") or ()
    on = dotted(name) if name else relation(body.get("typevar"))
    marks = ("checked",) if body.get("constraints") else ()
    yield Deed(do=Do.CREATE_TYPE, on=on, type=type_name(body.get("typeName")) if marks else "", marks=marks)


def _domain(body: Node, shift: int) -> Iterator[Deed]:
    on = dotted(body.get("typeName", ()))
    node = body.get("def", {}).get("Constraint", {})
    # 'C' adds a constraint, 'O' is SET NOT NULL: both look at every column of the type
    if body.get("subtype") == "C" and not node.get("skip_validation"):
        yield Deed(do=Do.DOMAIN_CHECK, on=on, type="CHECK")
    elif body.get("subtype") == "O":
        yield Deed(do=Do.DOMAIN_CHECK, on=on, type="NOT NULL")
    else:
        yield Deed(do=Do.OTHER, on=on, type="DOMAIN")


def _lock(body: Node, shift: int) -> Iterator[Deed]:
    for node in body.get("relations", ()):
        yield Deed(do=Do.LOCK, on=relation(node["RangeVar"]), type=LOCKS[body.get("mode", 8)])


def _transaction(body: Node, shift: int) -> Iterator[Deed]:
    kind = body.get("kind", "").removeprefix("TRANS_STMT_")
    if kind in ("BEGIN", "START"):
        yield Deed(do=Do.BEGIN, type=kind)
    elif kind in ("COMMIT", "ROLLBACK"):
        yield Deed(do=Do.END, type=kind)
    else:
        yield Deed(do=Do.OTHER, type=kind)


def _set(body: Node, shift: int) -> Iterator[Deed]:
    words = []
    for one in body.get("args", ()):
        constant = one.get("A_Const", {})
        value: dict[str, Any] = next(
            (constant[key] for key in ("sval", "ival", "fval", "boolval") if key in constant), {}
        )
        words.append(str(next(iter(value.values()), 0)))
    marks = ("local",) if body.get("is_local") else ()
    yield Deed(do=Do.SET, name=body.get("name", "").lower(), to=",".join(words), marks=marks)


def _rule(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.RULE, on=relation(body.get("relation")), name=body.get("rulename", ""))


def _drop_owned(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.DROP_OWNED, name=", ".join(_roles(body.get("roles", ()))))


def _sequence(body: Node, shift: int) -> Iterator[Deed]:
    on = relation(body.get("sequence"))
    restarts = "restart" in _options(body.get("options", ()))
    yield Deed(do=Do.RESTART if restarts else Do.OTHER, on=on, type="SEQUENCE")


def _role(body: Node, shift: int) -> Iterator[Deed]:
    """The password is not taken along."""
    role = body.get("role")
    name = role.get("rolename", "") if isinstance(role, dict) else role or ""
    value = _options(body.get("options", ())).get("password")
    yield Deed(do=Do.PASSWORD if value else Do.OTHER, name=name, type="ROLE")


def _call(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.OPAQUE, type="CALL")


def _dropdb(body: Node, shift: int) -> Iterator[Deed]:
    yield Deed(do=Do.DROP, on=body.get("dbname", ""), type="DATABASE")


def _statistics(body: Node, shift: int) -> Iterator[Deed]:
    for node in body.get("relations", ()):
        yield Deed(do=Do.ALTER, on=relation(node.get("RangeVar")), type=LOCKS[4], to="STATISTICS")


Reader = Callable[[dict[str, Any], int], Iterable[Deed]]

MORE: dict[str, Reader] = {
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "CreateTrigStmt": _trigger,
    "CreatePolicyStmt": _policy,
    "AlterPolicyStmt": _policy_altered,
    "CreateFunctionStmt": _function,
    "AlterFunctionStmt": _alter_function,
    "GrantStmt": _grant,
    "AlterDefaultPrivilegesStmt": _default_rights,
    "RefreshMatViewStmt": _refresh,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
    "ReindexStmt": _reindex,
    "AlterEnumStmt": _enum,
    "CreateEnumStmt": _create_type,
    "CompositeTypeStmt": _create_type,
    "CreateRangeStmt": _create_type,
    "CreateDomainStmt": _create_type,
    "AlterDomainStmt": _domain,
    "LockStmt": _lock,
    "TransactionStmt": _transaction,
    "VariableSetStmt": _set,
    "RuleStmt": _rule,
    "DropOwnedStmt": _drop_owned,
    "AlterSeqStmt": _sequence,
    "CreateRoleStmt": _role,
    "AlterRoleStmt": _role,
    "CallStmt": _call,
    "DropdbStmt": _dropdb,
    "CreateStatsStmt": _statistics,
}
"""By the tree's name."""
