"""History in one line: sparklines whose gaps say "not known", and gauges."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

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


def sparkline(
    values: Sequence[float | None],
    width: int,
    *,
    warn: float | None = None,
    fail: float | None = None,
    ceiling: float | None = None,
) -> Content:
    """`width` cells; scaled from 0 to the highest value (at least `ceiling`, where that is given, so that a
    steady low series stays low). Values beyond `warn` and `fail` take the level's colour; a gap is blank.
    """
    cells = buckets(values, width)
    top = max((value for value in cells if value is not None), default=0.0)
    top = max(top, ceiling or 0.0)
    parts: list[tuple[str, str]] = []
    for value in cells:
        if value is None:
            parts.append(("·", "$t-faint"))
            continue
        step = _STEPS[min(7, int(value / top * 7.999))] if top > 0 else _STEPS[0]
        if fail is not None and value > fail:
            style = "$t-fail"
        elif warn is not None and value > warn:
            style = "$t-warn"
        else:
            style = "$t-muted"
        parts.append((step, style))
    return Content.assemble(*parts)


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
