"""What happened in a window: deployments, rollbacks and incidents, for the plots."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from muva_console.ops.incidents.desk import Desk
from muva_console.ops.monitoring.model import Mark
from muva_console.ops.release.records import Deployment, DeploymentKind, Status, read_deployments

if TYPE_CHECKING:
    from muva_console.ops.journal.store import Journal


async def read_marks(
    journal: Journal, environment: str, since: datetime, until: datetime
) -> tuple[Mark, ...]:
    """The marks of a window, oldest first. Raises JournalError."""
    marks = [
        Mark(
            at=one.finished,
            kind="rollback" if one.kind is DeploymentKind.ROLLBACK else "deployment",
            text=_told(one),
            good=one.status is Status.SUCCESS,
        )
        for one in await read_deployments(journal, environment, limit=None)
        if one.finished is not None and since <= one.finished < until
    ]
    for incident in await Desk(journal).all(environment):
        onset = incident.onset or incident.opened_at
        if since <= onset < until:
            marks.append(
                Mark(at=onset, kind="incident", text=f"{incident.name}: {incident.title}", good=False)
            )
    return tuple(sorted(marks, key=lambda one: one.at))


def _told(one: Deployment) -> str:
    version = f" v{one.version}" if one.version else ""
    how = "" if one.status is Status.SUCCESS else f", {one.status.value}"
    return f"{one.commit[:7]}{version} ({one.kind.value}{how})"
