"""How an environment has been over days: answer times, availability, restarts, and what happened then."""

from __future__ import annotations

from datetime import timedelta

from textual.content import Content

from muva_console.ops.health.words import floored
from muva_console.ops.monitoring.back import Back
from muva_console.ops.monitoring.model import API, DATABASE, RESTARTS, Past
from muva_console.widgets.fit import Part, crop, fit
from muva_console.widgets.format import milliseconds, moment, percent, plural
from muva_console.widgets.level import muted
from muva_console.widgets.plot import AXIS, plot

WINDOWS = {
    "24 h": timedelta(days=1),
    "7 d": timedelta(days=7),
    "30 d": timedelta(days=30),
    "1 y": timedelta(days=365),
}
"""What `w` goes through."""
PLACES = 120
"""Stretches that a window is read in: as many columns of dots as a panel of 70 cells has."""
_BOTH = 8
"""Lines that both answer times want, with the marks and the figures below them."""
_NAMES = {API: "api", DATABASE: "database"}
_GLYPHS = {"deployment": "▲", "rollback": "↩", "incident": "✖"}


def back_lines(back: Back, width: int, height: int) -> list[Content]:
    """Both answer times over one another with the marks below them, then the figures."""
    told = [past for past in back.pasts if past.series in _NAMES and past.known]
    if not told:
        return [
            Content(f"Nothing is kept of {back.environment} for this window."),
            muted("What the console and muva monitor see is kept from now on."),
        ]
    if height < _BOTH:
        told = told[:1]
    foot = [*_marks_named(back, width)][: max(0, height - 8)]
    each = max(3, (height - 2 - len(foot)) // len(told))
    lines: list[Content] = []
    for past in told:
        lines += _plotted(past, width, each)
    lines.append(_mark_line(back, width))
    lines.append(_figures(back, width))
    return [*lines, *foot]


def _plotted(past: Past, width: int, height: int) -> list[Content]:
    share = past.availability
    parts = [Part(muted(_NAMES[past.series].ljust(10)), 90)]
    if share is not None:
        style = "$t-fail" if past.failed else "$t-strong"
        parts.append(Part(Content.styled(floored(share), style), 95))
    times = [(name, value) for name, value in (("p50", past.p50), ("p95", past.p95), ("p99", past.p99))]
    right = [
        Part(muted(f"{name} {milliseconds(value)}"), 40 - place)
        for place, (name, value) in enumerate(times)
        if value is not None
    ]
    head = fit(parts, right, width)
    values = [point.p95 for point in past.points]
    levels = [point.level for point in past.points]
    return [head, *plot(values, width, max(2, height - 1), levels=levels)]


def _mark_line(back: Back, width: int) -> Content:
    """A glyph where something happened, under the plots."""
    room = max(1, width - AXIS)
    cells: list[tuple[str, str]] = [(" ", "")] * room
    since, until = back.pasts[0].since, back.pasts[0].until
    for mark in back.marks:
        place = int((mark.at - since) / (until - since) * room)
        style = "$t-muted" if mark.good else "$t-fail"
        cells[min(room - 1, max(0, place))] = (_GLYPHS[mark.kind], style)
    return Content.assemble(" " * AXIS, *cells)


def _figures(back: Back, width: int) -> Content:
    restarts = sum(past.restarts for past in back.pasts if past.series == RESTARTS)
    known = max(past.known for past in back.pasts)
    failed = next((past.failed for past in back.pasts if past.series == API), 0)
    parts = [
        Part(Content.styled(f"{failed:,} failed", "$t-fail" if failed else "$t-muted"), 75),
        Part(Content(plural(restarts, "restart")), 80),
        Part(muted(f"{plural(known, 'look')} kept"), 30),
    ]
    left = back.budget.left
    if left is not None:
        style = "$t-fail" if left < 0 else "$t-warn" if left < 0.25 else ""
        told = f"error budget {percent(left)} left of {back.budget.days} d"
        parts.insert(2, Part(Content.styled(told, style), 70))
    return fit(parts, [], width, gap="  ")


def _marks_named(back: Back, width: int) -> list[Content]:
    """The newest first."""
    return [
        crop(
            Content.assemble(
                (f"{_GLYPHS[mark.kind]} ", "$t-muted" if mark.good else "$t-fail"),
                muted(f"{moment(mark.at)[:16]}  "),
                mark.text,
            ),
            width,
        )
        for mark in reversed(back.marks)
    ]
