"""What of a look is alarming: pure.

Services by the thresholds of [health], in both directions. Error patterns by what [alerts] says: a critical
one at its first line, others when they are new since the last deployment or come much more often than before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.alerts.model import Noticed, Source, Why
from muva_console.ops.health.state import ServiceState, StateTracker
from muva_console.ops.health.words import count
from muva_console.ops.logs.patterns import Event, Pattern, patterns
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Level

if TYPE_CHECKING:
    from muva_console.config.model import Health
    from muva_console.config.release import Alerts
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.logs.filter import LogFilter


class Logged(Struct, frozen=True, kw_only=True):
    """The errors of an environment's logs, as far back as they were read."""

    now_ms: int
    begins_ms: int
    """The first time in what was read (ms since 1970)."""
    whole: bool = False
    """Every file was read from its first line on: what is not in it did not occur since it was begun."""
    events: tuple[Event, ...]
    """Those whose time the log tells: of the others no window is known."""


class Services:
    """Follows one environment's checks from look to look."""

    def __init__(self, settings: Health) -> None:
        self._thresholds = (settings.failure_threshold, settings.recovery_threshold)
        self._recovery = settings.recovery_threshold
        self._failing: dict[str, StateTracker] = {}
        self._warning: dict[str, StateTracker] = {}
        self._good: dict[str, int] = {}
        """Good looks in a row, by check: one that has just begun to look ends no alert of somebody else's
        sooner than it would its own.
        """

    def take(self, report: HealthReport, mono: float) -> None:
        """Observe a report of `mono` (time.monotonic())."""
        for check in dict.fromkeys(finding.check for finding in report.findings):
            level = report.level_of(check)
            self._tracker(self._failing, check).observe(level, mono, report.at)
            bad = Level.FAIL if level is Level.WARN else level
            self._tracker(self._warning, check).observe(bad, mono, report.at)
            self._good[check] = self._good.get(check, 0) + 1 if level is Level.OK else 0

    def _tracker(self, of: dict[str, StateTracker], check: str) -> StateTracker:
        return of.setdefault(check, StateTracker(*self._thresholds))

    @property
    def undecided(self) -> bool:
        """Whether another look could make something down, or healthy again."""
        trackers = (*self._failing.values(), *self._warning.values())
        return any(one.state.failures or one.state.successes for one in trackers if not _settled(one.state))

    @property
    def known(self) -> frozenset[str]:
        """The checks that were answered at the last look: of the others nothing new is known."""
        return frozenset(
            check for check, one in self._failing.items() if one.state.level is not Level.UNKNOWN
        )

    def healthy(self, check: str) -> bool:
        """Whether a check is well, by the thresholds in both directions."""
        one = self._warning.get(check)
        if one is None or one.state.is_down or one.state.failures:
            return False
        return self._good.get(check, 0) >= self._recovery

    def may_be_healthy(self, check: str) -> bool:
        """Whether another good look or two would make a check well."""
        return 0 < self._good.get(check, 0) < self._recovery

    def noticed(self, report: HealthReport) -> tuple[Noticed, ...]:
        """What is down, or warns as often in a row as makes a failure one."""
        found = []
        for check, one in self._failing.items():
            down, warned = one.state, self._warning[check].state
            if down.is_down:
                found.append(_service(report, check, down, Level.FAIL))
            elif warned.is_down:
                found.append(_service(report, check, warned, Level.WARN))
        return tuple(found)


def _settled(state: ServiceState) -> bool:
    return state.is_down and state.failures >= state.failure_threshold and state.successes == 0


def _service(report: HealthReport, check: str, state: ServiceState, level: Level) -> Noticed:
    bad = [one for one in report.of(check) if one.level is not Level.OK] or list(report.of(check))
    title = bad[0].title or check if bad else check
    summary = bad[0].summary if bad else state.told
    word = "down" if level is Level.FAIL else "not well"
    return Noticed(
        environment=report.environment,
        key=f"{Source.SERVICE.value}/{check}",
        source=Source.SERVICE,
        level=level,
        title=f"{title} is {word}: {summary}",
        evidence=tuple(line for one in bad for line in (one.summary, *one.evidence))[:8],
        count=state.failures,
        since=state.since_at,
    )


def key_of(template: str) -> str:
    """The key of an error pattern: the same for everybody who masks lines as we do."""
    return f"{Source.PATTERN.value}/{sha256(template.encode()).hexdigest()[:8]}"


def alarming_patterns(
    environment: str,
    logged: Logged,
    settings: Alerts,
    critical: Sequence[LogFilter],
    deployed_ms: int | None,
) -> tuple[Noticed, ...]:
    """The error patterns of the last [alerts] within that are alarming. `deployed_ms`: when the last
    deployment was live; None where none is known.
    """
    window = int(float(settings.within) * 1000)
    begin = logged.now_ms - window
    recent = [event for event in logged.events if event.at_ms is not None and event.at_ms >= begin]
    border = begin
    if deployed_ms is not None and logged.begins_ms < deployed_ms < begin:
        border = deployed_ms  # what came with a release stays new for as long as it is the last one
    earlier = [e for e in logged.events if e.at_ms is not None and e.at_ms < border]
    known = {event.template for event in earlier}
    before = Counter(
        event.template for event in logged.events if event.at_ms is not None and event.at_ms < begin
    )
    covered = max(0, begin - logged.begins_ms)
    found = []
    for pattern in patterns(recent):
        hits = [event for event in recent if event.template == pattern.template]
        of = _Before(known=known, counts=before, covered=covered, whole=logged.whole)
        why, told = _why(pattern, hits, settings, critical, of, window)
        if why is not None:
            found.append(_pattern(environment, pattern, why, told, window))
    return tuple(found)


class _Before(Struct, frozen=True, kw_only=True):
    """What is known of before the window."""

    known: set[str]
    counts: Mapping[str, int]
    covered: int
    """Milliseconds of it that were read."""
    whole: bool


def _why(
    pattern: Pattern,
    hits: Sequence[Event],
    settings: Alerts,
    critical: Sequence[LogFilter],
    before: _Before,
    window: int,
) -> tuple[Why | None, str]:
    if any(one.matches(hit.line) for one in critical for hit in hits[-50:]):
        return Why.CRITICAL, "named critical in [alerts]"
    if pattern.count < settings.least:
        return None, ""
    if pattern.template not in before.known:
        return (Why.NEW, "new since the last deployment") if before.covered or before.whole else (None, "")
    if before.covered < window:  # there is less of before than of now: nothing to hold it against
        return None, ""
    usual = before.counts.get(pattern.template, 0) / before.covered * window
    if usual and pattern.count >= settings.rise * usual:
        return Why.RISING, f"{pattern.count / usual:.0f} times as often as before"
    return None, ""


def _pattern(environment: str, pattern: Pattern, why: Why, told: str, window: int) -> Noticed:
    first = pattern.first_ms
    return Noticed(
        environment=environment,
        key=key_of(pattern.template),
        source=Source.PATTERN,
        level=Level.FAIL if why is Why.CRITICAL else Level.WARN,
        title=f"{count(pattern.count, 'error')} in {spell(window / 1000)}, {told}: {pattern.template[:120]}",
        evidence=(f"pattern  {pattern.template}", f"newest   {pattern.example[:300]}"),
        count=pattern.count,
        since=datetime.fromtimestamp(first / 1000, UTC) if first is not None else None,
    )
