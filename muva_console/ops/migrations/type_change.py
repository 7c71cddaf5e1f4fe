"""Whether changing a column's type rewrites its table.

PostgreSQL's ALTER TABLE page ("binary coercible" types and unconstrained domains need no rewrite) and
`ATColumnChangeRequiresRewrite`; which length coercions are free: the support functions of varchar, bit
varying, numeric and the times.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Change(StrEnum):
    """What a change of type does."""

    FREE = "free"
    """Only the catalog changes."""
    REWRITE = "rewrite"
    UNKNOWN = "unknown"
    """Free from a type of the same family, a rewrite from any other; the old one is not known. Or free where
    the session's TimeZone is UTC, and a rewrite elsewhere."""


_TYPE = re.compile(r"(?P<head>[^(\[]+)(?:\((?P<of>[\d,\s-]+)\)(?P<tail>[^(\[]*))?(?P<array>(?:\[\])*)")
_TEXTS = ("text", "character varying")
_LENGTHS = ("character varying", "bit varying", "time", "timestamp")
_ZONES = {"with time zone", "without time zone"}
_SPELT = {"varchar": "character varying", "decimal": "numeric", "int": "integer"}


def change(old: str, new: str, *, using: str = "") -> Change:
    """What a change from `old` (empty: not known) to `new` does, both as `format_type` spells them. `using`:
    ``using`` for an expression, ``using cast`` for a mere cast of the column.
    """
    if using == "using":
        return Change.REWRITE
    if not old:
        wide = _parts(new)[0] in (*_TEXTS, "bit varying") or _parts(new)[:2] == ("numeric", None)
        return Change.UNKNOWN if wide and using != "using cast" else Change.REWRITE
    (before, size, tail), (after, room, end) = _parts(old), _parts(new)
    if (before, size, tail) == (after, room, end):
        return Change.FREE
    if before in _TEXTS and after in _TEXTS and tail == end:
        return Change.FREE if room is None or (size is not None and room >= size) else Change.REWRITE
    if before == after and tail == end:
        if room is None:
            return Change.FREE
        if size is None:
            return Change.REWRITE
        if before == "numeric":
            grows = room[0] >= size[0] and (*room, 0)[1] == (*size, 0)[1]
            return Change.FREE if grows else Change.REWRITE
        if before in _LENGTHS and room >= size:
            return Change.FREE
    if (before, after) == ("timestamp", "timestamp") and {tail, end} == _ZONES and size == room:
        return Change.UNKNOWN
    if (before, after) == ("cidr", "inet"):
        return Change.FREE
    return Change.REWRITE


def _parts(type: str) -> tuple[str, tuple[int, ...] | None, str]:
    """``("character varying", (50,), "")``; the tail is what follows the size."""
    found = _TYPE.fullmatch(" ".join(type.lower().split()))
    if found is None:
        return type, None, ""
    head = found["head"].strip()
    head = _SPELT.get(head, head)
    size = tuple(int(one) for one in found["of"].split(",")) if found["of"] else None
    tail = (found["tail"] or "").strip()
    # without a size the zone is part of the head
    if size is None and head.startswith("time") and " " in head:
        head, _, tail = head.partition(" ")
    return head, size, tail + found["array"]
