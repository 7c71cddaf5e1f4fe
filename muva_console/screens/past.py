"""How an environment has been over days: answer times, availability, restarts, and what happened then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.monitoring.model import API, DATABASE, RESTARTS, Budget, Mark, Past
from muva_console.widgets.fit import Part, crop, fit
from muva_console.widgets.format import milliseconds, moment, percent, plural
from muva_console.widgets.level import muted
from muva_console.widgets.plot import AXIS, plot

if TYPE_CHECKING:
    from muva_console.app import MuvaApp

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


@dataclass(frozen=True, slots=True)
class Back:
    """What was read of a window."""

    environment: str
    window: str
    pasts: tuple[Past, ...]
    budget: Budget
    marks: tuple[Mark, ...]


async def read_back(app: MuvaApp, environment: str, window: str) -> Back:
    """Read a window of the history and what happened in it. Raises OpsError."""
    workspace, until = app.workspace, app.now()
    since = until - WINDOWS[window]

    async def read() -> Back:
        from muva_console.ops.monitoring.marks import read_marks

        history = workspace.history
        pasts = [
            await history.past(environment, series, since, until, PLACES)
            for series in (API, DATABASE, RESTARTS)
        ]
        target = workspace.config.environments[environment].thresholds.availability
        return Back(
            environment=environment,
            window=window,
            pasts=tuple(pasts),
            budget=await history.budget(environment, target, until),
            marks=await read_marks(workspace.journal, environment, since, until),
        )

    return await app.ask_ops(read)


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
        parts.append(Part(Content.styled(f"{share * 100:.2f} %", style), 95))
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
    parts = [
        Part(Content(plural(restarts, "restart")), 80),
        Part(muted(f"{plural(known, 'look')} kept"), 30),
    ]
    left = back.budget.left
    if left is not None:
        style = "$t-fail" if left < 0 else "$t-warn" if left < 0.25 else ""
        told = f"error budget {percent(left)} left of {back.budget.days} d"
        parts.insert(1, Part(Content.styled(told, style), 70))
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


@dataclass(frozen=True, slots=True)
class Kept:
    """What the Overview says of an environment's last week."""

    availability: float | None
    budget: Budget
    at: datetime


async def read_kept(app: MuvaApp, names: Sequence[str]) -> dict[str, Kept]:
    """Availability over a week and the error budget, by environment; those of which nothing is kept are left
    out. Raises OpsError.
    """
    workspace, until = app.workspace, app.now()

    async def read() -> dict[str, Kept]:
        found = {}
        for name in names:
            past = await workspace.history.past(name, API, until - WINDOWS["7 d"], until, 1)
            if past.known:
                target = workspace.config.environments[name].thresholds.availability
                budget = await workspace.history.budget(name, target, until)
                found[name] = Kept(past.availability, budget, until)
        return found

    return await app.ask_ops(read)
