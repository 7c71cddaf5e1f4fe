"""The last look of each environment in Prometheus's text format (version 0.0.4).

Source: prometheus.io, "Exposition formats". Written here: prometheus-client brings a registry and a process
collector for applications that count themselves, where this tells ten numbers of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from muva_console.ops.health.report import HealthReport
from muva_console.ops.health.state import ServiceState
from muva_console.ops.readings import Level, Verdict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VERDICTS = {Verdict.GO: 1, Verdict.NO_GO: 0}
_LEVELS = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2, Level.UNKNOWN: 3}

Labels = Mapping[str, str]


def exposition(
    looks: Iterable[tuple[HealthReport, Mapping[str, ServiceState]]], *, alerts: Mapping[str, int], now: float
) -> str:
    """The page; `now` in seconds since 1970, `alerts` the open ones by environment."""
    reports = list(looks)
    lines: list[str] = []

    def metric(name: str, told: str, values: Iterable[tuple[Labels, float | None]]) -> None:
        known = [(labels, value) for labels, value in values if value is not None]
        if known:
            lines.extend((f"# HELP {name} {told}", f"# TYPE {name} gauge"))
            lines.extend(f"{name}{_labels(labels)} {value:g}" for labels, value in known)

    def each(value: str) -> Iterable[tuple[Labels, float | None]]:
        return (({"environment": one.environment}, getattr(one, value)) for one, _ in reports)

    metric(
        "muva_healthy",
        "1 healthy, 0 not; absent where it cannot be told.",
        (({"environment": one.environment}, _VERDICTS.get(one.verdict)) for one, _ in reports),
    )
    metric(
        "muva_check_level",
        "The worst finding of a check: 0 ok, 1 warn, 2 fail, 3 unknown.",
        (
            ({"environment": one.environment, "check": check}, float(_LEVELS[one.level_of(check)]))
            for one, _ in reports
            for check in dict.fromkeys(finding.check for finding in one.findings)
        ),
    )
    metric(
        "muva_check_down",
        "1 where a check failed as often in a row as [health] failure_threshold says, and is not back.",
        (
            ({"environment": one.environment, "check": check}, float(state.is_down))
            for one, states in reports
            for check, state in states.items()
        ),
    )
    metric(
        "muva_api_milliseconds",
        "How long the health endpoint took; absent without an answer.",
        each("api_ms"),
    )
    metric("muva_database_milliseconds", "The database's latency.", each("database_ms"))
    metric("muva_process_restarts", "PM2's restart counters of the environment, added up.", each("restarts"))
    metric("muva_look_milliseconds", "How long the look took.", each("took_ms"))
    metric(
        "muva_look_age_seconds",
        "How old the look is.",
        (({"environment": one.environment}, max(0.0, now - one.at.timestamp())) for one, _ in reports),
    )
    metric(
        "muva_alerts",
        "Open alerts.",
        (({"environment": name}, float(count)) for name, count in alerts.items()),
    )
    return "\n".join([*lines, ""])


def _labels(labels: Labels) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
