"""Plans: a window to deploy in, and somebody who answers afterwards.

Both go by the clock and the configuration alone; where nothing is configured a person is asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.release.calendar import DAYS, Calendar, State, read_window
from muva_console.ops.release.rota import RotaShift, read_shifts

if TYPE_CHECKING:
    from muva_console.config.release import OnCall, Window

GOOD_FOR = 60.0
"""Seconds for which the clock may be believed. Ours: the configuration's times are in minutes."""

clock: Callable[[], datetime] = utc_now
"""What time it is, for both checks; tests put another clock here."""


@check("deployment-window", title="Deployment window", good_for=GOOD_FOR)
async def deployment_window(ctx: CheckContext) -> Finding:
    """Now lies within the hours of [window], on a day on which a window may begin, and no freeze holds.
    Believed until the window closes.
    """
    return judge_window(ctx.config.window, clock())


@check("on-call", title="On call", good_for=GOOD_FOR)
async def on_call(ctx: CheckContext) -> Finding:
    """Somebody of [on_call] is there now and without a gap until so long after (playbook: two hours)."""
    return judge_rota(ctx.config.on_call, clock())


# --- the window


def judge_window(window: Window, now: datetime) -> Finding:
    """The finding on [window] at a moment. Raises OpsError that names the key which cannot be read."""
    calendar = read_window(window)
    command = f"TZ={shlex.quote(window.timezone)} date"
    if calendar is None:
        return tell(
            Level.UNKNOWN,
            "no window is configured",
            next="Give [window] hours, days or freeze dates, or say that this is a quiet time.",
            at=now,
            unconfigured=True,
        )
    state = calendar.state(now)
    level = Level.OK if state is State.OPEN else Level.FAIL
    ends = calendar.until(now)
    finding = tell(
        level,
        _of_window(calendar, state, now, ends),
        evidence=[f"it is {_clock(calendar, now, now, always=True)}", *_configured(window)],
        command=command,
        next="" if level is Level.OK else "Wait for the window, or go with a reason that is written down.",
        at=now,
    )
    return _believed_until(finding, ends)


def _of_window(calendar: Calendar, state: State, now: datetime, ends: datetime | None) -> str:
    told = "" if ends is None else f"{_clock(calendar, ends, now)} (in {_span(ends - now)})"
    if state is State.OPEN:
        return f"inside the window until {told}" if told else "inside the window, for more than a year"
    opens = calendar.opens(now)
    next_one = "none opens within a year"
    if opens is not None:
        next_one = f"the next opens {_clock(calendar, opens, now)} (in {_span(opens - now)})"
    if state is State.CLOSED:
        return f"outside of the window; {next_one}"
    if not told:
        return "deployments are frozen for more than a year"
    return f"deployments are frozen until {told}" + ("" if opens == ends else f"; {next_one}")


def _configured(window: Window) -> list[str]:
    hours = ", ".join(window.hours) or "any hour"
    days = f", windows begin on {', '.join(window.days)}" if window.days else ""
    lines = [f"[window] {hours}{days}, {window.timezone}"]
    if window.freeze:
        lines.append(f"frozen: {', '.join(window.freeze)}")
    return lines


def _clock(calendar: Calendar, at: datetime, now: datetime, *, always: bool = False) -> str:
    """``14:00 CET``, with the day where it is another one than today."""
    wall = at.astimezone(calendar.zone)
    name = wall.tzname() or ""
    if not name[:1].isalpha():  # many zones have no letters of their own: "-03"
        name = str(calendar.zone)
    day = ""
    if always or wall.date() != now.astimezone(calendar.zone).date():
        day = f"{DAYS[wall.weekday()].title()} {wall:%Y-%m-%d} "
    return f"{day}{wall:%H:%M} {name}"


# --- the rota


def judge_rota(rota: OnCall, now: datetime) -> Finding:
    """The finding on [on_call] at a moment. Raises OpsError that names a shift which cannot be read."""
    now = now.astimezone(UTC)
    shifts = read_shifts(rota)
    if not shifts:
        return tell(
            Level.UNKNOWN,
            "no rota is configured",
            next="Give [[on_call.shifts]], or say who is there.",
            at=now,
            unconfigured=True,
        )
    needed = now + timedelta(seconds=rota.after)
    chain = _chain(shifts, now, needed)
    near = [shift for shift in shifts if shift.end > now and shift.start < needed]
    evidence = [f"needed until {needed:%Y-%m-%d %H:%M} UTC, {_span(needed - now)} from now"]
    evidence += [shift.told for shift in near[:10]] or ["no shift lies within that time"]
    covered = chain[-1].end if chain else now
    if covered >= needed:
        return _believed_until(tell(Level.OK, _covered(chain, now), evidence=evidence, at=now), chain[0].end)
    after = min((shift for shift in shifts if shift.start > covered), key=lambda s: s.start, default=None)
    comes = f"{after.who} comes at {_time(after.start, now)}" if after is not None else "nobody comes after"
    if chain:
        summary = f"{chain[-1].who} is there until {_time(covered, now)} only, then {comes}"
    else:
        summary = f"nobody is on call now; {comes}"
    evidence.append(f"a gap from {_time(covered, now)}, {_span(needed - covered)} short of what is needed")
    finding = tell(
        Level.FAIL, summary, evidence=evidence, next="Find somebody for that time, or wait.", at=now
    )
    return _believed_until(finding, after.start if after is not None and not chain else None)


def _covered(chain: Sequence[RotaShift], now: datetime) -> str:
    first = chain[0]
    reach = f", reach {first.reach}" if first.reach else ""
    summary = f"{first.who} until {_time(first.end, now)} ({_span(first.end - now)}){reach}"
    for shift in chain[1:]:
        reach = f", reach {shift.reach}" if shift.reach else ""
        summary += f"; then {shift.who} until {_time(shift.end, now)}{reach}"
    return summary


def _chain(shifts: Sequence[RotaShift], now: datetime, needed: datetime) -> list[RotaShift]:
    """Shifts that cover from now on, as few as possible; they end before `needed` where there is a gap."""
    chain: list[RotaShift] = []
    covered = now
    while covered < needed:
        there = [s for s in shifts if s.start <= covered < s.end]
        if not there:
            break
        chain.append(max(there, key=lambda s: s.end))
        covered = chain[-1].end
    return chain


def _time(at: datetime, now: datetime) -> str:
    day = "" if at.date() == now.date() else f"{DAYS[at.weekday()].title()} {at:%Y-%m-%d} "
    return f"{day}{at:%H:%M} UTC"


# --- both


def _span(length: timedelta) -> str:
    return spell(max(0.0, length.total_seconds()))


def _believed_until(finding: Finding, at: datetime | None) -> Finding:
    """The finding, for no longer than until `at`."""
    if at is None or at > finding.at + timedelta(seconds=GOOD_FOR):
        return finding
    return structs.replace(finding, expires=at)
