"""The SQL in a DO block's PL/pgSQL: found by PostgreSQL's scanner alone, so that nothing of it is run.

A statement of PL/pgSQL ends at a semicolon; the SQL in it begins at the first word of a command that follows
BEGIN, THEN, ELSE, LOOP or the end of the statement before. What EXECUTE runs is SQL as well where it is one
literal; where it is put together it cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_STARTS = frozenset(["begin", "then", "else", "loop", ">>"])
_VERBS = frozenset(
    """alter analyze call cluster comment copy create delete drop execute grant insert lock merge perform
    refresh reindex revoke select set truncate update vacuum with""".split()  # noqa: SIM905 - words in a row
)
_COMMENTS = frozenset([275, 276])
_SEMICOLON = 59
_LITERAL = re.compile(
    r"(?is)\s*execute\s+(?:'(?P<plain>(?:[^']|'')*)'|\$(?P<tag>\w*)\$(?P<dollar>.*?)\$(?P=tag)\$)\s*"
)
WORDS = 4_000
"""Words of a body that is looked into. Ours."""


class Part(NamedTuple):
    """A piece of SQL in a body."""

    sql: str
    dynamic: bool = False
    """Put together while it runs: `sql` is not what is run."""


def sql_in(body: str) -> list[Part] | None:
    """The SQL of a body, in order; None where it cannot be told apart."""
    import postgast

    try:
        tokens = postgast.scan(body).tokens
    except postgast.PgQueryError:
        return None
    if len(tokens) > WORDS:
        return None
    data = body.encode()
    found: list[Part] = []
    start, at_start, depth = -1, True, 0
    for token in tokens:
        if token.token in _COMMENTS:
            continue
        word = data[token.start : token.end].decode("utf-8", "replace").lower()
        if token.token == _SEMICOLON:
            if start >= 0:
                found += _part(data[start : token.start].decode("utf-8", "replace"))
            start, at_start, depth = -1, True, 0
            continue
        depth += {"(": 1, ")": -1}.get(word, 0)
        if start < 0:
            if at_start and word in _VERBS:
                start = token.start
            at_start = depth == 0 and word in _STARTS
    return found


def _part(text: str) -> Iterator[Part]:
    first = text.split(None, 1)[0].lower()
    if first == "perform":
        yield Part("select" + text[len(first) :])
    elif first == "execute":
        literal = _LITERAL.fullmatch(text)
        if literal is None:
            yield Part(text, dynamic=True)
        else:
            yield Part(literal["dollar"] if literal["plain"] is None else literal["plain"].replace("''", "'"))
    elif first == "select":
        # SELECT … INTO variable is PL/pgSQL's; it makes no table
        yield Part(re.sub(r"(?is)\binto\s+(?:strict\s+)?[\w.,\s]+?(?=\bfrom\b|$)", " ", text, count=1))
    else:
        yield Part(text)
