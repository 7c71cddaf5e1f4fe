"""A line over time, drawn in braille dots: four rows and two columns a cell, gaps left open.

textual-plotext draws axes and much else, at 60 ms of import and several widgets; two small plots beside
the findings need a line, a limit and two figures at the edge.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from muva_console.ops.readings import Level
from muva_console.widgets.format import milliseconds
from muva_console.widgets.spark import TREND, buckets, joined, worst_of

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille dots by row and column (Unicode 15, chapter 21.1)."""
AXIS = 9
"""Cells of the figures at the left edge."""


def plot(
    values: Sequence[float | None],
    width: int,
    height: int,
    *,
    levels: Sequence[Level | None] = (),
    limit: float | None = None,
    ceiling: float = 0.0,
) -> list[Content]:
    """`height` lines of `width` cells; milliseconds from 0 up. Where nothing is known nothing is drawn.

    Each point takes the colour of its level; a line stands at `limit`.
    """
    columns = max(1, width - AXIS)
    if height < 1:
        return []
    points = buckets(values, columns * 2)
    top = _round_up(max([ceiling, *(value for value in points if value is not None)]))
    rows = height * 4
    cells = [[0] * columns for _ in range(height)]
    marks = worst_of(levels, columns) if levels else [None] * columns
    before: int | None = None
    for x, value in enumerate(points):
        if value is None:
            before = None
            continue
        y = rows - 1 - min(rows - 1, round(value / top * (rows - 1)))
        for step in _between(before, y):
            cells[step // 4][x // 2] |= _DOTS[step % 4][x % 2]
        before = y
    limit_row = None
    if limit is not None and limit < top:
        limit_row = (rows - 1 - round(limit / top * (rows - 1))) // 4
        if limit_row == height - 1:
            limit_row = None
    lines = []
    for row in range(height):
        label = milliseconds(top) if row == 0 else "0" if row == height - 1 else ""
        if row == limit_row and not label and limit is not None:
            label = milliseconds(limit)
        parts: list[tuple[str, str]] = [(f"{label:>{AXIS - 2}} ", "$t-muted"), ("│", "$t-faint")]
        for x in range(columns):
            bits = cells[row][x]
            if bits:
                parts.append((chr(0x2800 + bits), TREND[marks[x]]))
            elif row == limit_row:
                parts.append(("╌", "$t-faint"))
            else:
                parts.append((" ", ""))
        lines.append(joined(parts))
    return lines


def _between(before: int | None, now: int) -> range:
    """The rows that join a point with the one before it."""
    if before is None or abs(before - now) <= 1:
        return range(now, now + 1)
    return range(before + 1, now + 1) if now > before else range(now, before)


def _round_up(value: float) -> float:
    """A round figure for the top of the scale."""
    if value <= 0:
        return 1.0
    unit = 1.0
    while unit * 10 <= value:
        unit *= 10
    while unit > value:
        unit /= 10
    for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10):
        if unit * step >= value:
            return unit * step
    return unit * 10
