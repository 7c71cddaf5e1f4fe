"""An alert told to the team: once when it is raised, once when it is over; nothing while it is silenced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from muva_console.ops.alerts.watch import Change
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.notices import post_json, post_to_slack
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Level, utc_now

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

SLACK, WEBHOOK = "slack", "webhook"
MOST = 8
"""Alerts named in one message. Ours: what comes in a flood is told as one."""


def line_of(change: Change) -> str:
    """One line for a person."""
    alert = change.alert
    if change.recovered:
        lasted = ""
        if alert.raised_at is not None and alert.recovered_at is not None:
            lasted = f" after {spell((alert.recovered_at - alert.raised_at).total_seconds())}"
        return f"over{lasted}: {alert.title}"
    return f"{'ALERT' if alert.level is Level.FAIL else 'warning'}: {alert.title}"


def message_of(environment: str, changes: Sequence[Change]) -> str:
    """The message for a channel."""
    lines = [f"{environment}: {line_of(one)}  [{one.alert.key}]" for one in changes[:MOST]]
    if len(changes) > MOST:
        lines.append(f"and {count(len(changes) - MOST, 'more alert')}: muva alerts --env {environment}")
    return "\n".join(lines)


def payload_of(environment: str, changes: Sequence[Change]) -> dict[str, Any]:
    """What any other webhook is sent: the same text, and each alert as data."""
    return {
        "text": message_of(environment, changes),
        "environment": environment,
        "alerts": [
            {
                "key": one.alert.key,
                "source": one.alert.source.value,
                "state": "recovered" if one.recovered else "raised",
                "level": one.alert.level.value,
                "title": one.alert.title,
                "raised_at": one.alert.raised_at,
                "recovered_at": one.alert.recovered_at,
            }
            for one in changes
        ],
    }


async def tell_team(workspace: Workspace, environment: str, changes: Sequence[Change]) -> list[str]:
    """Post what is new to where [alerts] notify says; a line for each way, also for one that failed. Nothing
    is posted in read-only mode, of silenced alerts, and where there is nothing new. Never raises.
    """
    now = utc_now()
    heard = [one for one in changes if not one.alert.silenced(now)]
    ways = workspace.config.alerts.notify
    if not heard or not ways or workspace.read_only:
        return []
    told = []
    for way in dict.fromkeys(ways):
        try:
            told.append(await _post(workspace, way, environment, heard))
        except OpsError as error:
            told.append(f"{way}: not told: {' '.join(error.lines())}")
    return told


async def _post(workspace: Workspace, way: str, environment: str, changes: Sequence[Change]) -> str:
    reference = workspace.config.notices.slack if way == SLACK else workspace.config.alerts.webhook
    if reference is None:
        key = "[notices] slack" if way == SLACK else "[alerts] webhook"
        raise OpsError(f"{key} is not given", next="Give it in muva.toml, or take it out of [alerts] notify.")
    address = await workspace.secret(reference)
    if way == SLACK:
        await post_to_slack(address, message_of(environment, changes))
        return f"told in {workspace.config.notices.channel}"
    await post_json(address, payload_of(environment, changes))
    return "told by the webhook"
