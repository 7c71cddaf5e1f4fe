"""SQL as it may be shown: literals masked, names quoted.

Queries in `pg_stat_activity` carry what users typed: names, telephone numbers, tokens, and the password
of an ALTER ROLE. The shape of a query tells an engineer what runs; its literals tell what must not be
told. Lexical rules: PostgreSQL 18 documentation, section 4.1.
"""

from __future__ import annotations

import re

from muva_console.ops.text import sanitise

QUERY_CAP = 400
"""Characters kept of a query for display. Ours."""

_TOKENS = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\* )
    | (?P<dollar> (?<![\w$]) \$(?P<tag>[^\W\d]\w*|)\$ )
    | (?P<escape> (?<![\w$]) [eE] ' (?: [^'\\] | \\. | '' )*+ (?:'|\Z|\\\Z) )
    | (?P<string> (?: (?<![\w$]) (?:[bBxXnN]|[uU]&) )? ' (?: [^'] | '' )*+ (?:'|\Z) )
    | (?P<name> " (?: [^"] | "" )*+ (?:"|\Z) )
    | (?P<number> (?<![\w$"]) (?:
          0[xXoObB][\da-fA-F_]+ | (?: \d[\d_]*+ \.? [\d_]*+ | \.\d[\d_]*+ ) (?: [eE][+-]?\d+ )? ) )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def mask(query: str) -> str:
    """The query in one harmless line, every literal shown as ``?``, comments left out.

    A query that was cut in the middle of a literal is masked to its end.
    """
    parts: list[str] = []
    at = 0
    while (token := _TOKENS.search(query, at)) is not None:
        parts.append(query[at : token.start()])
        at = token.end()
        match token.lastgroup:
            case "comment":
                parts.append(" ")
                if token["comment"] == "/*":
                    at = _comment_end(query, at)
            case "dollar" | "tag":
                parts.append("?")
                end = query.find(token["dollar"], at)
                at = len(query) if end < 0 else end + len(token["dollar"])
            case "name":
                parts.append(token["name"])
            case _:
                parts.append("?")
    parts.append(query[at:])
    line = " ".join(sanitise("".join(parts), newlines=False).split())
    return line if len(line) <= QUERY_CAP else f"{line[:QUERY_CAP]} …"


def _comment_end(query: str, at: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(query, at)
        if edge is None:
            return len(query)
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at


def quote_name(name: str) -> str:
    """One identifier, quoted. Raises ValueError for one that Postgres cannot hold (NUL)."""
    if "\0" in name:
        raise ValueError("a name cannot hold NUL")
    return '"' + name.replace('"', '""') + '"'


def split_table(name: str) -> tuple[str, str]:
    """(schema, table) of ``schema.table`` or ``table``, which is in public."""
    schema, dot, table = name.partition(".")
    return (schema, table) if dot else ("public", name)


def quote_table(name: str) -> str:
    """``schema.table`` or ``table`` as ``"schema"."table"``."""
    return ".".join(quote_name(part) for part in split_table(name))
