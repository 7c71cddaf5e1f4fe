"""The lines of several files as one, by time, as far as it is known.

Within a file nothing changes places. A line without a time of its own goes with the line before it. A
file without any times ends when it was last changed; of its other lines the time is unknown, and said to be.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from muva_console.ops.logs.model import Clock, LogLine

_Keyed = tuple[int, int, int, LogLine]


def interleave(files: Iterable[tuple[Sequence[LogLine], int]]) -> list[LogLine]:
    """All lines of `files`, each given as its lines and when it was last changed (ms since 1970)."""
    keyed = [_keyed(number, lines, modified) for number, (lines, modified) in enumerate(files)]
    return [line for _, _, _, line in heapq.merge(*keyed)]


def _keyed(number: int, lines: Sequence[LogLine], modified_ms: int) -> list[_Keyed]:
    known = next((line.at_ms for line in lines if line.at_ms is not None), None)
    stamped = known is not None
    latest = known if known is not None else modified_ms
    keyed = []
    for place, line in enumerate(lines):
        told = line
        if line.at_ms is not None:
            latest = max(latest, line.at_ms)
        elif stamped or place == len(lines) - 1:
            told = replace(line, at_ms=latest, clock=Clock.ESTIMATED)
        keyed.append((latest, number, place, told))
    return keyed
