"""Whether something is down: several failures in a row make it so, several successes end it.

Thresholds on both sides (Gatus: 3 and 2), so that neither one lost request nor one lucky answer flips a
service. UNKNOWN is no news of the service: it is neither a failure nor a success, it ends a row of
successes (they were not in a row), and it leaves a row of failures as long as it was.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct, structs

from muva_console.ops.readings import Level


class Standing(StrEnum):
    """What is believed of a service."""

    UNKNOWN = "unknown"
    """Never asked, or it was well and cannot be asked now."""
    HEALTHY = "healthy"
    FAILING = "failing"
    """Failed, not yet often enough to be down."""
    DOWN = "down"
    RECOVERING = "recovering"
    """Answers again, not yet often enough to be healthy."""


class ServiceState(Struct, frozen=True, kw_only=True):
    """What is believed, and since when."""

    standing: Standing = Standing.UNKNOWN
    level: Level = Level.UNKNOWN
    """The last observation: a healthy service may be slow (WARN), a down one unreachable (UNKNOWN)."""
    failures: int = 0
    """In a row."""
    successes: int = 0
    """In a row since it was down."""
    failure_threshold: int = 3
    recovery_threshold: int = 2
    since: float | None = None
    """time.monotonic() of the observation since which the standing holds; for DOWN and RECOVERING the first
    failure of the row that made it so."""
    since_at: datetime | None = None
    """The same on the wall clock, for display."""
    observations: int = 0

    @property
    def is_down(self) -> bool:
        """DOWN or RECOVERING: an incident is not over before it is healthy again."""
        return self.standing in (Standing.DOWN, Standing.RECOVERING)

    def lasted(self, now: float) -> float | None:
        """Seconds that the standing has lasted; `now` is time.monotonic()."""
        return None if self.since is None else max(0.0, now - self.since)

    @property
    def told(self) -> str:
        """In words: ``failing, 1 of 3``."""
        match self.standing:
            case Standing.FAILING:
                return f"failing, {self.failures} of {self.failure_threshold}"
            case Standing.RECOVERING:
                return f"recovering, {self.successes} of {self.recovery_threshold}"
            case Standing.DOWN if self.level is Level.UNKNOWN:
                return "down, and cannot be asked now"
            case _:
                return str(self.standing)


class StateTracker:
    """Takes observations one by one; `state` is what to believe after them."""

    def __init__(self, failure_threshold: int = 3, recovery_threshold: int = 2) -> None:
        self._state = ServiceState(
            failure_threshold=max(1, failure_threshold), recovery_threshold=max(1, recovery_threshold)
        )
        self._first_failure: tuple[float, datetime] | None = None

    @property
    def state(self) -> ServiceState:
        """The present state; frozen."""
        return self._state

    def observe(self, level: Level, now: float, at: datetime) -> ServiceState:
        """Take one observation made at `now` (time.monotonic()) and `at` (UTC). WARN is a success: it is
        slow, not down.
        """
        before = self._state
        match level:
            case Level.FAIL:
                after = self._failed(before, now, at)
            case Level.UNKNOWN:
                after = self._untold(before, now, at)
            case _:
                after = self._succeeded(before, now, at)
        self._state = structs.replace(after, level=level, observations=before.observations + 1)
        return self._state

    def _failed(self, before: ServiceState, now: float, at: datetime) -> ServiceState:
        if before.is_down:
            return structs.replace(before, standing=Standing.DOWN, failures=before.failures + 1, successes=0)
        if self._first_failure is None:
            self._first_failure = (now, at)
        failures = before.failures + 1
        standing = Standing.DOWN if failures >= before.failure_threshold else Standing.FAILING
        since, since_at = self._first_failure
        return structs.replace(
            before, standing=standing, failures=failures, successes=0, since=since, since_at=since_at
        )

    def _succeeded(self, before: ServiceState, now: float, at: datetime) -> ServiceState:
        if before.is_down:
            successes = before.successes + 1
            if successes < before.recovery_threshold:
                return structs.replace(before, standing=Standing.RECOVERING, failures=0, successes=successes)
        self._first_failure = None
        if before.standing is Standing.HEALTHY:
            return structs.replace(before, failures=0, successes=0)
        return structs.replace(
            before, standing=Standing.HEALTHY, failures=0, successes=0, since=now, since_at=at
        )

    def _untold(self, before: ServiceState, now: float, at: datetime) -> ServiceState:
        if before.is_down:
            return structs.replace(before, standing=Standing.DOWN, successes=0)
        if before.standing is Standing.UNKNOWN:
            return before if before.since is not None else structs.replace(before, since=now, since_at=at)
        return structs.replace(before, standing=Standing.UNKNOWN, successes=0, since=now, since_at=at)
