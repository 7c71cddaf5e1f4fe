"""Hazards that somebody has looked at and allows, by a comment in the file.

    -- muva: allow drop-column, rename-column: nobody reads it since 1.4.0
    alter table …

allows these rules for the statement that the comment stands before, or in. `allow-file` instead of `allow`,
before the first statement, allows them in the whole file. Without a reason nothing is allowed. What squawk
is told (`-- squawk-ignore RULE`, `-- squawk-ignore-file`) is heeded likewise, and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from muva_console.config.redact import redact
from muva_console.ops.migrations.deeds import Remark, Stated
from muva_console.ops.migrations.trees import Places
from muva_console.ops.text import sanitise_line

_SIGN = re.compile(rb"muva\s*:|squawk-ignore", re.IGNORECASE)
_OURS = re.compile(r"muva\s*:\s*(?P<words>.*)", re.IGNORECASE | re.DOTALL)
_ALLOW = re.compile(r"allow(?P<file>-file)?\b(?P<rules>[^:]*)(?::(?P<reason>.*))?", re.IGNORECASE | re.DOTALL)
_RULE = re.compile(r"[a-z][a-z0-9-]{1,60}")
_SQUAWK = re.compile(r"squawk-ignore(?P<file>-file)?(?![\w-])(?P<rules>.*)", re.DOTALL)
_COMMENTS = frozenset([275, 276])
"""The scanner's numbers of SQL's and of C's comments (pg_query.proto of libpg_query 18)."""
REASON_CAP = 300
"""Characters of a reason that are told. Ours."""


def read_remarks(data: bytes, statements: Sequence[Stated]) -> tuple[Remark, ...]:
    """The comments of a text that allow something, in order. Never raises for what they say."""
    if not _SIGN.search(data):
        return ()
    import postgast

    try:
        tokens = postgast.scan(data.decode()).tokens
    except (UnicodeDecodeError, postgast.PgQueryError):
        return ()
    places = Places(data)
    first = min((one.start for one in statements), default=len(data))
    found = []
    for token in tokens:
        if token.token not in _COMMENTS:
            continue
        words = data[token.start : token.end].decode("utf-8", "replace")
        remark = read_remark(words, token.start, places(token.start), top=token.start < first)
        if remark is not None:
            found.append(remark)
    return tuple(found)


def read_remark(comment: str, start: int, place: tuple[int, int], *, top: bool) -> Remark | None:
    """What one comment allows, with its signs (``--``, ``/*``); None where it is about something else. `top`:
    it stands before the first statement.
    """
    words = comment.removeprefix("--").removeprefix("/*").removesuffix("*/").strip()
    line, column = place
    squawk = _SQUAWK.match(words)
    if squawk is not None:
        rules, _, reason = squawk["rules"].partition("--")
        return Remark(
            line=line,
            column=column,
            start=start,
            rules=tuple(_words(rules)),
            reason=_harmless(reason),
            file=bool(squawk["file"]),
            squawk=True,
        )
    ours = _OURS.match(words)
    if ours is None:
        return None
    allow = _ALLOW.match(ours["words"])
    if allow is None:
        return Remark(
            line=line, column=column, start=start, wrong="`muva:` is followed by `allow RULE: REASON`"
        )
    rules = tuple(_words(allow["rules"]))
    reason = _harmless(allow["reason"] or "")
    wrong = ""
    if not rules or not all(_RULE.fullmatch(rule) for rule in rules):
        wrong = "it names no rule: `muva: allow RULE, RULE: REASON`"
        rules = tuple(rule for rule in rules if _RULE.fullmatch(rule))
    elif not reason:
        wrong = "it gives no reason: `muva: allow RULE: REASON`"
    elif allow["file"] and not top:
        wrong = "`allow-file` stands before the first statement"
    return Remark(
        line=line,
        column=column,
        start=start,
        rules=rules,
        reason=reason,
        file=bool(allow["file"]),
        wrong=wrong,
    )


def statement_of(remark: Remark, statements: Sequence[Stated]) -> int | None:
    """The number of the statement that a remark is about: the one it stands in, else the next."""
    for number, one in enumerate(statements):
        if remark.start < one.end:
            return number
    return None


def _words(text: str) -> Iterable[str]:
    return (word.lower() for word in re.split(r"[\s,]+", text.strip()) if word)


def _harmless(text: str) -> str:
    return sanitise_line(redact(sanitise_line(" ".join(text.split()))), cap=REASON_CAP)
