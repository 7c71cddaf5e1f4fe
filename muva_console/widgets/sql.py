"""SQL as it is shown: keywords, strings and comments told apart, by style and never by a level's colour.

One pass of one regular expression whose alternatives cannot be entered twice, so that the time it takes
grows with the text alone, whatever the text is. What stands between dollar quotes is code more often than
not and is shown as SQL too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textual.content import Content, Span

KEYWORDS = frozenset(
    """
    add after all alter analyze and any array as asc before begin between bigserial by call cascade case
    cast check close cluster collate column comment commit concurrently conflict constraint copy create
    cross current_date current_timestamp current_user database deallocate declare default deferrable
    deferred definer delete desc detach disable distinct do drop each else elsif enable end enum except
    exception exclude execute exists explain extension fetch filter first for force foreign from full
    function generated grant group having identity if ilike immutable in include index inherit inherits
    initially inner insert instead intersect into invoker is isnull join key language last lateral left
    like limit lock loop materialized merge natural next no not nothing notify notnull null nulls of off
    offset on only open operator or order outer over owned owner partition perform policy prepare
    primary privileges procedure publication raise references refresh reindex rename replace reset
    restart restrict return returning returns revoke right role rollback row rows rule savepoint schema
    security select sequence serial session set setof share similar skip stable statement statistics
    storage strict subscription system table tablespace temp temporary then to transaction trigger
    truncate type union unique unlogged update using vacuum valid validate values variadic view volatile
    when where while window with within without work
    """.split()  # noqa: SIM905 - a list of a word a line would be longer than all else here
)
"""What is shown as a word of the language; the names of types are not."""

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?)"
    r"|(?P<string>[eE]'(?:[^'\\]++|\\.|'')*+'?|'(?:[^']++|'')*+'?)"
    r'|(?P<name>"(?:[^"]++|"")*+"?)'
    r"|(?P<quote>\$(?:[A-Za-z_]\w*)?\$)"
    r"|(?P<number>\b\d[\d_]*(?:\.\d+)?\b)"
    r"|(?P<word>[^\W\d]\w*)",
    re.DOTALL,
)
_STYLE = {
    "comment": "$t-sql-comment",
    "string": "$t-sql-string",
    "number": "$t-sql-string",
    "quote": "$t-sql-comment",
}


def highlighted(text: str) -> list[Content]:
    """Harmless text (see `ops.text`) as lines of Content."""
    lines = text.split("\n")
    spans: list[list[Span]] = [[] for _ in lines]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    row = 0
    for start, end, style in _styled(text):
        while starts[row + 1] <= start:
            row += 1
        at = row
        while at < len(lines) and starts[at] < end:  # a comment or a string may go over several lines
            first, last = max(start, starts[at]), min(end, starts[at + 1] - 1)
            if first < last:
                spans[at].append(Span(first - starts[at], last - starts[at], style))
            at += 1
    return [Content(line, spans=of) for line, of in zip(lines, spans, strict=True)]


def _styled(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "word":
            if match[0].lower() in KEYWORDS:
                yield match.start(), match.end(), "$t-sql-keyword"
        elif kind in _STYLE:
            yield match.start(), match.end(), _STYLE[kind]
