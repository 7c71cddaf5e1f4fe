"""What is alarming: services by thresholds in both directions, patterns by what was before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from muva_console.config.model import Health
from muva_console.config.release import Alerts
from muva_console.ops.alerts.model import Noticed
from muva_console.ops.alerts.rules import Logged, Services, alarming_patterns, key_of
from muva_console.ops.health.report import HealthReport
from muva_console.ops.logs.filter import parse_filter
from muva_console.ops.logs.model import LogLine, Origin, Stream
from muva_console.ops.logs.patterns import Event, template
from muva_console.ops.readings import Finding, Level, verdict

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = int(AT.timestamp() * 1000)
MINUTE = 60_000
HEALTH = Health(failure_threshold=3, recovery_threshold=2)


def report(level: Level, check: str = "api-health") -> HealthReport:
    found = (Finding(check=check, title="API health", level=level, summary="answers 500", at=AT, took_ms=1),)
    return HealthReport(environment="production", verdict=verdict(found), findings=found, at=AT, took_ms=1.0)


def followed(*levels: Level) -> tuple[Services, tuple[Noticed, ...]]:
    services, newest = Services(HEALTH), report(Level.OK)
    for number, level in enumerate(levels):
        newest = report(level)
        services.take(newest, float(number))
    return services, services.noticed(newest)


def test_three_failures_in_a_row_are_an_alert_and_two_are_none() -> None:
    assert followed(Level.FAIL, Level.FAIL)[1] == ()
    (alert,) = followed(Level.FAIL, Level.FAIL, Level.FAIL)[1]
    assert (alert.key, alert.level, alert.count) == ("service/api-health", Level.FAIL, 3)
    assert alert.title == "API health is down: answers 500"


def test_one_good_answer_does_not_end_it_and_two_do() -> None:
    down = (Level.FAIL,) * 3
    services, noticed = followed(*down, Level.OK)
    assert noticed
    assert not services.healthy("api-health")
    services, noticed = followed(*down, Level.OK, Level.OK)
    assert noticed == ()
    assert services.healthy("api-health")


def test_a_console_that_has_just_begun_to_look_ends_nothing_at_its_first_good_look() -> None:
    services, _ = followed(Level.OK)
    assert not services.healthy("api-health")
    assert services.may_be_healthy("api-health")
    services, _ = followed(Level.OK, Level.UNKNOWN, Level.OK)
    assert not services.healthy("api-health")
    services, _ = followed(Level.OK, Level.OK)
    assert services.healthy("api-health")
    assert not services.may_be_healthy("api-health")


def test_three_warnings_are_a_warning_and_what_is_not_known_is_neither() -> None:
    (alert,) = followed(Level.WARN, Level.WARN, Level.WARN)[1]
    assert alert.level is Level.WARN
    services, noticed = followed(Level.UNKNOWN, Level.UNKNOWN, Level.UNKNOWN)
    assert noticed == ()
    assert services.known == frozenset()


def test_it_is_undecided_while_one_more_look_could_tell() -> None:
    assert not followed(Level.OK)[0].undecided
    assert followed(Level.FAIL)[0].undecided
    assert not followed(Level.FAIL, Level.FAIL, Level.FAIL)[0].undecided
    assert followed(Level.FAIL, Level.FAIL, Level.FAIL, Level.OK)[0].undecided


def errors(text: str, *minutes: float) -> tuple[Event, ...]:
    origin = Origin("vps", "muva", Stream.ERR)
    return tuple(
        Event(
            template(text),
            LogLine(origin, text, at_ms=NOW - int(ago * MINUTE)),
            NOW - int(ago * MINUTE),
        )
        for ago in minutes
    )


def found(
    *events: Event,
    settings: Alerts | None = None,
    deployed: float | None = None,
    begins: float = 120,
    whole: bool = False,
    critical: tuple[str, ...] = (),
) -> tuple[Noticed, ...]:
    logged = Logged(now_ms=NOW, begins_ms=NOW - int(begins * MINUTE), events=events, whole=whole)
    filters = tuple(parse_filter(f"/{text}/") for text in critical)
    at = None if deployed is None else NOW - int(deployed * MINUTE)
    return alarming_patterns("production", logged, settings or Alerts(), filters, at)


def test_lines_that_differ_in_numbers_alone_are_one_new_pattern() -> None:
    events = (*errors("Error: booking 12 is gone", 1), *errors("Error: booking 777 is gone", 2, 3))
    (alert,) = found(*events)
    assert alert.key == key_of("Error: booking ‹n› is gone")
    assert (alert.count, alert.level) == (3, Level.WARN)
    assert "new since the last deployment" in alert.title
    assert alert.since == AT - timedelta(minutes=3)


def test_fewer_than_the_least_are_none_and_a_critical_one_is_at_once() -> None:
    assert found(*errors("Error: gone", 1, 2)) == ()
    (alert,) = found(*errors("FATAL: gone", 1), critical=("^FATAL",))
    assert alert.level is Level.FAIL


def test_what_was_there_before_the_window_is_known_and_steady_is_no_alert() -> None:
    steady = errors("Error: gone", *range(0, 100))
    assert found(*steady) == ()


def test_what_comes_five_times_as_often_is_rising() -> None:
    before = errors("Error: gone", *range(6, 106, 5))  # one in five minutes
    (alert,) = found(*before, *errors("Error: gone", 0.5, 1, 1.5, 2, 2.5, 3))
    assert "times as often as before" in alert.title
    assert found(*before, *errors("Error: gone", 0.5, 1, 1.5)) == ()


def test_what_came_with_the_release_stays_new_after_the_window() -> None:
    events = errors("Error: gone", 1, 2, 3, 20, 25)
    (rising,) = found(*events)  # three in five minutes, two in the two hours before
    assert "times as often as before" in rising.title
    (alert,) = found(*events, deployed=30)
    assert "new since the last deployment" in alert.title
    # a release later than the first of them did not bring them
    assert all("new" not in one.title for one in found(*events, deployed=22))


def test_without_anything_read_of_before_nothing_is_called_new() -> None:
    events = errors("Error: gone", 1, 2, 3)
    assert found(*events, begins=3) == ()
    assert found(*events, begins=3, whole=True)  # the file begins there: there was nothing before
