"""What of a health report is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.monitoring.model import API, DATABASE, RESTARTS, Measured
from muva_console.ops.readings import Level, worst

if TYPE_CHECKING:
    from muva_console.ops.health.report import HealthReport

_SAMPLE = "performance"


def measured(report: HealthReport) -> tuple[Measured, ...]:
    """The samples of a report; none of what it did not look at."""
    found = []
    if report.of(API):
        level = report.level_of(API)
        if level is not Level.UNKNOWN:
            # slow is bad news of the same endpoint; that the sample could not be taken is none
            level = worst(
                [level, *(f.level for f in report.of(_SAMPLE) if f.level in (Level.WARN, Level.FAIL))]
            )
        found.append((API, level, report.api_ms))
    if report.of(DATABASE):
        found.append((DATABASE, report.level_of(DATABASE), report.database_ms))
    if report.of("processes"):
        counted = None if report.restarts is None else float(report.restarts)
        found.append((RESTARTS, report.level_of("processes"), counted))
    return tuple(
        Measured(environment=report.environment, series=series, at=report.at, level=level, value=value)
        for series, level, value in found
    )
