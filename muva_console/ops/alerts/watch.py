"""Looking for what is alarming, again and again: one environment's services and logs, held against the alerts
that the journal has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.alerts.desk import Alerts
from muva_console.ops.alerts.model import Alert, Noticed, Source
from muva_console.ops.alerts.rules import Logged, Services, alarming_patterns
from muva_console.ops.errors import OpsError
from muva_console.ops.logs.filter import parse_filter
from muva_console.ops.readings import Level
from muva_console.ops.release.errors_seen import read_ignored
from muva_console.ops.release.log_ends import reaches, read
from muva_console.ops.release.records import read_deployments

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.workspace import Workspace

BETWEEN = 1.0
"""Seconds between the looks of `settle`."""
LOGS_EVERY = 60.0
"""Seconds for which the logs that were read serve the looks that follow: a look at them brings up to half a
megabyte a file, one at the services next to nothing. Ours."""


class Looked(Struct, frozen=True, kw_only=True):
    """One look."""

    environment: str
    noticed: tuple[Noticed, ...]
    report: HealthReport
    unknown: tuple[str, ...] = ()
    """What could not be looked at, and why."""
    logs_known: bool = True
    """Whether the logs of every host were read."""


class Change(Struct, frozen=True, kw_only=True):
    """What a look has changed in the journal: to be told, once."""

    alert: Alert
    recovered: bool


class Watch:
    """One environment's. Lives in the workspace's event loop."""

    def __init__(self, workspace: Workspace, of: EnvironmentOps) -> None:
        """Raises OpsError for an expression of [alerts] critical that is none."""
        self._workspace, self._of = workspace, of
        self._settings = workspace.config.alerts
        self._critical = tuple(parse_filter(f"/{text}/") for text in self._settings.critical)
        self._ignored = read_ignored(list(self._settings.ignore))
        self._services = Services(workspace.config.health)
        self._alerts = Alerts(workspace.journal)
        self._last: HealthReport | None = None
        self._logged: tuple[Logged | None, list[str]] = (None, [])
        self._logged_at = float("-inf")
        self._ill = float("-inf")
        """When a check last failed (time.monotonic())."""

    def _recently_ill(self) -> bool:
        """Whether something fails, or has within the window: what the logs say then is that, in other words.
        What goes on afterwards is an alert then; a critical one is at once.
        """
        return time.monotonic() - self._ill < float(self._settings.within)

    async def look(self, *, health: Callable[[], Awaitable[HealthReport]] | None = None) -> Looked:
        """Look once at the services and the logs, side by side. Never raises for what cannot be reached."""
        ask = health or self._of.watch_health
        report, (events, missing) = await asyncio.gather(ask(), self._recent_logs())
        if report is not self._last:  # one look, however often it is asked about, is one observation
            self._services.take(report, time.monotonic())
            self._last = report
        noticed = list(self._services.noticed(report))
        if any(one.level is Level.FAIL for one in report.findings):
            self._ill = time.monotonic()
        if events is not None:
            deployed = await self._deployed()
            patterns = alarming_patterns(self._of.name, events, self._settings, self._critical, deployed)
            noticed += (
                patterns if not self._recently_ill() else [p for p in patterns if p.level is Level.FAIL]
            )
        unknown = [
            *(
                f"{one.title or one.check}: {one.summary}"
                for one in report.findings
                if one.level is Level.UNKNOWN
            ),
            *missing,
        ]
        if not report.findings:
            unknown.append(f"{self._of.name} has no address, no host and no database: nothing was looked at")
        return Looked(
            environment=self._of.name,
            noticed=tuple(noticed),
            report=report,
            unknown=tuple(unknown),
            logs_known=not missing,
        )

    async def settle(self) -> Looked:
        """Look so often that what fails is down or well by the thresholds of [health], and what was down
        before is well again.
        """
        settings = self._workspace.config.health
        looked = await self.look()
        known = await self._alerts.open(self._of.name)
        services = [one.key.partition("/")[2] for one in known if one.source is Source.SERVICE]
        for _ in range(settings.failure_threshold + settings.recovery_threshold - 1):
            ending = any(self._services.may_be_healthy(check) for check in services)
            if not self._services.undecided and not ending:
                break
            await asyncio.sleep(BETWEEN)
            looked = await self.look()
        return looked

    async def keep(self, looked: Looked) -> tuple[Change, ...]:
        """Write into the journal what is new and what is over; returns what it was the first to say. Of
        what was not looked at nothing is said to be over. Raises JournalError.
        """
        known = await self._alerts.all(self._of.name)
        now = {one.key: one for one in looked.noticed}
        changes = []
        for one in looked.noticed:
            before = known.get((one.environment, one.key))
            worse = before is not None and before.level is Level.WARN and one.level is Level.FAIL
            if before is None or not before.open or worse:
                raised = await self._alerts.raise_(one, before)
                if raised is not None:
                    changes.append(Change(alert=raised, recovered=False))
        for alert in known.values():
            if alert.open and alert.key not in now and self._is_over(alert, looked):
                over = await self._alerts.recover(alert)
                if over is not None:
                    changes.append(Change(alert=over, recovered=True))
        return tuple(changes)

    def _is_over(self, alert: Alert, looked: Looked) -> bool:
        if alert.source is Source.PATTERN:
            return looked.logs_known
        check = alert.key.partition("/")[2]
        return check in self._services.known and self._services.healthy(check)

    async def _recent_logs(self) -> tuple[Logged | None, list[str]]:
        if time.monotonic() - self._logged_at >= LOGS_EVERY:
            self._logged = await self._logs()
            self._logged_at = time.monotonic()
        return self._logged

    async def _logs(self) -> tuple[Logged | None, list[str]]:
        """The errors of all hosts; None where there are none to look at, and why what is missing is."""
        hosts = self._of.hosts
        if not hosts:
            return None, []
        context = self._of.context().fresh()
        try:
            parts = await asyncio.gather(*(read(context, host) for host in hosts), return_exceptions=True)
        finally:
            context.end()
        events, unknown, begins, now, whole = [], [], [], 0, True
        for host, part in zip(hosts, parts, strict=True):
            if isinstance(part, OpsError):
                unknown.append(f"logs on {host}: {part}")
                continue
            if isinstance(part, BaseException):
                raise part
            now = max(now, part.now_ms)
            window = part.now_ms - int(float(self._settings.within) * 1000)
            for file in part.parts:
                if file.problem:
                    if file.problem != "not there":
                        unknown.append(f"{file.path} on {host}: {file.problem}")
                    continue
                if not reaches(file, window):
                    unknown.append(f"{file.path} on {host} was not read back to where the window begins")
                whole = whole and file.whole
                if file.begins_ms is not None:
                    begins.append(file.begins_ms)
                events += [e for e in file.events if not any(one.matches(e.line) for one in self._ignored)]
        if not now:
            return None, unknown
        dated = tuple(e for e in events if e.at_ms is not None)
        undated = len(events) - len(dated)
        if undated:
            unknown.append(f"{undated} error lines carry no time: pm2 restart NAME --time writes them")
        begin = min(begins, default=now)
        logged = Logged(now_ms=now, begins_ms=begin, whole=whole, events=dated)
        return logged, unknown

    async def _deployed(self) -> int | None:
        """When the last deployment was live (ms); None where none is known."""
        try:
            known = await read_deployments(self._workspace.journal, self._of.name, limit=20)
        except OpsError:
            return None
        times = [one.finished for one in known if one.finished is not None and one.good]
        return int(times[-1].timestamp() * 1000) if times else None
