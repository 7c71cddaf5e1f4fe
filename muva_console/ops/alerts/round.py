"""One round of an environment's alerts, for screens and the command line: looked, kept, told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.alerts.desk import Alerts
from muva_console.ops.alerts.model import Alert, Noticed, Source
from muva_console.ops.alerts.telling import tell_team
from muva_console.ops.alerts.watch import Change, Looked, Watch
from muva_console.ops.readings import Level

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.workspace import Workspace


class Row(Struct, frozen=True, kw_only=True):
    """One alert as it stands: what is seen now, and what was said of it."""

    environment: str
    key: str
    source: Source
    level: Level
    title: str
    evidence: tuple[str, ...] = ()
    count: int = 0
    since: datetime | None = None
    seen: bool = True
    """Whether this look saw it; else the journal has it as open, and it may be on its way to be over."""
    alert: Alert | None = None
    """What the journal has; None where it was not kept."""

    def wants_somebody(self, now: datetime) -> bool:
        """Whether nobody has said that it is seen to, and it is not silenced."""
        if self.alert is None:
            return True
        if self.alert.silenced(now):
            return False
        return not (self.alert.open and self.alert.acked_by)


class Round(Struct, frozen=True, kw_only=True):
    """One round."""

    environment: str
    at: datetime
    rows: tuple[Row, ...]
    """The worst first, then the oldest."""
    changes: tuple[Change, ...] = ()
    told: tuple[str, ...] = ()
    """What became of telling the team."""
    unknown: tuple[str, ...] = ()

    def level(self, *, errors_only: bool = False) -> Level:
        """The worst of what is seen; UNKNOWN where nothing is and something could not be looked at."""
        levels = {row.level for row in self.rows if row.seen}
        if Level.FAIL in levels:
            return Level.FAIL
        if self.unknown:
            return Level.UNKNOWN
        return Level.WARN if levels and not errors_only else Level.OK


class Rounds:
    """One environment's rounds. Lives in the workspace's event loop."""

    def __init__(self, workspace: Workspace, of: EnvironmentOps) -> None:
        """Raises OpsError for an expression of [alerts] that is none."""
        self._workspace, self._of = workspace, of
        self._watch = Watch(workspace, of)
        self._alerts = Alerts(workspace.journal)

    async def once(
        self,
        *,
        keep: bool,
        notify: bool,
        settle: bool = False,
        health: Callable[[], Awaitable[HealthReport]] | None = None,
    ) -> Round:
        """Look; with `keep` write what has changed into the journal, with `notify` tell the team too.
        `settle`: look as often as it takes to call something down. Raises JournalError.
        """
        looked = await (self._watch.settle() if settle else self._watch.look(health=health))
        keep = keep and not self._workspace.read_only
        changes = await self._watch.keep(looked) if keep else ()
        told = await tell_team(self._workspace, self._of.name, changes) if notify else []
        known = await self._alerts.all(self._of.name)
        return Round(
            environment=self._of.name,
            at=looked.report.at,
            rows=rows_of(looked, known),
            changes=changes,
            told=tuple(told),
            unknown=looked.unknown,
        )


def rows_of(looked: Looked, known: Mapping[tuple[str, str], Alert]) -> tuple[Row, ...]:
    """What is seen now, and what the journal has as open."""
    now = {one.key: one for one in looked.noticed}
    rows = [_seen(one, known.get((one.environment, one.key))) for one in now.values()]
    rows += [_kept(alert) for alert in known.values() if alert.open and alert.key not in now]
    return tuple(sorted(rows, key=_order))


def _order(row: Row) -> tuple[bool, float, str]:
    since = row.since.timestamp() if row.since is not None else 0.0
    return row.level is not Level.FAIL, since, row.key


def _seen(one: Noticed, alert: Alert | None) -> Row:
    began = alert.raised_at if alert is not None and alert.open else None
    return Row(
        environment=one.environment,
        key=one.key,
        source=one.source,
        level=one.level,
        title=one.title,
        evidence=one.evidence,
        count=one.count,
        since=min((at for at in (one.since, began) if at is not None), default=None),
        alert=alert,
    )


def _kept(alert: Alert) -> Row:
    return Row(
        environment=alert.environment,
        key=alert.key,
        source=alert.source,
        level=alert.level,
        title=alert.title,
        since=alert.raised_at,
        seen=False,
        alert=alert,
    )


def wanting(rounds: Iterable[Round], now: datetime) -> tuple[Row, ...]:
    """Of several environments: the alerts that nobody has seen to."""
    found = [row for one in rounds for row in one.rows if row.wants_somebody(now)]
    return tuple(sorted(found, key=_order))
