"""The history of answer times, ready to be drawn, and how failures in a row are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from muva_console.ops.health.history import FLOOR_MS, LEARN
from muva_console.ops.health.memory import API, DB
from muva_console.ops.readings import Finding, Level
from muva_console.widgets.format import duration, milliseconds

if TYPE_CHECKING:
    from muva_console.screens.board import Board


@dataclass(frozen=True, slots=True)
class Track:
    """A latency's history, ready to be drawn. Milliseconds; None where it is not known."""

    values: tuple[float | None, ...]
    """Oldest first, evenly spaced."""
    last: float | None
    level: Level
    levels: tuple[Level | None, ...]
    """What the checks said at those times."""
    limit: float
    """Beyond this it is bad news."""
    ceiling: float
    """The top of the scale while the values are low, so that noise is not drawn as mountains."""
    note: str
    """What the values are held against: ``p95 95 ms``, ``< 100 ms``."""
    span: float
    """Seconds that the values cover."""


PLACES = 60
"""Points of a history, each of two intervals: at one every 30 seconds it is an hour. Were a point one
interval wide, every reading a little late would leave a hole that is none."""

FEWEST = 6
"""Points of a history that has just begun."""


def series(board: Board, environment: str, which: str) -> Track | None:
    """The history of ``api`` or ``db``; None where the environment has no such thing."""
    of = board.environment(environment)
    if which == "api" and of.config.url is None:
        return None
    if which == "db" and of.config.url is None and of.config.database is None:
        return None
    limits = of.config.thresholds
    check = API if which == "api" else DB
    history = board.memory(environment).history[check]
    now = board.monotonic()
    interval = max(1.0, board.health(environment).interval)
    oldest = history.window(2 * interval * PLACES, now)[:1]
    young = (now - oldest[0].mono) / (2 * interval) if oldest else 0.0
    places = min(PLACES, max(FEWEST, int(young) + 2))  # a young history fills the width all the same
    span = 2 * interval * places
    last = history.last
    limit = (limits.response if which == "api" else limits.database) * 1000
    if which == "api":
        learnt = history.baseline(span, now)
        usual = limits.baseline * 1000 if limits.baseline is not None else learnt
        if usual is not None:
            limit = min(limit, max(usual, FLOOR_MS) * limits.degraded_factor)
    enough = sum(one.latency_ms is not None for one in history.window(span, now)) >= LEARN
    p95 = history.percentile(0.95, span, now) if enough else None
    note = f"p95 {milliseconds(p95)}" if which == "api" and p95 is not None else f"< {milliseconds(limit)}"
    return Track(
        values=history.buckets(places, span, now + interval / 2),
        levels=history.levels(places, span, now + interval / 2),
        last=last.latency_ms if last is not None else None,
        level=last.level if last is not None else Level.OK,
        limit=limit,
        ceiling=limit,
        note=note,
        span=min(span, now - history.window(span, now)[0].mono) if history.window(span, now) else 0.0,
    )


def hysteresis(board: Board, environment: str, finding: Finding) -> str:
    """How failures in a row are counted: ``failing, 2 of 3``."""
    state = board.memory(environment).state(finding.check)
    if state is None or state.observations == 0:
        return ""
    lasted = state.lasted(board.monotonic())
    since = f" for {duration(lasted)}" if lasted is not None and lasted >= 1 else ""
    return (
        f"{state.told}{since} "
        f"(down after {state.failure_threshold} in a row, well again after {state.recovery_threshold})"
    )
