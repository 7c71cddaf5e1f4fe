"""What a line of a log is, and where it came from."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from msgspec import Struct


class Stream(StrEnum):
    """Which of a process's outputs a line came by; NOTE is the console's own remark between lines."""

    OUT = "out"
    ERR = "err"
    NOTE = "note"


class LogLevel(IntEnum):
    """How loud a line is; the order is the order of loudness. NONE: the line does not say."""

    NONE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4

    @property
    def word(self) -> str:
        """``error``, ``warn``, ``info``, ``debug``, ``none``."""
        return self.name.lower()


class Clock(IntEnum):
    """What a line's time rests on."""

    UNKNOWN = 0
    """There is no time: an old line of a file that carries none."""
    ESTIMATED = 1
    """Taken from a neighbouring line or from the file's last change."""
    ARRIVED = 2
    """When PM2, or the console where it followed the file itself, got the line."""
    STAMPED = 3
    """The line says so itself."""


class Origin(Struct, frozen=True):
    """One output of one process on one host."""

    host: str
    process: str
    """Sanitised."""
    stream: Stream


class LogLine(Struct, frozen=True, gc=False):
    """One line, fit for a screen: sanitised, capped, without the time stamp it began with.

    Lines are many and short-lived (the buffer keeps columns, not objects), so they hold no reference
    cycles and are kept out of the garbage collector's books.
    """

    origin: Origin
    text: str
    level: LogLevel = LogLevel.NONE
    at_ms: int | None = None
    """Milliseconds since 1970 UTC; None when `clock` is UNKNOWN."""
    clock: Clock = Clock.UNKNOWN
    seq: int = -1
    """The line's number in its buffer, from 0 and never used twice; -1 outside of a buffer."""

    @property
    def host(self) -> str:
        """The host's name in muva.toml."""
        return self.origin.host

    @property
    def process(self) -> str:
        """The process's name in PM2."""
        return self.origin.process

    @property
    def stream(self) -> Stream:
        """The output it came by."""
        return self.origin.stream

    @property
    def at(self) -> datetime | None:
        """The line's time in UTC."""
        return None if self.at_ms is None else datetime.fromtimestamp(self.at_ms / 1000, UTC)

    def as_json(self) -> dict[str, Any]:
        """The line as `muva logs --json` prints it."""
        at = self.at
        return {
            "at": None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "clock": self.clock.name.lower(),
            "host": self.host,
            "process": self.process,
            "stream": self.stream.value,
            "level": self.level.word,
            "text": self.text,
        }


def note(host: str, text: str, *, process: str = "", at_ms: int | None = None) -> LogLine:
    """The console's own remark among the lines, e.g. that lines may be missing here."""
    return LogLine(
        Origin(host, process, Stream.NOTE),
        f"— {text} —",
        LogLevel.NONE,
        at_ms,
        Clock.UNKNOWN if at_ms is None else Clock.ARRIVED,
    )
