"""Statements of a text with their trees, as plain data.

libpg_query gives a tree as JSON or as protobuf. As JSON it is made in time that grows with the text alone
and reads in half the time of the other, which matters for a thousand files; postgast offers the other
alone, so its library is called here as postgast itself calls it (`postgast.native`, the version is locked).
To be called in `text.in_parser`: a deep text needs the large stack.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, count
from operator import add
from typing import Any, NamedTuple

WHOLE = 64 * 1024
"""Bytes of a text, or of a statement of a larger one, whose tree is asked for. Ours: a tree is up to a
hundred times its text."""

_LEAD = re.compile(rb"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|;)*", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class Raw(NamedTuple):
    """A statement as it stands in its text."""

    start: int
    """The byte its first word begins at."""
    end: int
    kind: str
    """The tree's name: ``AlterTableStmt``; empty where no tree is to be had."""
    body: dict[str, Any]
    shift: int = 0
    """What is to be added to the tree's locations."""


class Places:
    """Line and column of bytes of a text, both from 1; columns in characters."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._plain = data.isascii()
        self.breaks = _breaks(data)
        """The bytes at which lines end."""

    def __call__(self, at: int) -> tuple[int, int]:
        """Of the byte `at`."""
        line = bisect_right(self.breaks, at - 1)
        begin = self.breaks[line - 1] + 1 if line else 0
        if self._plain:
            return line + 1, at - begin + 1
        return line + 1, len(self._data[begin:at].decode("utf-8", "replace")) + 1


def _breaks(data: bytes) -> list[int]:
    """Where lines end."""
    lengths = map(len, data.split(b"\n"))
    return list(map(add, accumulate(lengths), count()))[:-1]


def read_trees(data: bytes) -> list[Raw]:
    """Every statement of a text that parses, in order. Raises postgast.PgQueryError where it does not."""
    if len(data) <= WHOLE:
        statements = parse_tree(data)
        if statements is not None:
            return [_raw(data, one, len(data), 0) for one in statements]
    return list(_pieces(data))


def _pieces(data: bytes) -> Iterator[Raw]:
    """The statements of a text that is large or deep: many at once where they are short, else one by one."""
    import postgast

    words = data.decode()
    postgast.fingerprint(words)  # judges the syntax of all of it, with the right place
    at = 0
    chunk: list[tuple[int, int]] = []
    for part in postgast.split(words):
        piece = part.encode()
        at = data.index(piece, at)
        if chunk and at + len(piece) - chunk[0][0] > WHOLE:
            yield from _chunk(data, chunk)
            chunk = []
        chunk.append((at, at + len(piece)))
        at += len(piece)
    yield from _chunk(data, chunk)


def _chunk(data: bytes, pieces: list[tuple[int, int]]) -> Iterator[Raw]:
    """The statements of a stretch of a text."""
    if not pieces:
        return
    begin, end = pieces[0][0], pieces[-1][1]
    part = data[begin:end]
    statements = parse_tree(part) if len(part) <= WHOLE else None
    if statements is not None:
        for one in statements:
            raw = _raw(part, one, len(part), begin)
            yield raw._replace(start=raw.start + begin, end=raw.end + begin)
    elif len(pieces) == 1:
        yield Raw(_first(data, begin, end), end, "", {})
    else:
        for piece in pieces:
            yield from _chunk(data, [piece])


def _raw(data: bytes, statement: dict[str, Any], length: int, shift: int) -> Raw:
    start = statement.get("stmt_location", 0)
    end = start + statement["stmt_len"] if "stmt_len" in statement else length
    kind, body = next(iter(statement.get("stmt", {"": {}}).items()))
    return Raw(_first(data, start, end), end, kind, body, shift)


def _first(data: bytes, start: int, end: int) -> int:
    """Where the first word stands."""
    if data[start : start + 1].isalpha():
        return start
    blank = _LEAD.match(data, start, end)
    return blank.end() if blank else start


def parse_tree(data: bytes) -> list[dict[str, Any]] | None:
    """The statements' trees; None where they are too deep to be read."""
    parse, free, check_error, decode = _library()
    result = parse(data)
    try:
        if result.error:
            check_error(result)
        tree = result.parse_tree
    finally:
        free(result)
    try:
        return decode(tree).get("stmts", [])  # type: ignore[no-any-return]
    except (RecursionError, ValueError):  # msgspec's own is a ValueError
        return None


@cache
def _library() -> tuple[Any, Any, Any, Any]:
    """Postgast's functions, imported when the first text is parsed."""
    import msgspec
    from postgast.errors import check_error
    from postgast.native import lib

    return lib.pg_query_parse, lib.pg_query_free_parse_result, check_error, msgspec.json.decode
