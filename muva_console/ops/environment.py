"""One environment: its links, its feeds, its checks, and what may be done to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from muva_console.ops.errors import OpsError
from muva_console.ops.feed import STALE_AFTER, Feed
from muva_console.ops.links.base import LinkState
from muva_console.ops.readings import Level, worst
from muva_console.ops.shared_reading import SharedReading

if TYPE_CHECKING:
    from muva_console.config.model import Environment
    from muva_console.ops.alerts.round import Round, Rounds
    from muva_console.ops.checks import CheckContext
    from muva_console.ops.health.history import History
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.links.answers import DatabaseReading, RepositoryReading
    from muva_console.ops.links.postgres import PostgresLink
    from muva_console.ops.links.web import WebLink
    from muva_console.ops.logs.buffer import LogBuffer
    from muva_console.ops.logs.model import LogLine
    from muva_console.ops.pm2.model import Process, ProcessList
    from muva_console.ops.process_operations import Action, ProcessOperation
    from muva_console.ops.readings import Finding
    from muva_console.ops.resources import HostResources
    from muva_console.ops.workspace import Workspace

T = TypeVar("T")

POLL_TIMEOUT = 45.0
"""Seconds after which a poll of a feed is given up; each thing it asks has a time-out of its own below."""
SAMPLE_EVERY = 60.0
"""Seconds between samples of 25 and more requests to an application that is well. Ours."""
LEARN_FROM = 24 * 3600.0
"""Seconds of history from which the usual response time is learnt. Ours."""
REPOSITORY_INTERVAL = 30.0
"""Seconds between looks at the local checkout, at least: it changes when a person works on it."""


class EnvironmentOps:
    """What screens and commands hold of one environment. Lives in the workspace's event loop."""

    def __init__(self, name: str, environment: Environment, workspace: Workspace) -> None:
        self.name = name
        self.config = environment
        self._workspace = workspace
        self.hosts: tuple[str, ...] = environment.hosts
        self.history: History | None = None
        """The health endpoint's samples since this workspace was made: the usual time is learnt here."""
        self.not_kept: OpsError | None = None
        """Why the newest look is not in the history; None where it is."""
        self._sampled: tuple[Finding, ...] = ()
        self._sampled_at = 0.0
        self._resources = {host: SharedReading(self._resources_of(host)) for host in self.hosts}
        self._database = SharedReading(self._take_database)
        interval = float(workspace.config.console.refresh)
        self.health: Feed[HealthReport] = self._feed("health", self.watch_health, interval)
        self.processes: Mapping[str, Feed[ProcessList]] = {
            host: self._feed(f"processes on {host}", workspace.processes(host), interval)
            for host in self.hosts
        }
        self.resources: Mapping[str, Feed[HostResources]] = {
            host: self._feed(f"host {host}", self._resources[host], interval) for host in self.hosts
        }
        self.database: Feed[DatabaseReading] | None = (
            self._feed("database", self._database, interval) if environment.database else None
        )
        self.alerts: Feed[Round] = self._feed("alerts", self.watch_alerts, interval)
        self._rounds: Rounds | None = None
        self.repository: Feed[RepositoryReading] | None = self._feed(
            "repository", self.read_repository, max(interval, REPOSITORY_INTERVAL)
        )

    def _feed(self, what: str, fetch: Callable[[], Awaitable[T]], interval: float) -> Feed[T]:
        return Feed(f"{what} ({self.name})", fetch, interval=interval, timeout=POLL_TIMEOUT)

    def feeds(self) -> tuple[Feed[object], ...]:
        """All feeds of this environment."""
        one = (self.health, self.alerts, self.database, self.repository)
        many = (*self.processes.values(), *self.resources.values())
        return tuple(feed for feed in (*one, *many) if feed is not None)  # type: ignore[misc]

    # --- links

    @cached_property
    def web(self) -> WebLink:
        """The link to the environment's web address."""
        from muva_console.ops.links.web import WebLink

        return WebLink(
            f"web {self.name}",
            self._workspace.commands,
            environment=self.name,
            origin=self.config.url or "",
        )

    @cached_property
    def postgres(self) -> PostgresLink | None:
        """The link to the environment's database, None where none is configured."""
        database = self.config.database
        if database is None:
            return None
        from muva_console.ops.links.postgres import PostgresLink

        reference = database.url or database.password
        return PostgresLink(
            f"db {self.name}",
            database,
            None if reference is None else lambda: self._workspace.secret(reference),
            self._workspace.commands,
            tunnel=None if database.through is None else self._workspace.host(database.through),
            environment=self.name,
            refused=None if reference is None else lambda: self._workspace.forget_secret(reference),
        )

    def links(self) -> tuple[LinkState, ...]:
        """The links of this environment that were made, as they stand; opens none, safe from any thread."""
        made = self.__dict__
        states = [link.state for link in self._workspace.made_hosts(self.hosts)]
        states += [made[name].state for name in ("web", "postgres") if made.get(name) is not None]
        return tuple(states)

    def retry_now(self) -> None:
        """Somebody asks by hand: links that wait after a failure try again at the next use."""
        for link in self._workspace.made_hosts(self.hosts):
            link.retry_now()
        postgres = self.__dict__.get("postgres")
        if postgres is not None:
            postgres.retry_now()

    # --- what is observed

    def context(self) -> CheckContext:
        """What a check is given to look with."""
        from muva_console.ops.checks import CheckContext

        return CheckContext(
            environment_name=self.name,
            environment=self.config,
            config=self._workspace.config,
            web=self.web,
            postgres=self.postgres,
            hosts={host: self._workspace.host(host) for host in self.hosts},
            baseline=self._baseline,
            take_database=self._database,
            take_resources=self._resources,
            take_processes={host: self._workspace.processes(host) for host in self.hosts},
            operate=self.process_operation,
            journal=self._workspace.journal,
        )

    async def read_health(self) -> HealthReport:
        """Every check once, side by side. Never raises for a thing that cannot be reached."""
        from muva_console.ops.health.report import read_health

        await self._workspace.prepare()
        report = await read_health(self.context())
        self._learn(report)
        return report

    async def watch_health(self) -> HealthReport:
        """As `read_health`, for who looks again and again: the sample of requests that the performance check
        takes is repeated every `SAMPLE_EVERY` seconds only, and at every look while it brings bad news or the
        application is not well or slow: good news from before the trouble would pass for news of now. What
        was measured is kept in the history.
        """
        report = await self._watch_health()
        await self._keep(report)
        return report

    async def _watch_health(self) -> HealthReport:
        from muva_console.ops.health.report import ALL, read_health, with_findings

        kept = self._sampled
        due = time.monotonic() - self._sampled_at >= SAMPLE_EVERY
        if not kept or due or worst(finding.level for finding in kept) is not Level.OK:
            report = await self.read_health()
            self._sampled, self._sampled_at = report.of("performance"), time.monotonic()
            return report
        report = await read_health(self.context(), [name for name in ALL if name != "performance"])
        self._learn(report)
        if await self._contradicts(report):
            sample = await read_health(self.context(), ["performance"])
            kept = sample.of("performance")
            self._sampled, self._sampled_at = kept, time.monotonic()
        return with_findings(report, kept, ALL)

    async def _contradicts(self, report: HealthReport) -> bool:
        """Whether this look makes a good sample from before it doubtful."""
        from muva_console.ops.health.performance import is_slow

        if not self.config.url:
            return False
        if report.level_of("api-health") is not Level.OK:
            return True
        return report.api_ms is not None and await is_slow(self.context(), report.api_ms)

    async def _keep(self, report: HealthReport) -> None:
        """Write into the history what was measured. Looking goes on where that cannot be; why is kept."""
        from muva_console.ops.monitoring.recording import measured

        try:
            await self._workspace.history.add(measured(report))
        except OpsError as error:
            self.not_kept = error
        else:
            self.not_kept = None

    def _learn(self, report: HealthReport) -> None:
        from muva_console.ops.health.history import History, Sample

        if self.history is None:
            self.history = History()
        self.history.add(
            Sample(
                mono=time.monotonic(),
                at=report.at,
                level=report.level_of("api-health"),
                latency_ms=report.api_ms,
            )
        )

    async def _baseline(self) -> float | None:
        if self.history is None:
            return None
        return self.history.baseline(LEARN_FROM, time.monotonic())

    async def watch_alerts(self) -> Round:
        """What is alarming, kept in the journal and told to whom [alerts] notify names; by the newest look
        that the console has had at the health. Raises JournalError.
        """
        from muva_console.ops.alerts.round import Rounds

        if self._rounds is None:
            self._rounds = Rounds(self._workspace, self)
        return await self._rounds.once(keep=True, notify=True, health=self._newest_health)

    async def _newest_health(self) -> HealthReport:
        snapshot = self.health.snapshot
        age = snapshot.age()
        if snapshot.value is not None and age is not None and age <= snapshot.interval * STALE_AFTER:
            return snapshot.value
        return await self.watch_health()

    async def read_processes(self, host: str) -> ProcessList:
        """PM2's processes on one host. Raises LinkError."""
        return await self._workspace.processes(host)()

    async def read_repository(self) -> RepositoryReading:
        """The environment's branch in the local checkout, against the one it flows into. Raises LinkError."""
        into = self._workspace.next_branch(self.name)
        return await self._workspace.repository.read(self.config.branch, () if into is None else (into,))

    def _resources_of(self, host: str) -> Callable[[], Awaitable[HostResources]]:
        async def take() -> HostResources:
            from muva_console.ops.resources import read

            paths = [self.config.directory] if self.config.directory else []
            return await read(self._workspace.host(host), paths)

        return take

    async def _take_database(self) -> DatabaseReading:
        link, database = self.postgres, self.config.database
        if link is None or database is None:
            raise OpsError(f"no database is configured for {self.name}")
        return await link.read(
            critical_tables=database.critical_tables, long_query=self.config.thresholds.long_query
        )

    # --- logs

    async def follow_logs(self, host: str, processes: tuple[Process, ...], buffer: LogBuffer) -> None:
        """Fill `buffer` with the processes' history and then live, until cancelled; mends itself."""
        from muva_console.ops.logs.source import LogFollower

        bus = self._workspace.process_reader(host).bus
        await LogFollower(self._workspace.host(host), processes, bus=bus).pump(buffer)

    async def log_batches(
        self, processes: tuple[Process, ...], lines: int
    ) -> AsyncGenerator[list[LogLine], None]:
        """Processes of one host: their last `lines` lines, then what they write, until it is left."""
        from muva_console.ops.logs.source import LogFollower

        host = processes[0].host
        follower = LogFollower(
            self._workspace.host(host),
            processes,
            bus=self._workspace.process_reader(host).bus,
            lines=lines,
        )
        async with aclosing(follower.batches()) as batches:
            async for batch in batches:
                yield batch

    async def read_logs(self, processes: tuple[Process, ...], lines: int) -> list[LogLine]:
        """The last lines of processes of one host. Raises LinkError."""
        from muva_console.ops.logs.source import history

        return await history(self._workspace.host(processes[0].host), processes, lines)

    # --- what may be done

    def process_operation(
        self,
        action: Action,
        host: str,
        process: str,
        *,
        pm_id: int | None = None,
        limit: int | None = None,
    ) -> ProcessOperation:
        """An act on a process of one host; whether it may be done is the performer's to say."""
        from muva_console.ops.process_operations import ProcessOperation

        return ProcessOperation(
            action,
            self._workspace.process_reader(host),
            process,
            environment=self.name,
            production=self.config.production,
            pm_id=pm_id,
            limit=limit,
        )

    async def close(self) -> None:
        """Stop the feeds and close the links that are this environment's own. Bounded by the caller."""
        closing: list[Awaitable[object]] = [feed.close() for feed in self.feeds()]
        made = self.__dict__
        closing += [made[name].close() for name in ("web", "postgres") if made.get(name) is not None]
        await asyncio.gather(*closing, return_exceptions=True)


def own(list: ProcessList, names: tuple[str, ...]) -> ProcessList:
    """The processes of a host that belong to an environment: those it names, or all when it names none."""
    if not names:
        return list
    return replace(list, processes=tuple(process for process in list.processes if process.name in names))
