"""What an error line is a sign of: a port that is taken, a variable that is not set, code that does not run.

Sources of the words: Node's "Common system errors" (EADDRINUSE, ECONNREFUSED, ENOTFOUND, ENOSPC), V8's own
messages (SyntaxError, heap out of memory), PostgreSQL's (42P01 undefined_table, 42703 undefined_column), and
what validators of environments say (t3-env, envalid, zod: "Invalid environment variables", "must be set").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.logs.patterns import Event, patterns

LATELY = 15 * 60 * 1000
"""Milliseconds within which an error is of now. Ours: half of the usual window for errors."""


class Sign(StrEnum):
    """What an error speaks for."""

    PORT = "port"
    CONFIGURATION = "configuration"
    MEMORY = "memory"
    SCHEMA = "schema"
    CODE = "code"
    DISK = "disk"
    CONNECTION = "connection"


_SIGNS = (
    (Sign.PORT, re.compile(r"EADDRINUSE|address already in use", re.IGNORECASE)),
    (Sign.DISK, re.compile(r"ENOSPC|no space left on device", re.IGNORECASE)),
    (Sign.MEMORY, re.compile(r"heap out of memory|ENOMEM", re.IGNORECASE)),
    (
        Sign.CONFIGURATION,
        re.compile(
            r"environment variables?\b|\benv(?:ironment)? var\b|must be set|is not set\b"
            r"|missing required (?:env|config)",
            re.IGNORECASE,
        ),
    ),
    (
        Sign.SCHEMA,
        re.compile(
            r"(?:relation|column|function|type) \S{1,200} (?:of relation \S{1,200} )?does not exist"
            r"|\b42P01\b|\b42703\b",
            re.IGNORECASE,
        ),
    ),
    (
        Sign.CODE,
        re.compile(
            r"SyntaxError|Cannot find module|MODULE_NOT_FOUND|ReferenceError|TypeError"
            r"|Could not find a production build",
        ),
    ),
    (Sign.CONNECTION, re.compile(r"ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH|fetch failed")),
)


class Group(Struct, frozen=True, kw_only=True):
    """Errors of one pattern, lately."""

    sign: Sign | None
    count: int
    first_ms: int | None
    last_ms: int | None
    example: str


def sign_of(line: str) -> Sign | None:
    """What a line speaks for; None where it is none that is known here."""
    return next((sign for sign, words in _SIGNS if words.search(line)), None)


def groups_of(events: Iterable[Event], now_ms: int) -> tuple[Group, ...]:
    """The errors of the last `LATELY`, grouped by pattern, the most frequent first. An error whose time the
    log does not tell is of now where nothing follows it: it is the last that was said.
    """
    lately = [
        event
        for event in events
        if (event.at_ms is not None and event.at_ms >= now_ms - LATELY)
        or (event.at_ms is None and event.last)
    ]
    return tuple(
        Group(
            sign=sign_of(pattern.example) or sign_of(pattern.template),
            count=pattern.count,
            first_ms=pattern.first_ms,
            last_ms=pattern.last_ms,
            example=pattern.example,
        )
        for pattern in patterns(lately)
    )
