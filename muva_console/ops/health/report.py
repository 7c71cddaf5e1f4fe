"""The health of one environment at a time: every check's findings and the verdict over them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, structs

from muva_console.ops.checks import CheckContext, find, run_together
from muva_console.ops.health.document import read_document
from muva_console.ops.links.answers import DatabaseReading, HttpAnswer
from muva_console.ops.pm2.model import ProcessList
from muva_console.ops.readings import Finding, Level, Verdict, utc_now, verdict, worst

NAMED = ("api-health", "database", "dependencies", "performance", "critical-tables")
"""The playbook's five checks."""
ALL = (*NAMED, "processes", "certificate", "resources")
"""Every health check."""
LIGHT = ("api-health", "database", "dependencies", "critical-tables", "processes", "certificate", "resources")
"""All but the sample of requests, for a dashboard that asks often."""


class HealthReport(Struct, frozen=True, kw_only=True):
    """One environment's health."""

    environment: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    at: datetime
    took_ms: float
    commit: str = ""
    """What the application says it serves: 7 to 40 hexadecimal digits, or empty."""
    version: str = ""
    api_ms: float | None = None
    """How long the health endpoint took; None without an answer."""
    database_ms: float | None = None
    """The database's latency as the application tells it, else as we measured it."""
    restarts: int | None = None
    """PM2's restart counters of the environment's processes on all hosts, added up; None where a host could
    not be asked."""

    def of(self, check: str) -> tuple[Finding, ...]:
        """The findings of one check."""
        return tuple(finding for finding in self.findings if finding.check == check)

    def level_of(self, check: str) -> Level:
        """The worst level of one check's findings; UNKNOWN when it was not run."""
        return worst(finding.level for finding in self.of(check))


def applicable(ctx: CheckContext, names: Sequence[str] = ALL) -> tuple[str, ...]:
    """Which of the checks have anything to look at in the environment."""
    return tuple(name for name in names if (known := find(name)) is None or known.applies(ctx))


async def read_health(ctx: CheckContext, names: Sequence[str] = ALL) -> HealthReport:
    """Run the checks side by side and give the verdict. Never raises.

    Checks that do not apply are left out (dev may have neither an address nor hosts); when none is left
    the verdict is CANNOT TELL.
    """
    began = time.perf_counter()
    shared = ctx.fresh()
    try:
        findings = await run_together(applicable(shared, names), shared)
        answer: HttpAnswer | None = shared.taken("health")
        through: HttpAnswer | None = shared.taken("health_db")
        reading: DatabaseReading | None = shared.taken("database")
        listed = [shared.taken(f"processes {host}") for host in shared.environment.hosts]
    finally:
        shared.end()
    document = read_document(answer.json) if answer is not None else None
    told = read_document(through.json) if through is not None else None
    database_ms = told.latency_ms if told is not None else None
    if database_ms is None and reading is not None:
        database_ms = reading.latency_ms
    return HealthReport(
        environment=ctx.environment_name,
        verdict=verdict(findings),
        findings=findings,
        at=utc_now(),
        took_ms=(time.perf_counter() - began) * 1000,
        commit=document.commit if document else "",
        version=document.version if document else "",
        api_ms=answer.timing.total if answer is not None and answer.answered else None,
        database_ms=database_ms,
        restarts=_restarts(listed, shared.environment.processes),
    )


def _restarts(listed: Sequence[ProcessList | None], names: Sequence[str]) -> int | None:
    """The counters of all hosts, added up; None without a host, and where one was not read."""
    read = [one for one in listed if one is not None]
    if not read or len(read) < len(listed):
        return None
    return sum(p.restarts for one in read for p in one.processes if not names or p.name in names)


def with_findings(report: HealthReport, others: tuple[Finding, ...], order: Sequence[str]) -> HealthReport:
    """The report with findings that were had before, each with its own `at`; the verdict is over all."""
    place = {name: number for number, name in enumerate(order)}
    findings = tuple(sorted((*report.findings, *others), key=lambda f: place.get(f.check, len(place))))
    return structs.replace(report, findings=findings, verdict=verdict(findings))
