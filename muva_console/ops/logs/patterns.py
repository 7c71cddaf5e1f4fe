"""Error lines as patterns: what is particular to one occurrence is masked, what is left is counted.

As log parsers do it (Drain, He et al. 2017, masks numbers and identifiers before it compares), without
learning: two lines are of one pattern when they differ in times, numbers, identifiers, paths and quoted
values alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Stream
from muva_console.ops.logs.parse import continues
from muva_console.ops.text import LINE_CAP, sanitise_line

LOOKED_AT = 600
"""Characters of a line that make its pattern. Ours: what comes later is somebody's data."""
LONGEST = 200
"""Characters of a pattern as it is shown and compared."""
MOST = 500
"""Patterns that are told apart; the rest goes into one, so that a hostile log costs no memory."""
OTHERS = "(other lines)"

# Each repeat is possessive or of one class of characters: a hostile line costs time in proportion.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
            r"|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b"
        ),
        "‹time›",
    ),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "‹id›"),
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>`]++"), "‹address›"),
    (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]{1,63}(?:\.[\w-]{1,63})++"), "‹address›"),
    (re.compile(r"(?<![\w/])(?:[A-Za-z]:\\|~?/|\.{1,2}/)[^\s\"'()<>,;:]++(?::\d++){0,2}"), "‹path›"),
    # names of the code and of the schema stay: without them two defects would be one pattern
    (
        re.compile(
            r"(?<!reading )(?<!property )(?<!relation )(?<!column )(?<!table )(?<!constraint )"
            r"(?:\"[^\"]*+\"|(?<!\w)'[^']*+'|`[^`]*+`)"
        ),
        "‹value›",
    ),
    (re.compile(r"\b0x[0-9a-fA-F]++\b|\b(?=[a-fA-F]*+\d)[0-9a-fA-F]{7,}+\b"), "‹id›"),
    (re.compile(r"\b(?=[A-Za-z_-]*+\d)(?=[\d_-]*+[A-Za-z])[\w-]{16,}+"), "‹id›"),
    (re.compile(r"(?<![A-Za-z_\d])[-+]?\d++(?:[.,:]\d++)*+(?:[a-z%]{1,3}\b)?"), "‹n›"),
)
_SPACE = re.compile(r"\s+")
_REQUEST = re.compile(
    r"\s*(?P<method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (?P<path>[^\s?#]{1,200})\S*+ (?P<status>\d{3})\b"
)
_SEGMENT = re.compile(r"(?<=/)(?:\d++|[0-9a-fA-F-]{16,}+)(?=/|$)")
_MESSAGES = ("msg", "message", "error", "err")
_GLYPHS = " \t⨯✖✗✘❌⚠"


class Event(Struct, frozen=True):
    """One error of a log: a line, without the frames that follow it."""

    template: str
    line: LogLine
    at_ms: int | None = None
    """When (ms since 1970, the host's clock); None when the log does not tell."""
    last: bool = False
    """Nothing but its own frames follows it in what was read of the file."""


class Pattern(Struct, kw_only=True):
    """What occurred, how often, and when."""

    template: str
    count: int = 0
    example: str = ""
    """The newest line."""
    first_ms: int | None = None
    last_ms: int | None = None


def template(text: str) -> str:
    """The pattern of a line: ``connect ECONNREFUSED ‹n›``; at most `LONGEST` characters."""
    text = text[:LINE_CAP]
    if text[:1] == "{":
        text = _message(text)
    request = _REQUEST.match(text)
    if request is not None:  # which page fails, and how, is what a pattern of requests is about
        path = _SEGMENT.sub("‹id›", request["path"])
        return f"{request['method']} {path} {request['status']}"[:LONGEST]
    masked = text[:LOOKED_AT]
    for pattern, stands in _MASKS:
        masked = pattern.sub(stands, masked)
    return _SPACE.sub(" ", masked).strip(_GLYPHS)[:LONGEST].rstrip()


def _message(text: str) -> str:
    """What a line of JSON says, or the line where it says nothing that is known."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text
    if not isinstance(document, dict):
        return text
    parts = []
    for key in _MESSAGES:
        value = document.get(key)
        if isinstance(value, dict):
            value = value.get("message") or value.get("type")
        if isinstance(value, str) and value not in parts:
            parts.append(value)
    return sanitise_line(": ".join(parts), cap=LINE_CAP) if parts else text


def errors(lines: Sequence[LogLine]) -> list[Event]:
    """The errors among the lines of one file, in order. Frames of a stack and the rest of an object
    belong to the line above them; they are no errors of their own.
    """
    found: list[Event] = []
    since_then = False
    for line in reversed(lines):
        if not line.text or continues(line.text):
            continue
        if line.level is LogLevel.ERROR and line.stream is not Stream.NOTE and (told := template(line.text)):
            at_ms = line.at_ms if line.clock is not Clock.UNKNOWN else None
            found.append(Event(told, line, at_ms, not since_then))
        since_then = True
    return found[::-1]


def patterns(events: Iterable[Event]) -> list[Pattern]:
    """The events by pattern, the most frequent first."""
    found: dict[str, Pattern] = {}
    for event in events:
        key = event.template if event.template in found or len(found) < MOST else OTHERS
        pattern = found.setdefault(key, Pattern(template=key))
        pattern.count += 1
        pattern.example = event.line.text.strip()
        if event.at_ms is not None:
            pattern.first_ms = min(event.at_ms, pattern.first_ms or event.at_ms)
            pattern.last_ms = max(event.at_ms, pattern.last_ms or event.at_ms)
    return sorted(found.values(), key=lambda one: (-one.count, one.template))
