"""What changed while the console looked: told by comparing each reading with the one before it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from muva_console.ops.environment import own
from muva_console.ops.feed import Snapshot
from muva_console.ops.readings import Level, worst
from muva_console.widgets.format import duration, plural
from muva_console.widgets.level import SEVERITY

if TYPE_CHECKING:
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.pm2.model import Process, ProcessList

TOLD_AT_ONCE = 3
"""Findings of one report told each by itself. Ours: a database that goes takes a dozen with it."""
KEPT = 500
"""Changes kept. Ours: a night's worth of a troubled estate."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed."""

    at: datetime
    environment: str
    level: Level
    text: str
    who: str = ""
    """The engineer, where a person did it."""


class Changes:
    """Collects changes, the newest last; bounded."""

    def __init__(self) -> None:
        self._kept: deque[Change] = deque(maxlen=KEPT)

    def add(self, change: Change) -> None:
        """Keep one."""
        self._kept.append(change)

    def latest(self, count: int) -> list[Change]:
        """The newest, newest first."""
        return sorted(self._kept, key=lambda change: change.at, reverse=True)[:count]

    def look(
        self,
        kind: str,
        environment: str,
        before: Snapshot[Any] | None,
        after: Snapshot[Any],
        names: tuple[str, ...] = (),
    ) -> None:
        """Compare two snapshots of one feed and keep what is different. `names`: the environment's processes,
        where it names them; a host keeps those of others too.
        """
        if before is None or before.value is None or after.value is None:
            return
        if kind == "processes":
            mine = own(before.value, names), own(after.value, names)
            self._kept.extend(process_changes(environment, *mine))
        elif kind == "health":
            self._kept.extend(health_changes(environment, before.value, after.value))


def process_changes(environment: str, before: ProcessList, after: ProcessList) -> list[Change]:
    """What happened to a host's processes between two readings."""
    old = {process.pm_id: process for process in before.processes}
    new = {process.pm_id: process for process in after.processes}
    found: list[Change] = []

    def tell(level: Level, text: str) -> None:
        found.append(Change(after.at, environment, level, text))

    for pm_id, process in new.items():
        was = old.get(pm_id)
        if was is None:
            tell(Level.OK, f"{process.name} was added to PM2 on {after.host}")
            continue
        if process.status != was.status:
            good = process.status == "online"
            tell(
                Level.OK if good else Level.FAIL,
                f"{process.name} on {after.host}: {was.status} → {process.status}",
            )
        restarts = process.restarts - was.restarts
        if restarts > 0:
            tell(Level.WARN, _restarted(process, restarts, (after.at - before.at).total_seconds()))
        if process.commit and was.commit and process.commit != was.commit:
            tell(
                Level.OK,
                f"{process.name} on {after.host} serves {process.commit[:7]}, before {was.commit[:7]}",
            )
        if process.memory_limit != was.memory_limit and was.memory_limit is not None:
            tell(Level.OK, f"{process.name} on {after.host}: memory limit changed")
    for pm_id, process in old.items():
        if pm_id not in new:
            tell(Level.FAIL, f"{process.name} is gone from PM2 on {after.host}")
    return found


def _restarted(process: Process, count: int, seconds: float) -> str:
    why = f" ({process.last_signal})" if process.last_signal else ""
    if count == 1:
        return f"{process.name} on {process.host} restarted{why}"
    return f"{process.name} on {process.host} restarted {count} times in {duration(seconds)}{why}"


def health_changes(environment: str, before: HealthReport, after: HealthReport) -> list[Change]:
    """Which findings changed their level, and which commit is served."""
    old = {(finding.check, finding.subject): finding for finding in before.findings}
    found: list[Change] = []
    for finding in after.findings:
        was = old.get((finding.check, finding.subject))
        worse = was is None and finding.level is not Level.OK
        if worse or (was is not None and was.level is not finding.level):
            found.append(Change(after.at, environment, finding.level, finding.summary))
    if len(found) > TOLD_AT_ONCE:
        found.sort(key=lambda change: SEVERITY[change.level])
        rest = plural(len(found) - TOLD_AT_ONCE, "other finding")
        worst_left = worst(change.level for change in found[TOLD_AT_ONCE:])
        found[TOLD_AT_ONCE:] = [Change(after.at, environment, worst_left, f"and {rest} changed with it")]
    if before.commit and after.commit and before.commit != after.commit:
        text = f"{environment} serves {after.commit[:7]} {after.version}, before {before.commit[:7]}"
        found.append(Change(after.at, environment, Level.OK, text))
    levels = worst(f.level for f in before.findings), worst(f.level for f in after.findings)
    if levels[0] is not Level.OK and levels[1] is Level.OK:
        found.append(Change(after.at, environment, Level.OK, f"{environment} is healthy again"))
    return found
