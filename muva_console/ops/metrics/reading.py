"""A report of an environment's deployments, read from the journal and the repository."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.metrics.dora import Report, changes_of, report_of, went_live
from muva_console.ops.release.records import Deployment, DeploymentKind, read_deployments

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


PARTS = 8
"""Parts of a window of which the trend is made. Ours."""


class Told(Struct, frozen=True, kw_only=True):
    """A window's figures, and what they are held against."""

    now: Report
    before: Report
    """Of the time of the same length before it."""
    parts: tuple[Report, ...]
    """The window in `PARTS` parts, oldest first."""
    unknown_leads: str = ""
    """Why some lead times are not known; empty where they are."""


async def read_report(workspace: Workspace, environment: str, since: datetime, until: datetime) -> Told:
    """The figures of a window. Raises JournalError, and ValueError for a window that is none."""
    journal = workspace.journal
    deployments = await read_deployments(journal, environment, limit=None)
    incidents = await Desk(journal).all(environment)
    leads, why = await _leads(workspace, deployments, since - (until - since))
    changes = changes_of(deployments, incidents, leads)
    before = since - (until - since)
    step = (until - since) / PARTS
    borders = [since + step * number for number in range(PARTS)] + [until]
    return Told(
        now=report_of(environment, changes, deployments, since, until),
        before=report_of(environment, changes, deployments, before, since),
        parts=tuple(
            report_of(environment, changes, deployments, begin, end) for begin, end in pairwise(borders)
        ),
        unknown_leads=why,
    )


async def _leads(
    workspace: Workspace, deployments: Sequence[Deployment], since: datetime
) -> tuple[dict[str, tuple[float, ...]], str]:
    """By deployment: seconds from each commit that it brought to when it was live. Merges bring nothing
    themselves.
    """
    live = [
        one
        for one in deployments
        if one.finished is not None and went_live(one) and one.kind is not DeploymentKind.ROLLBACK
    ]
    found: dict[str, tuple[float, ...]] = {}
    why = ""
    for before, one in pairwise(live):
        if one.finished is None or one.finished < since or one.commit == before.commit:
            continue
        try:
            commits = await workspace.workshop.commits(before.commit, one.commit)
        except OpsError as error:
            why = why or str(error)
            continue
        found[one.id] = tuple(
            max(0.0, (one.finished - commit.at).total_seconds()) for commit in commits if not commit.merge
        )
    return found, why
