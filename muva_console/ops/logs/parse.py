"""What one line says of itself: when, and how loud.

It is called for every line of every process, so substring tests (a memchr each) come before any
regular expression.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Origin, Stream

_ERROR, _WARN, _INFO, _DEBUG, _NONE = (
    LogLevel.ERROR,
    LogLevel.WARN,
    LogLevel.INFO,
    LogLevel.DEBUG,
    LogLevel.NONE,
)

# PM2's --time ("2025-11-05T12:00:00: …"), other log_date_formats that begin with an ISO date, and the
# ISO 8601 of most loggers, bracketed or not.
_STAMP = re.compile(
    r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r" ?(Z|[+-]\d\d:?\d\d)?(?:\]:?|:)?(?:\s|$)"
)
_JSON_TIME = re.compile(
    r'"(?:time|timestamp|ts|@timestamp)"\s*:\s*(?:"([^"]{10,40})"|(\d{10,16})(?:\.\d+)?\b)'
)
_JSON_LEVEL = re.compile(r'"(?:level|severity|lvl)"\s*:\s*(?:"(\w{1,12})"|(\d{1,2})\b)', re.IGNORECASE)

_GLYPHS = {
    "⨯": _ERROR,
    "✖": _ERROR,
    "✗": _ERROR,
    "✘": _ERROR,
    "❌": _ERROR,
    "⚠": _WARN,
    "✓": _INFO,
    "✔": _INFO,
    "○": _INFO,
    "▲": _INFO,  # Next.js: "▲ Next.js 15.0.3"
    "ℹ": _INFO,
}
_WORDS = {
    "error": _ERROR,
    "err": _ERROR,
    "fatal": _ERROR,
    "critical": _ERROR,
    "crit": _ERROR,
    "emerg": _ERROR,
    "alert": _ERROR,
    "panic": _ERROR,
    "severe": _ERROR,
    "warn": _WARN,
    "warning": _WARN,
    "info": _INFO,
    "notice": _INFO,
    "event": _INFO,
    "ready": _INFO,
    "wait": _INFO,
    "log": _INFO,
    "http": _INFO,
    "debug": _DEBUG,
    "verbose": _DEBUG,
    "trace": _DEBUG,
    "silly": _DEBUG,
}
# "ERROR …", "[error] …", "warn - …", "info:": the first word, looked up in _WORDS
_LEADING = re.compile(r"\W{0,3}([A-Za-z]{3,8})(?=[\]\s:)|,]|$)")
_LOGFMT = re.compile(r"\b(?:level|lvl|severity)=\"?(\w{1,12})", re.IGNORECASE)
# "TypeError: …", "Error: …", "Uncaught Exception", "[ERROR]" further in, as most formatters print it
_ANYWHERE = re.compile(
    r"(?P<error>\b[A-Z]\w{0,40}?(?:Error|Exception)\b|\b(?:Error|Uncaught|Unhandled\w{0,30})\b(?=[:\s\]])"
    r"|\[error\]|\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|\bFATAL ERROR\b)"
    r"|(?P<warn>\bW(?:arning|ARNING|ARN)\b|\[warn(?:ing)?\]|\b\w{1,40}?Warning\b)"
)
_REQUEST = re.compile(r"\s*(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) \S+ (\d)\d\d\b")
_METHODS = frozenset("GPDHO")
_LOOKED_AT = 400
"""Characters of a line in which a level is looked for: what formatters print comes first."""

_CONTINUES = re.compile(r"\s|[\])}]|at\s\S.*(?:\)|:\d+)$|Caused by:|\[cause\]:|\.\.\. \d+ (?:more|lines)")

_PINO = ((50, _ERROR), (40, _WARN), (30, _INFO), (0, _DEBUG))


class LineParser:
    """Parses the lines of one output of one process, in order; stack traces take the level of their head.

    `utc_offset` is how many seconds the host's clock reads ahead of UTC, for stamps that name no zone
    (PM2's --time prints the host's local time); None when it is not known, and then such a stamp is an
    estimate.
    """

    def __init__(self, origin: Origin, *, utc_offset: float | None = 0.0) -> None:
        self.origin = origin
        self._default = _ERROR if origin.stream is Stream.ERR else _NONE
        self._head = self._default
        self._head_at: int | None = None
        self._offset = utc_offset
        self._unzoned = Clock.STAMPED if utc_offset is not None else Clock.ESTIMATED
        self._seconds: dict[str, int] = {}
        self._minutes: dict[tuple[str, str | None], int | None] = {}

    def parse(self, text: str, arrived_ms: int | None = None) -> LogLine:
        """One sanitised line; `arrived_ms` is its time where it carries none."""
        at_ms: int | None = None
        clock = _UNKNOWN
        first = text[:1]
        if first in _MAY_STAMP:
            if text[19:21] == ": " and (at_ms := self._seconds.get(text[:19])) is not None:
                # PM2's own stamp, of a second that was seen already
                clock = self._unzoned
                text = text[21:]
                first = text[:1]
            elif (stamp := _STAMP.match(text)) is not None and (at_ms := self._stamped(stamp)) is not None:
                if stamp.end() == 21 and text[19] == ":":
                    if len(self._seconds) > 256:
                        self._seconds.clear()
                    self._seconds[text[:19]] = at_ms
                clock = _STAMPED if stamp[4] is not None else self._unzoned
                text = text[stamp.end() :]
                first = text[:1]
        elif first == "{" and '"' in text[:4]:
            at_ms = self._json_time(text)
            if at_ms is not None:
                clock = _STAMPED
        told: LogLevel | None
        if first in _MAY_CONTINUE:
            continues, told = _continuation(text, first)
        else:
            continues, told = False, level_of(text)
        if first == "":
            level = _NONE
        elif continues:
            level = self._head
            if at_ms is None and arrived_ms is None and self._head_at is not None:
                # a frame was written with its head; only the head carries the time
                at_ms, clock = self._head_at, _ESTIMATED
        else:
            level = self._head = self._default if told is None else told
            self._head_at = at_ms
        if at_ms is None and arrived_ms is not None:
            at_ms, clock = arrived_ms, _ARRIVED
        return LogLine(self.origin, text, level, at_ms, clock)

    def _stamped(self, stamp: re.Match[str]) -> int | None:
        minute, seconds, fraction, zone = stamp.groups()
        key = (minute, zone)
        epoch = self._minutes.get(key, -1)
        if epoch == -1:
            if len(self._minutes) > 256:
                self._minutes.clear()
            epoch = self._minutes[key] = _minute(minute, zone, self._offset or 0.0)
        if epoch is None or seconds > "60":
            return None
        milliseconds = int((fraction + "00")[:3]) if fraction else 0
        return epoch + int(seconds) * 1000 + milliseconds

    def _json_time(self, text: str) -> int | None:
        found = _JSON_TIME.search(text)
        if found is None:
            return None
        written, number = found.groups()
        if number is not None:
            value = int(number)
            return value * 1000 if value < 100_000_000_000 else value if value < 100_000_000_000_000 else None
        stamp = _STAMP.match(written)
        return None if stamp is None else self._stamped(stamp)


_UNKNOWN, _ESTIMATED, _ARRIVED, _STAMPED = Clock.UNKNOWN, Clock.ESTIMATED, Clock.ARRIVED, Clock.STAMPED
_MAY_STAMP = frozenset("2[")
_MAY_CONTINUE = frozenset(" \t])}aC.[")


def continues(text: str) -> bool:
    """Whether a line belongs to the one before: a frame of a stack trace, the rest of an object."""
    first = text[:1]
    return first in _MAY_CONTINUE and _continuation(text, first)[0]


def _continuation(text: str, first: str) -> tuple[bool, LogLevel | None]:
    """Whether a line belongs to the one before (a frame of a stack trace, the rest of an object); the
    level it tells where it does not.
    """
    if first == " ":
        # Next.js indents its own lines: " ⨯ Error: …", " GET / 200 in 8ms", "   ▲ Next.js 15.0.3"
        if text[1:2] != " ":
            told = level_of(text)
            return told is None, told
        told = _GLYPHS.get(text.lstrip()[:1])
        return told is None, told
    if (first == "[" and not text.startswith("[cause]")) or _CONTINUES.match(text) is None:
        return False, level_of(text)
    return True, None


def _minute(written: str, zone: str | None, offset: float) -> int | None:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    if zone is None:
        tz = timezone(timedelta(seconds=offset))
    elif zone == "Z":
        tz = UTC
    else:
        sign = -1 if zone[0] == "-" else 1
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        if minutes >= 24 * 60:
            return None
        tz = timezone(timedelta(minutes=sign * minutes))
    try:
        return int(at.replace(tzinfo=tz).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def level_of(text: str) -> LogLevel | None:
    """The level that a line tells of itself, None when it does not."""
    first = text[:1]
    if first == " ":
        text = text.lstrip()
        first = text[:1]
    if not first:
        return None
    if not first.isascii() and (known := _GLYPHS.get(first)) is not None:
        return known
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT]
    if first == "{" and (found := _JSON_LEVEL.search(text)) is not None:
        word, number = found.groups()
        if word is not None:
            return _WORDS.get(word.lower())
        value = int(number)
        # below 10 it is not pino's scale but syslog's, where 0 is the worst
        return next(level for least, level in _PINO if value >= least) if value >= 10 else _syslog(value)
    if first in _METHODS and (request := _REQUEST.match(text)) is not None:
        return _ERROR if request[1] == "5" else _INFO
    leading = _LEADING.match(text)
    if leading is not None and (known := _WORDS.get(leading[1].lower())) is not None:
        return known
    if (
        "=" in text
        and ("level=" in text or "lvl=" in text or "severity=" in text)
        and (logfmt := _LOGFMT.search(text)) is not None
    ):
        return _WORDS.get(logfmt[1].lower())
    if (
        "rror" in text
        or "arn" in text
        or "RROR" in text
        or "xception" in text
        or "nhandled" in text
        or "ncaught" in text
        or "WARN" in text
        or "FATAL" in text
        or "CRITICAL" in text
        or "PANIC" in text
    ) and (anywhere := _ANYWHERE.search(text)) is not None:
        return _ERROR if anywhere["error"] is not None else _WARN
    return None


def _syslog(value: int) -> LogLevel:
    return _ERROR if value <= 3 else _WARN if value == 4 else _INFO if value <= 6 else _DEBUG
