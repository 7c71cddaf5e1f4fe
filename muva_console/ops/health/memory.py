"""What is remembered of an environment's health from look to look: times, and what is believed since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.health.history import History, Sample
from muva_console.ops.health.state import ServiceState, StateTracker
from muva_console.ops.readings import Level, worst

if TYPE_CHECKING:
    from datetime import datetime

    from muva_console.config.model import Health
    from muva_console.ops.health.report import HealthReport

API, DB, SAMPLE = "api-health", "database", "performance"
"""The checks whose times are kept."""


class Window(Struct, frozen=True, kw_only=True):
    """How one endpoint has been over the window of [health]."""

    seconds: float
    known: int
    """Looks that could tell; those that could not are left out."""
    failed: int
    availability: float | None
    """The share that did not fail, 0 to 1; None when nothing is known."""


class Memory:
    """One environment's."""

    def __init__(self, settings: Health) -> None:
        self._settings = settings
        self.history: dict[str, History] = {API: History(), DB: History()}
        self._states: dict[str, StateTracker] = {}

    def take(self, report: HealthReport, mono: float) -> None:
        """Remember a report that was taken at `mono` (time.monotonic())."""
        for check, latency in ((API, report.api_ms), (DB, report.database_ms)):
            found = report.of(check)
            if not found:
                continue
            level = report.level_of(check)
            if check == API:
                # slow is bad news of the same endpoint; that the sample could not be taken is none
                level = worst(
                    [level, *(f.level for f in report.of(SAMPLE) if f.level in (Level.WARN, Level.FAIL))]
                )
            self.remember(check, mono, report.at, level, latency)
        thresholds = (self._settings.failure_threshold, self._settings.recovery_threshold)
        for check in dict.fromkeys(finding.check for finding in report.findings):
            tracker = self._states.setdefault(check, StateTracker(*thresholds))
            tracker.observe(report.level_of(check), mono, report.at)

    def remember(self, check: str, mono: float, at: datetime, level: Level, latency: float | None) -> None:
        """Keep one sample; one that is older than the newest is none."""
        history = self.history[check]
        last = history.last
        if last is None or mono > last.mono:
            history.add(Sample(mono=mono, at=at, level=level, latency_ms=latency))

    def state(self, check: str) -> ServiceState | None:
        """What is believed of a check, None when it never ran."""
        tracker = self._states.get(check)
        return tracker.state if tracker is not None else None

    @property
    def states(self) -> dict[str, ServiceState]:
        """What is believed of every check that ran."""
        return {check: tracker.state for check, tracker in self._states.items()}

    def window(self, check: str, now: float) -> Window:
        """How a check of `history` has been of late; `now` is time.monotonic()."""
        seconds = float(self._settings.window)
        failed, known = self.history[check].error_rate(seconds, now)
        availability = self.history[check].availability(seconds, now)
        return Window(seconds=seconds, known=known, failed=failed, availability=availability)
