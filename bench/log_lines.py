"""Lines as a Next.js server under PM2 writes them, for the figures of the log."""

from __future__ import annotations

A_SECOND = 50
"""Lines that carry the same stamp: a server with something to do."""


def text(start: int, count: int) -> str:
    """`count` lines of about 85 characters: requests, chat, now and then an error with its frame."""
    lines = []
    for number in range(start, start + count):
        second = number // A_SECOND
        stamp = f"2025-11-05T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}: "
        kind = number % 20
        if kind == 0:
            lines.append(f"{stamp}Error: connect ECONNREFUSED 127.0.0.1:5432, request {number}")
        elif kind == 1:
            lines.append(f"{stamp}    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)")
        elif kind < 10:
            lines.append(f"{stamp} GET /api/accommodations/{number}?from=2025-11-05 200 in {number % 90}ms")
        else:
            lines.append(f"{stamp}chat message {number} delivered to tenant simmerdown, channel web")
    return "\n".join(lines) + "\n"
