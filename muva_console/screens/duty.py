"""One line of the Overview: when the next deployment may begin, who is on call until when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.widgets.fit import Part, fit
from muva_console.widgets.format import plural, short
from muva_console.widgets.level import muted

if TYPE_CHECKING:
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
    from muva_console.ops.errors import OpsError
    from muva_console.ops.release.calendar import State, read_window

    try:
        calendar = read_window(window)
    except OpsError:
        return None
    if calendar is None:
        return None
    label = muted("deploying  ")
    match calendar.state(now):
        case State.OPEN:
            until = calendar.until(now)
            told = Content("open" + (f" until {_when(until, now)}" if until is not None else ""))
        case state:
            opens = calendar.opens(now)
            word = "frozen" if state is State.FROZEN else "closed"
            told = Content(f"{word} until {_when(opens, now)}" if opens is not None else word)
    return Part(Content.assemble(label, told), 70)


def _on_call(board: Board, now: datetime) -> Part | None:
    shifts = board.workspace.config.on_call.shifts
    if not shifts:
        return None
    from muva_console.config.calendar import read_moment

    label = muted("on call  ")
    for shift in shifts:
        try:
            start, end = read_moment(shift.start), read_moment(shift.end)
        except ValueError:
            continue
        if start <= now < end:
            return Part(Content.assemble(label, f"{shift.name} until {_when(end, now)}"), 80)
    return Part(Content.assemble(label, ("nobody", "$t-warn")), 80)


def _when(at: datetime, now: datetime) -> str:
    """``09:00 (5 h)``, with the day where it is not today's; UTC."""
    from datetime import UTC

    told, today = at.astimezone(UTC), now.astimezone(UTC).date()
    far = (told.date() - today).days
    day = "" if not far else f"{told:%a %d} " if far < 7 else f"{told:%d %b} "
    return f"{day}{told:%H:%M} UTC, {short(max(0.0, (at - now).total_seconds()))}"
