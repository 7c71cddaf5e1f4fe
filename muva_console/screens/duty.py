"""One line of the Overview: when the next deployment may begin, who is on call until when."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.errors import OpsError
from muva_console.widgets.fit import Part, fit
from muva_console.widgets.format import plural, short
from muva_console.widgets.level import muted

if TYPE_CHECKING:
    from muva_console.config.release import Window
    from muva_console.ops.release.calendar import State
    from muva_console.screens.board import Board


def duty_line(board: Board, width: int) -> Content | None:
    """The line; None where neither a window nor a rota is configured, and no alert waits for anybody."""
    now = board.now()
    parts = [part for part in (_alerts(board), _window(board, now), _on_call(board, now)) if part is not None]
    return fit([Part(Content(" "), 100), *parts], [], width, gap="   ") if parts else None


def _alerts(board: Board) -> Part | None:
    waiting = board.unseen_alerts()
    if not waiting:
        return None
    style = "$t-fail" if any(row.level.value == "fail" for row in waiting) else "$t-warn"
    told = Content.styled(f"▲ {plural(len(waiting), 'alert')} nobody sees to", style)
    return Part(Content.assemble(told, muted("  A")), 90)


def _window(board: Board, now: datetime) -> Part | None:
    window = board.workspace.config.window
    if not (window.hours or window.days or window.freeze):
        return None
    label = muted("deploying  ")
    try:
        state, until = _turn(window, int(now.timestamp()) // 60)
    except OpsError:
        return Part(Content.assemble(label, ("? [window] cannot be read", "$t-unknown")), 70)
    told = f" until {_when(until, now)}" if until is not None else ""
    return Part(Content.assemble(label, f"{state.value}{told}"), 70)


@lru_cache(maxsize=4)
def _turn(window: Window, minute: int) -> tuple[State, datetime | None]:
    """The window's state, and when it turns. By the minute: where it never closes a year is looked through,
    which is too dear for every second.
    """
    from muva_console.ops.release.calendar import State, read_window

    calendar = read_window(window)
    return (State.OPEN, None) if calendar is None else calendar.turn(datetime.fromtimestamp(minute * 60, UTC))


def _on_call(board: Board, now: datetime) -> Part | None:
    rota = board.workspace.config.on_call
    if not rota.shifts:
        return None
    from muva_console.ops.release.rota import on_call_at

    label = muted("on call  ")
    try:
        shift = on_call_at(rota, now)
    except OpsError:
        return Part(Content.assemble(label, ("? [on_call] cannot be read", "$t-unknown")), 80)
    if shift is None:
        return Part(Content.assemble(label, ("nobody", "$t-warn")), 80)
    return Part(Content.assemble(label, f"{shift.who} until {_when(shift.end, now)}"), 80)


def _when(at: datetime, now: datetime) -> str:
    """``09:00 (5 h)``, with the day where it is not today's; UTC."""
    told, today = at.astimezone(UTC), now.astimezone(UTC).date()
    far = (told.date() - today).days
    day = "" if not far else f"{told:%a %d} " if far < 7 else f"{told:%d %b} "
    return f"{day}{told:%H:%M} UTC, {short(max(0.0, (at - now).total_seconds()))}"
