"""Checks: named async functions that observe and return findings, and the one way to run them.

A check never holds up another: it has a time-out, and whatever it raises becomes an UNKNOWN finding
with the reason. Readings that several checks need (the health document, the database) are taken once
for all checks of one run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import structs

from muva_console.config.redact import redact
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.config.model import Config, Environment
    from muva_console.ops.journal.store import Journal
    from muva_console.ops.links.answers import DatabaseReading, HttpAnswer
    from muva_console.ops.links.base import HostLink
    from muva_console.ops.links.outgoing import Outgoing
    from muva_console.ops.links.postgres import PostgresLink
    from muva_console.ops.links.web import WebLink
    from muva_console.ops.operations import Operation
    from muva_console.ops.pm2.model import ProcessList
    from muva_console.ops.process_operations import Action
    from muva_console.ops.release.context import Release
    from muva_console.ops.resources import HostResources

T = TypeVar("T")


class Operate(Protocol):
    """Makes an act on a process of one host."""

    def __call__(
        self, action: Action, host: str, process: str, *, pm_id: int | None = None, limit: int | None = None
    ) -> Operation:
        """Whether it may be done is the performer's to say."""
        ...


GOOD_FOR = 120.0
"""Seconds for which a finding may be believed. Ours: four of the console's usual intervals."""

SOURCES = [
    "muva_console.ops.health.api",
    "muva_console.ops.health.database",
    "muva_console.ops.health.dependencies",
    "muva_console.ops.health.performance",
    "muva_console.ops.health.tables",
    "muva_console.ops.health.certificate",
    "muva_console.ops.health.hosts",
    "muva_console.ops.health.processes",
]
"""The modules that register the checks of health, imported when a check is first looked for."""

RELEASE_SOURCES = [
    "muva_console.ops.release.review",
    "muva_console.ops.release.build",
    "muva_console.ops.release.variables",
    "muva_console.ops.release.packages",
    "muva_console.ops.release.secrets",
    "muva_console.ops.release.schema",
    "muva_console.ops.release.database_sync",
    "muva_console.ops.release.validated",
    "muva_console.ops.release.errors_seen",
    "muva_console.ops.release.plans",
    "muva_console.ops.release.plans_backup",
    "muva_console.ops.release.commit",
    "muva_console.ops.release.deployed",
    "muva_console.ops.deploys.going_out",
    "muva_console.ops.deploys.checklist_verdict",
    "muva_console.ops.deploys.merge_act",
    "muva_console.ops.deploys.lock_acts",
    "muva_console.ops.deploys.branch_act",
    "muva_console.ops.deploys.pull_act",
    "muva_console.ops.deploys.request_act",
    "muva_console.ops.deploys.review_acts",
    "muva_console.ops.deploys.merge_pull_act",
    "muva_console.ops.deploys.approval_acts",
    "muva_console.ops.deploys.run_checks",
    "muva_console.ops.deploys.record_act",
    "muva_console.ops.deploys.publish_act",
    "muva_console.ops.deploys.close_act",
    "muva_console.ops.emergency.processes",
    "muva_console.ops.emergency.daemon",
    "muva_console.ops.emergency.back",
    "muva_console.ops.emergency.maintenance",
    "muva_console.ops.emergency.port",
    "muva_console.ops.deploys.hotfix_acts",
    "muva_console.ops.deploys.backport",
    "muva_console.ops.incidents.checks",
    "muva_console.ops.rollback.checks",
]
"""Likewise, the checks that runbooks name beside those: what goes out, and what has gone out."""


@dataclass(slots=True)
class CheckContext:
    """What a check may look at: one environment's configuration and links."""

    environment_name: str
    environment: Environment
    config: Config
    web: WebLink
    postgres: PostgresLink | None = None
    """None when no database is configured."""
    hosts: Mapping[str, HostLink] = field(default_factory=dict)
    """The environment's hosts by name."""
    baseline: Callable[[], Awaitable[float | None]] | None = None
    """The usual p95 response time in milliseconds, learnt from healthy samples; None when too few."""
    take_database: Callable[[], Awaitable[DatabaseReading]] | None = None
    """How the database is read when others read it too; by `postgres` itself when not given."""
    take_resources: Mapping[str, Callable[[], Awaitable[HostResources]]] = field(default_factory=dict)
    """Likewise, by host."""
    take_processes: Mapping[str, Callable[[], Awaitable[ProcessList]]] = field(default_factory=dict)
    """How PM2 is read, by host."""
    operate: Operate | None = None
    """Makes an act on a process: action, host, name, its number, a limit. None where none are made."""
    journal: Journal | None = None
    """What was done and found; None where nobody gives it."""
    release: Release | None = None
    """What is going out to this environment; None outside of a runbook's walk."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the step that names the check gives it."""
    progress: Callable[[str], None] = lambda line: None
    """Told a line at a time what a long check is at; sanitised and redacted by whoever calls it."""
    _readings: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    def fresh(self) -> CheckContext:
        """The same with no reading taken yet: what one run of checks shares."""
        return replace(self, _readings={})

    async def health(self) -> HttpAnswer:
        """The answer of the health endpoint. Raises OpsError when no address is configured."""
        return await self._once("health", lambda: self._get(self.url(self.environment.health)))

    async def health_db(self) -> HttpAnswer:
        """The answer of the database's health endpoint. Raises OpsError when no address is configured."""
        return await self._once("health_db", lambda: self._get(self.url(self.environment.health_db)))

    async def database(self) -> DatabaseReading:
        """A reading of the database over our own connection. Raises LinkError, or OpsError without one."""
        link, database = self.postgres, self.environment.database
        if link is None or database is None:
            raise OpsError(
                f"no database is configured for {self.environment_name}",
                next=f"Give [environments.{self.environment_name}.database] a url or a host.",
            )
        if self.take_database is not None:
            return await self._once("database", self.take_database)
        seconds = self.environment.thresholds.long_query
        tables = database.critical_tables
        return await self._once("database", lambda: link.read(critical_tables=tables, long_query=seconds))

    async def resources(self, host: str) -> HostResources:
        """A reading of one of the environment's hosts. Raises OpsError."""
        if host not in self.take_resources:
            raise OpsError("there is no link to this host", where=host)
        return await self._once(f"resources {host}", self.take_resources[host])

    async def processes(self, host: str) -> ProcessList:
        """PM2's processes on one of the environment's hosts. Raises OpsError."""
        if host not in self.take_processes:
            raise OpsError("there is no link to this host", where=host)
        return await self._once(f"processes {host}", self.take_processes[host])

    def going_out(self) -> Release:
        """The release of this walk. Raises OpsError where nothing goes out."""
        if self.release is None:
            raise OpsError(f"nothing is going out to {self.environment_name}")
        return self.release

    async def outgoing(self) -> Outgoing:
        """What is going out, read once for all checks of a run. Raises OpsError."""
        release = self.going_out()
        source, target, commit = release.source_branch, release.target_branch, release.commit
        repository = release.repository
        if release.may_be_gone:
            return await self._once("outgoing", release.left)
        if commit:
            return await self._once("outgoing", lambda: repository.outgoing(source, target, at=commit))
        return await self._once("outgoing", lambda: repository.outgoing(source, target))

    async def shared(self, key: str, take: Callable[[], Awaitable[T]]) -> T:
        """A reading that several checks of one run need, taken once; `key` tells it from all others."""
        return await self._once(key, take)

    def ssh_line(self, host: str, remote: str) -> str:
        """What a person would type to run `remote` on one of the environment's hosts."""
        from muva_console.ops.links.shell import ssh_line

        return ssh_line(self.config.hosts[host], hosts=self.config.hosts, remote=remote)

    def url(self, path: str) -> str:
        """An address of the application. Raises OpsError when none is configured."""
        if self.environment.url is None:
            raise OpsError(
                f"no address is configured for {self.environment_name}",
                next=f'Give [environments.{self.environment_name}] a url = "https://…".',
            )
        return self.environment.url.rstrip("/") + path

    def taken(self, reading: str) -> Any:
        """A reading of this run when it was taken and did not fail, else None: ``health``, ``health_db``,
        ``database``, ``resources HOST`` or ``processes HOST``.
        """
        task = self._readings.get(reading)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    def end(self) -> None:
        """Give up what is still being read."""
        for task in self._readings.values():
            task.cancel()

    async def _get(self, url: str) -> HttpAnswer:
        return await self.web.get(url, timeout=self.config.health.timeout)

    async def _once(self, key: str, take: Callable[[], Awaitable[T]]) -> T:
        if key not in self._readings:

            async def run() -> T:
                return await take()

            task = asyncio.create_task(run(), name=f"reading {key}")
            task.add_done_callback(_heard)
            self._readings[key] = task
        result: T = await asyncio.shield(self._readings[key])
        return result


Run = Callable[[CheckContext], Awaitable["Finding | tuple[Finding, ...]"]]


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check."""

    name: str
    """Stable: runbooks and scripts name it."""
    title: str
    run: Run
    about: str
    """What it looks at and by which threshold, for the help."""
    good_for: float
    """Seconds."""
    applies: Callable[[CheckContext], bool]
    """Whether the check has anything to do with such an environment."""
    timeout: Callable[[CheckContext], float] | None = None
    """How long it may take (seconds), where that is not enough for two requests."""


_checks: dict[str, Check] = {}


def check(
    name: str,
    *,
    title: str,
    good_for: float = GOOD_FOR,
    applies: Callable[[CheckContext], bool] = lambda ctx: True,
    timeout: Callable[[CheckContext], float] | None = None,
) -> Callable[[Run], Run]:
    """Register an async function as a check. Its docstring says what it looks at."""

    def register(run: Run) -> Run:
        known = _checks.get(name)
        if known is not None and known.run.__module__ != run.__module__:
            raise ValueError(f"there are two checks named {name}")
        about = " ".join((run.__doc__ or "").split())
        _checks[name] = Check(
            name=name,
            title=title,
            run=run,
            about=about,
            good_for=good_for,
            applies=applies,
            timeout=timeout,
        )
        return run

    return register


def find(name: str) -> Check | None:
    """The check of that name."""
    for sources in (SOURCES, RELEASE_SOURCES):
        if name not in _checks:
            for source in sources:
                import_module(source)
    return _checks.get(name)


def all_checks() -> tuple[Check, ...]:
    """Every check there is, in the order of the sources."""
    for source in (*SOURCES, *RELEASE_SOURCES):
        import_module(source)
    return tuple(_checks.values())


def tell(
    level: Level,
    summary: str,
    *,
    subject: str = "",
    evidence: Iterable[str] = (),
    command: str = "",
    next: str = "",
    at: datetime | None = None,
    unconfigured: bool = False,
    pending: bool = False,
) -> Finding:
    """A finding as a check writes it; the runner adds the check's name, title, duration and expiry.
    Texts are made harmless and redacted here. `pending` goes with UNKNOWN: what has not happened yet is
    neither well nor wrong.
    """
    assert not pending or level is Level.UNKNOWN, "what is pending is unknown"
    return Finding(
        check="",
        level=level,
        summary=_fit(summary),
        subject=_fit(subject),
        evidence=tuple(_fit(line) for line in evidence if line),
        command=command,
        next=_fit(next),
        at=at or utc_now(),
        unconfigured=unconfigured,
        pending=pending,
    )


async def run_check(name: str, ctx: CheckContext, timeout: float | None = None) -> tuple[Finding, ...]:
    """Run one check on readings of its own. Never raises: a time-out (seconds; by default enough for two
    requests), an error or a defect becomes an UNKNOWN finding. Returns at least one finding.
    """
    return await run_checks((name,), ctx, timeout)


async def _run_one(name: str, ctx: CheckContext, timeout: float | None) -> tuple[Finding, ...]:
    found = find(name)
    if found is None:
        return (_named(tell(Level.UNKNOWN, f"there is no check named {name}"), name, name, 0.0, GOOD_FOR),)
    usual = found.timeout(ctx) if found.timeout is not None else 2 * ctx.config.health.timeout + 10
    limit = usual if timeout is None else timeout
    began = time.perf_counter()
    task = asyncio.ensure_future(found.run(ctx))
    task.add_done_callback(_heard)
    try:
        # a check that does not heed its cancellation is left behind, not waited for
        done, _ = await asyncio.wait({task}, timeout=limit)
    except asyncio.CancelledError:
        task.cancel()
        raise
    took = (time.perf_counter() - began) * 1000
    if not done:
        task.cancel()
        findings: tuple[Finding, ...] = (tell(Level.UNKNOWN, f"no answer within {limit:g} s"),)
    else:
        findings = _outcome(task)
    return tuple(_named(one, found.name, found.title, took, found.good_for) for one in findings)


async def run_checks(
    names: Iterable[str], ctx: CheckContext, timeout: float | None = None
) -> tuple[Finding, ...]:
    """Run checks side by side, sharing readings; the findings in the order of `names`."""
    shared = ctx.fresh()
    try:
        return await run_together(names, shared, timeout)
    finally:
        shared.end()


async def run_together(
    names: Iterable[str], ctx: CheckContext, timeout: float | None = None
) -> tuple[Finding, ...]:
    """As `run_checks`, with the readings that `ctx` already has; the caller ends the context."""
    parts = await asyncio.gather(*(_run_one(name, ctx, timeout) for name in names))
    return tuple(finding for part in parts for finding in part)


async def stream_checks(
    names: Iterable[str], ctx: CheckContext, timeout: float | None = None
) -> AsyncIterator[tuple[str, tuple[Finding, ...]]]:
    """As `run_checks`, each check's name and findings as soon as it has them."""
    shared = ctx.fresh()

    async def one(name: str) -> tuple[str, tuple[Finding, ...]]:
        return name, await _run_one(name, shared, timeout)

    tasks = [asyncio.create_task(one(name)) for name in names]
    try:
        for next_one in asyncio.as_completed(tasks):
            yield await next_one
    finally:
        for task in tasks:
            task.cancel()
        shared.end()


def _outcome(task: asyncio.Future[Any]) -> tuple[Finding, ...]:
    if task.cancelled():
        return (tell(Level.UNKNOWN, "the check was given up"),)
    error = task.exception()
    if isinstance(error, OpsError):
        return (tell(Level.UNKNOWN, str(error), evidence=[error.means], next=error.next),)
    if error is not None:
        return (tell(Level.UNKNOWN, f"a defect in the check: {type(error).__name__}: {error}"),)
    result = task.result()
    findings = (result,) if isinstance(result, Finding) else tuple(result)
    return findings or (tell(Level.UNKNOWN, "the check found nothing to look at"),)


def _named(finding: Finding, name: str, title: str, took_ms: float, good_for: float) -> Finding:
    return structs.replace(
        finding,
        check=name,
        title=title,
        took_ms=finding.took_ms or took_ms,
        expires=finding.expires or finding.at + timedelta(seconds=good_for),
    )


def _fit(text: str) -> str:
    # redacted before it is cut: half a password is no longer known for one
    return sanitise_line(redact(sanitise_line(text)), cap=500)


def _heard(task: asyncio.Future[Any]) -> None:
    """Take note of an outcome that nobody waits for any more, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()
