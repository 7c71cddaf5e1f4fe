"""History in one line: sparklines whose gaps say "not known", and gauges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from textual.content import Content

from muva_console.ops.readings import Level, worst

_STEPS = "▁▂▃▄▅▆▇█"


def buckets(values: Sequence[float | None], width: int) -> list[float | None]:
    """`values` spread over `width` places: the highest of each, None where nothing is known."""
    count = len(values)
    if width <= 0 or not count:
        return [None] * max(0, width)
    out: list[float | None] = []
    for place in range(width):
        start = place * count // width
        end = max(start + 1, (place + 1) * count // width)
        part = [value for value in values[start:end] if value is not None]
        out.append(max(part) if part else None)
    return out


def worst_of(levels: Sequence[Level | None], width: int) -> list[Level | None]:
    """`levels` spread over `width` places: the worst of each, None where nothing was looked at."""
    count = len(levels)
    if width <= 0 or not count:
        return [None] * max(0, width)
    out: list[Level | None] = []
    for place in range(width):
        start = place * count // width
        end = max(start + 1, (place + 1) * count // width)
        part = [level for level in levels[start:end] if level is not None]
        out.append(worst(part) if part else None)
    return out


TREND: dict[Level | None, str] = {
    Level.FAIL: "$t-hot",
    Level.WARN: "$t-warn",
    Level.UNKNOWN: "$t-unknown",
    Level.OK: "$t-muted",
    None: "$t-muted",
}
"""How a value of history is drawn: its figure is quiet, its level is not."""


def sparkline(
    values: Sequence[float | None],
    width: int,
    *,
    levels: Sequence[Level | None] = (),
    ceiling: float = 0.0,
) -> Content:
    """`width` cells; scaled from 0 to the highest value (at least `ceiling`: a steady low series stays
    low). Each value takes the colour of its level. A gap is a dot, a failure without a value a cross;
    what was before the first reading stays blank.
    """
    cells = buckets(values, width)
    marks = worst_of(levels, width) if levels else [None] * len(cells)
    top = max([ceiling, *(value for value in cells if value is not None)])
    parts: list[tuple[str, str]] = []
    begun = False
    for value, level in zip(cells, marks, strict=True):
        begun = begun or value is not None or level is not None
        if value is None and level is Level.FAIL:
            parts.append(("✖", TREND[level]))
        elif value is None:
            parts.append(("·" if begun else " ", "$t-faint"))
        else:
            step = _STEPS[min(7, int(value / top * 7.999))] if top > 0 else _STEPS[0]
            parts.append((step, TREND[level]))
    return joined(parts)


def joined(parts: Iterable[tuple[str, str]]) -> Content:
    """Cells as content, neighbours of one style as one: a style change costs twenty bytes at the terminal."""
    return Content.assemble(
        *(("".join(text for text, _ in group), style) for style, group in groupby(parts, key=itemgetter(1)))
    )


def gauge(
    fraction: float | None, width: int, *, limit: float | None = None, unknown: str = "not known"
) -> Content:
    """A bar of `width` cells; the part used in plain text, beyond `limit` in the colour of a warning."""
    if fraction is None:
        return Content.styled(unknown[:width], "$t-unknown")
    filled = max(0, min(width, round(fraction * width)))
    style = "$t-warn" if limit is not None and fraction > limit else "$t-muted"
    bar = Content.styled("━" * filled, style) + Content.styled("─" * (width - filled), "$t-faint")
    if limit is not None and 0 < limit < 1:
        at = min(width - 1, int(limit * width))
        if at >= filled:
            bar = bar[:at] + Content.styled("┼", "$t-muted") + bar[at + 1 :]
    return bar
