"""The checks of the runbook "incident": is one open, does somebody lead it, does it still hurt.

They read the journal alone: what a colleague said on another console counts as said here.
"""

from __future__ import annotations

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.incidents.messages import message_of, recovery_of
from muva_console.ops.incidents.model import Incident, Phase, Role, Severity, Turn
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Finding, Level, utc_now

GOOD_FOR = 30.0
"""Seconds. Ours: colleagues say something at any time."""
MESSAGE = "incident"
"""What a step's ``message`` says for the incident in hand."""


async def in_hand(ctx: CheckContext) -> Incident | None:
    """The incident of the environment that is not closed, else the newest; None where there never was one.
    Raises JournalError.
    """
    known = await Desk(ctx.going_out().journal).all(ctx.environment_name)
    return next((one for one in reversed(known) if one.open), known[-1] if known else None)


async def message_in_hand(ctx: CheckContext) -> str:
    """The message of its newest turn; empty where there is none."""
    found = await in_hand(ctx)
    if found is None:
        return ""
    turns = [one.turn for one in found.said if one.turn in tuple(Turn)]
    return message_of(found, Turn(turns[-1]) if turns else Turn.OPENED)


@check("incident-open", title="Incident open", good_for=GOOD_FOR)
async def incident_open(ctx: CheckContext) -> Finding:
    """An incident of the environment is open in the journal, by hand or with the first red verdict."""
    found = await in_hand(ctx)
    if found is None or not found.open:
        return tell(
            Level.UNKNOWN,
            f"no incident of {ctx.environment_name} is open",
            command="muva incident list",
            next=f'muva incident open "what guests see" --env {ctx.environment_name}',
        )
    began = found.onset or found.opened_at
    lasts = spell((utc_now() - began).total_seconds())
    return tell(
        Level.OK,
        f"{found.name}, {found.severity.value}, for {lasts}: {found.title}",
        evidence=[
            f"opened {found.opened_at:%Y-%m-%d %H:%M:%S} UTC by {found.opened_by}",
            f"onset {began:%Y-%m-%d %H:%M:%S} UTC ({found.onset_source})" if found.onset else "",
        ],
        command=f"muva incident show --id {found.id}",
    )


@check("incident-led", title="Roles", good_for=GOOD_FOR)
async def incident_led(ctx: CheckContext) -> Finding:
    """Somebody commands the open incident, and acting and telling are somebody's too (one who does all three
    does none well); one of low severity needs nobody but who works on it.
    """
    found = await in_hand(ctx)
    if found is None or not found.open:
        return tell(Level.UNKNOWN, f"no incident of {ctx.environment_name} is open")
    command = "muva incident role commander NAME"
    roles = [f"{role.value}: {found.roles.get(role.value, 'nobody')}" for role in Role]
    lacking = [role.value for role in Role if role.value not in found.roles]
    if Role.COMMANDER.value in lacking and found.severity is not Severity.LOW:
        return tell(
            Level.FAIL, f"nobody commands {found.name}", evidence=roles, command=command, next=command
        )
    if lacking and found.severity is not Severity.LOW:
        summary = f"nobody has {' and '.join(lacking)}"
        return tell(Level.WARN, summary, evidence=roles, command=command)
    return tell(Level.OK, "; ".join(roles), command=command)


@check("incident-stable", title="Stable", good_for=GOOD_FOR)
async def incident_stable(ctx: CheckContext) -> Finding:
    """The incident was called stable, and the console itself saw the environment healthy when it was."""
    found = await in_hand(ctx)
    if found is None:
        return tell(Level.UNKNOWN, f"{ctx.environment_name} has no incident in this journal")
    command = "muva incident stable"
    if found.phase is Phase.OPEN:
        return tell(Level.FAIL, f"{found.name} is not stable", command=command)
    if found.stable_at is None:
        return tell(Level.WARN, f"{found.name} was closed without having been stable", command=command)
    summary = f"{found.name} is stable since {found.stable_at:%H:%M:%S} UTC: {recovery_of(found)}"
    if not found.verified:
        return tell(Level.WARN, f"{summary}; said, not seen", evidence=[found.stable_how], command=command)
    return tell(Level.OK, summary, evidence=[found.stable_how], command=command)
