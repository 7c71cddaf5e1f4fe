"""Log lines for pictures."""

from __future__ import annotations

from muva_console.ops.logs.buffer import LogBuffer, LogState
from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Origin, Stream
from tests.screens import estate

_SAID = (
    (Stream.OUT, LogLevel.INFO, "▲ Next.js 15.0.3"),
    (Stream.OUT, LogLevel.INFO, "✓ Ready in 412ms"),
    (Stream.OUT, LogLevel.INFO, "GET /api/health 200 in 8ms"),
    (Stream.OUT, LogLevel.INFO, "GET /accommodations 200 in 41ms"),
    (Stream.ERR, LogLevel.WARN, "warn - fetch failed once, trying again: bookings"),
    (Stream.ERR, LogLevel.ERROR, "Error: connect ECONNREFUSED 10.0.0.5:5432"),
    (Stream.ERR, LogLevel.ERROR, "    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)"),
    (Stream.OUT, LogLevel.INFO, "GET /api/health/db 500 in 12ms"),
)


def fill(buffer: LogBuffer, host: str, process: str) -> None:
    """Forty lines, the last of them now."""
    now = int(estate.NOW.timestamp() * 1000)
    lines = []
    for number in range(40):
        stream, level, text = _SAID[number % len(_SAID)]
        at = now - (40 - number) * 1700
        lines.append(LogLine(Origin(host, process, stream), text, level, at, Clock.STAMPED))
    buffer.append(lines)
    buffer.set_state(LogState(host=host, live=True, detail="live by PM2's bus", since=estate.NOW))
