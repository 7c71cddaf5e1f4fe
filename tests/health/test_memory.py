"""What is remembered from look to look, by the thresholds and the window of the configuration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from muva_console.config.model import Health, Seconds
from muva_console.ops.health.memory import API, Memory
from muva_console.ops.health.report import HealthReport
from muva_console.ops.health.state import Standing
from muva_console.ops.readings import Finding, Level, Verdict

AT = datetime(2025, 11, 5, 3, 10, tzinfo=UTC)


def report(level: Level, second: float, latency: float | None = 80.0) -> HealthReport:
    finding = Finding(
        check=API,
        level=level,
        summary="x",
        took_ms=1.0,
        at=AT + timedelta(seconds=second),
        expires=AT + timedelta(days=1),
    )
    return HealthReport(
        environment="production",
        verdict=Verdict.GO,
        findings=(finding,),
        at=finding.at,
        took_ms=1.0,
        api_ms=latency,
    )


def remembered(settings: Health, *levels: Level) -> Memory:
    memory = Memory(settings)
    for second, level in enumerate(levels):
        memory.take(report(level, second), float(second))
    return memory


def test_down_and_up_again_by_the_thresholds_of_the_configuration() -> None:
    settings = Health(failure_threshold=2, recovery_threshold=3)
    bad, good = Level.FAIL, Level.OK
    for levels, standing in (
        ((bad,), Standing.FAILING),
        ((bad, bad), Standing.DOWN),
        ((bad, bad, good, good), Standing.RECOVERING),
        ((bad, bad, good, good, good), Standing.HEALTHY),
    ):
        state = remembered(settings, *levels).states[API]
        assert state.standing is standing, levels


def test_the_window_is_the_configurations_and_leaves_out_what_is_unknown() -> None:
    levels = (Level.FAIL, Level.FAIL, Level.OK, Level.UNKNOWN, Level.FAIL, Level.OK)
    whole = remembered(Health(window=Seconds(60)), *levels).window(API, 5.0)
    assert (whole.seconds, whole.known, whole.failed, whole.availability) == (60.0, 5, 3, 0.4)
    late = remembered(Health(window=Seconds(3.5)), *levels).window(API, 5.0)
    assert (late.known, late.failed) == (3, 1)


def test_nothing_known_is_no_availability() -> None:
    assert remembered(Health(), Level.UNKNOWN).window(API, 1.0).availability is None
