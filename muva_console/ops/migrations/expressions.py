"""Names, types and expressions in PostgreSQL's trees (as `trees.py` gives them): what they are called, and
whether an expression is the same for every row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Node = dict[str, Any]

SERIAL = frozenset(["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"])
"""Types that are a sequence and a default of nextval."""

# Functions that give one value in a whole statement, so that PostgreSQL stores a default once instead of
# rewriting the table (`provolatile` <> 'v' of PostgreSQL 18, what defaults are made of; the last four are
# Supabase's). What is not here is taken for volatile.
STABLE = frozenset(
    [
        "now", "transaction_timestamp", "statement_timestamp", "current_date", "current_time",
        "localtime", "localtimestamp", "current_setting", "current_user", "session_user",
        "current_database", "current_schema", "txid_current_if_assigned", "lower", "upper", "initcap",
        "trim", "btrim", "ltrim", "rtrim", "concat", "concat_ws", "format", "replace", "substr",
        "substring", "left", "right", "md5", "encode", "decode", "length", "char_length", "coalesce",
        "nullif", "greatest", "least", "abs", "round", "ceil", "floor", "trunc", "mod", "power",
        "to_char", "to_date", "to_timestamp", "to_number", "date_trunc", "date_part", "extract", "age",
        "timezone", "make_date", "make_interval", "make_timestamp", "make_timestamptz", "int4", "int8",
        "float8", "numeric", "text", "varchar", "bool", "date", "timestamp", "timestamptz", "interval",
        "jsonb_build_object", "jsonb_build_array", "json_build_object", "json_build_array", "to_json",
        "to_jsonb", "jsonb_object", "json_object", "array_fill", "string_to_array", "array_append",
        "cardinality", "point", "box", "int4range", "int8range", "numrange", "tsrange", "tstzrange",
        "daterange", "to_tsvector", "to_tsquery", "uid", "jwt", "role", "email",
    ]
)  # fmt: skip


def text_of(nodes: Iterable[Node]) -> list[str]:
    """The words of a list of String nodes."""
    return [node["String"].get("sval", "") for node in nodes if "String" in node]


def dotted(nodes: Iterable[Node]) -> str:
    """``schema.name`` of a qualified name, ``public`` where no schema is given."""
    parts = text_of(nodes)
    return ".".join(parts[-2:]) if len(parts) > 1 else f"public.{''.join(parts)}"


def relation(var: Node | None) -> str:
    """``schema.name`` of a RangeVar's body."""
    if not var:
        return ""
    return f"{var.get('schemaname') or 'public'}.{var.get('relname', '')}"


def is_temporary(var: Node | None) -> bool:
    """Whether it is a table of this session alone."""
    return bool(var) and (var.get("relpersistence") == "t" or var.get("schemaname") == "pg_temp")  # type: ignore[union-attr]


_SPELLED = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "bpchar": "character",
    "varchar": "character varying",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
    "varbit": "bit varying",
}


_PLAIN_TYPE = 3
"""Fields of a TypeName that is but a name: names, typemod, location."""


def type_name(node: Node | None) -> str:
    """A type as the catalog spells it (`format_type`): ``character varying(50)``, ``integer[]``."""
    if not node:
        return ""
    names = [one["String"]["sval"] for one in node.get("names", ())]
    if len(names) == 1 and len(node) == _PLAIN_TYPE:
        plain: str = names[0]
        return _SPELLED.get(plain, plain)
    if len(names) > 1 and names[0] == "pg_catalog":
        del names[0]
    name = names[0] if len(names) == 1 else ".".join(names)
    name = _SPELLED.get(name, name)
    if "typmods" in node:
        name = _sized(name, node["typmods"])
    return name + "[]" * len(node["arrayBounds"]) if "arrayBounds" in node else name


def _sized(name: str, modifiers: list[Node]) -> str:
    """With its length or precision, which stands within the name of a time."""
    sizes = [str(one["A_Const"].get("ival", {}).get("ival", 0)) for one in modifiers if "A_Const" in one]
    if not sizes or name.startswith("interval"):
        return name
    listed = f"({','.join(sizes)})"
    head, space, tail = name.partition(" ")
    return f"{head}{listed} {tail}" if space and name.startswith("time") else f"{name}{listed}"


def walk(node: Any) -> Iterator[tuple[str, Node]]:
    """Every node beneath, as its name and body."""
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            for key, value in one.items():
                if isinstance(value, dict):
                    if key[:1].isupper():
                        yield key, value
                    stack.append(value)
                elif isinstance(value, list):
                    stack.extend(value)
        elif isinstance(one, list):
            stack.extend(one)


def is_stable(expression: Node | None) -> bool:
    """Whether an expression gives one value in a whole statement, as far as is known."""
    if not expression or "A_Const" in expression:
        return True
    call = expression.get("FuncCall")
    if call is not None and "args" not in call:
        return call["funcname"][-1]["String"]["sval"].lower() in STABLE
    for name, body in walk(expression):
        if name == "FuncCall":
            if (text_of(body.get("funcname", ())) or [""])[-1].lower() not in STABLE:
                return False
        elif name in ("SubLink", "ParamRef", "NextValueExpr"):
            return False
    return True


def not_null_columns(expression: Node | None) -> tuple[str, ...]:
    """The columns that a CHECK of ``a IS NOT NULL`` (and more, joined by AND) holds; empty for another."""
    if not expression:
        return ()
    test = expression.get("NullTest")
    if test is not None:
        column = column_of(test.get("arg"))
        return (column,) if column and test.get("nulltesttype") == "IS_NOT_NULL" else ()
    joined = expression.get("BoolExpr")
    if joined is not None and joined.get("boolop") == "AND_EXPR":
        return tuple(column for part in joined.get("args", ()) for column in not_null_columns(part))
    return ()


def column_of(expression: Node | None) -> str:
    """The column that an expression is; empty when it is more."""
    if not expression or "ColumnRef" not in expression:
        return ""
    return (text_of(expression["ColumnRef"].get("fields", ())) or [""])[-1]


def is_true(expression: Node | None) -> bool:
    """Whether it is ``true``, or two equal constants: a condition that every row meets."""
    if not expression:
        return False
    if "A_Const" in expression:
        return bool(expression["A_Const"].get("boolval", {}).get("boolval"))
    body = expression.get("A_Expr")
    if body is None or text_of(body.get("name", ())) != ["="]:
        return False
    sides = [body.get(side, {}).get("A_Const") for side in ("lexpr", "rexpr")]
    if None in sides:
        return False
    plain = [{key: value for key, value in side.items() if key != "location"} for side in sides]
    return bool(plain[0] == plain[1])


def tables_read(node: Any) -> tuple[str, ...]:
    """The tables that a query reads, each once, in order of the text."""
    found: dict[str, int] = {}
    local: set[str] = set()
    for name, body in walk(node):
        if name == "CommonTableExpr":
            local.add(f"public.{body.get('ctename')}")
        elif name == "RangeVar":
            at = body.get("location", 0)
            found[relation(body)] = min(at, found.get(relation(body), at))
    return tuple(sorted((one for one in found if one not in local), key=lambda one: found[one]))
