"""The five key figures of deployments: pure, each with its n, and nothing called a figure on too few.

Source: dora.dev, "DORA's software delivery performance metrics" (2026: throughput by lead time, frequency and
failed deployment recovery time; instability by change fail rate and rework rate). How they are counted here:

- A *change* is a deployment, planned or a hotfix, that went live. One that failed before that is none.
- A change *failed* where its own workflow took it back, where a rollback names its commit, where the next
  change to go live is a hotfix, or where an incident names it or began within `BLAMED` after it. It
  counts once.
- *Recovered* is when the first of these was over: its own rollback's end, the rollback or hotfix live, the
  incident stable.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from muva_console.ops.incidents.model import Incident
from muva_console.ops.release.records import Deployment, DeploymentKind, Status
from muva_console.ops.release.served import same

FEW = 5
"""A figure that rests on fewer is told with "too few". Ours (see docs/metrics.md)."""
BLAMED = timedelta(hours=1)
"""An incident that begins so soon after a change went live is laid at its door. Ours."""


class Change(Struct, frozen=True, kw_only=True):
    """A deployment that went live, and what became of it."""

    deployment: Deployment
    at: datetime
    """When it was live."""
    leads: tuple[float, ...] = ()
    """Seconds from each of its commits to `at`; empty where they are not known."""
    failed: str = ""
    """Why it counts as failed; empty where it does not."""
    recovered: datetime | None = None
    """When that was over; None while it is not, or where nothing tells."""


class Figure(Struct, frozen=True, kw_only=True):
    """One figure."""

    name: str
    value: float | None
    """None where there is nothing to count."""
    unit: str
    """``per day``, ``seconds`` or ``share``."""
    n: int
    """What it rests on: days, commits, changes, failures."""
    records: tuple[int, ...] = ()
    """The journal's entries that it was made of."""

    @property
    def few(self) -> bool:
        """Whether it rests on too few to be called one."""
        return self.n < FEW


class Report(Struct, frozen=True, kw_only=True):
    """The figures of a window."""

    environment: str
    since: datetime
    until: datetime
    figures: tuple[Figure, ...]
    changes: tuple[Change, ...] = ()
    rollbacks: int = 0
    failed_before: int = 0
    """Deployments that failed before they went live: told, and counted nowhere."""


def changes_of(
    deployments: Sequence[Deployment],
    incidents: Sequence[Incident] = (),
    leads: Mapping[str, tuple[float, ...]] | None = None,
) -> tuple[Change, ...]:
    """The changes of one environment, oldest first. `deployments` in the journal's order, the last word on a
    run's attempt counting; `leads` by its id.
    """
    last = {one.id: one for one in deployments}
    known = sorted((one for one in last.values() if one.finished is not None), key=_finished)
    live = [one for one in known if one.kind is not DeploymentKind.ROLLBACK and went_live(one)]
    found = []
    for place, one in enumerate(live):
        after = live[place + 1] if place + 1 < len(live) else None
        failed, recovered = _failure(one, after, known, incidents)
        found.append(
            Change(
                deployment=one,
                at=_finished(one),
                leads=(leads or {}).get(one.id, ()),
                failed=failed,
                recovered=recovered,
            )
        )
    return tuple(found)


def went_live(one: Deployment) -> bool:
    """Whether it came to be served, if only for a while."""
    return one.status in (Status.SUCCESS, Status.ROLLBACK) or bool(one.live)


def _failure(
    one: Deployment, after: Deployment | None, known: Sequence[Deployment], incidents: Sequence[Incident]
) -> tuple[str, datetime | None]:
    live = _finished(one)
    ends: list[tuple[str, datetime | None]] = []
    if one.status is Status.ROLLBACK:
        ends.append(("taken back by its own workflow", live))
    elif one.status is Status.FAILED:
        ends.append(("it went live and its workflow failed", None))
    for other in known:
        back = other.kind is DeploymentKind.ROLLBACK and same(other.rolls_back, one.commit)
        if back and _finished(other) >= live:
            ends.append(("rolled back", _finished(other)))
    if after is not None and after.kind is DeploymentKind.HOTFIX:
        ends.append(("mended by a hotfix", _finished(after)))
    until = _finished(after) if after is not None else None
    for incident in incidents:
        onset = incident.onset or incident.opened_at
        named = one.incident and one.incident in (incident.name, str(incident.id))
        soon = live <= onset <= live + BLAMED and (until is None or onset < until)
        if named or soon:
            ends.append((f"{incident.name}: {incident.title}", incident.stable_at))
    if not ends:
        return "", None
    over = [at for _, at in ends if at is not None]
    return ends[0][0], min(over) if over else None


def report_of(
    environment: str,
    changes: Sequence[Change],
    deployments: Sequence[Deployment],
    since: datetime,
    until: datetime,
) -> Report:
    """The five figures of what went live from `since` up to `until`. Raises ValueError for none."""
    days = (until - since).total_seconds() / 86_400
    if days <= 0:
        raise ValueError("a window ends after it begins")
    inside = [one for one in changes if since <= one.at < until]
    failed = [one for one in inside if one.failed]
    healed = [one for one in failed if one.recovered is not None and one.recovered >= one.at]
    commits = [lead for one in inside for lead in one.leads]
    led = [one for one in inside if one.leads]
    hotfixes = [one for one in inside if one.deployment.kind is DeploymentKind.HOTFIX]
    over = [(one.recovered - one.at).total_seconds() for one in healed if one.recovered is not None]
    figures = (
        Figure(
            name="deployment frequency", value=len(inside) / days, unit="per day", n=len(inside),
            records=_entries(inside),
        ),
        Figure(
            name="change lead time", value=statistics.median(commits) if commits else None, unit="seconds",
            n=len(commits), records=_entries(led),
        ),
        Figure(
            name="change fail rate", value=len(failed) / len(inside) if inside else None, unit="share",
            n=len(inside), records=_entries(failed),
        ),
        Figure(
            name="failed deployment recovery time", value=statistics.median(over) if over else None,
            unit="seconds", n=len(over), records=_entries(healed),
        ),
        Figure(
            name="rework rate", value=len(hotfixes) / len(inside) if inside else None, unit="share",
            n=len(inside), records=_entries(hotfixes),
        ),
    )  # fmt: skip
    dated = [one for one in deployments if one.finished is not None and since <= one.finished < until]
    return Report(
        environment=environment,
        since=since,
        until=until,
        figures=figures,
        changes=tuple(inside),
        rollbacks=sum(one.kind is DeploymentKind.ROLLBACK for one in dated),
        failed_before=sum(one.status is Status.FAILED and not went_live(one) for one in dated),
    )


def _entries(changes: Sequence[Change]) -> tuple[int, ...]:
    return tuple(one.deployment.entry for one in changes)


def _finished(one: Deployment) -> datetime:
    assert one.finished is not None
    return one.finished
