"""The console's own memory of one thing that it measures again and again: a ring of samples.

Windows and ages are reckoned on the monotonic clock; the wall clock's times are carried for display.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from muva_console.ops.health.stats import percentile
from muva_console.ops.readings import Level

KEPT = 2880
"""Samples: a day at one every 30 seconds."""
FLOOR_MS = 50.0
"""A baseline below this is taken for this: three times 4 ms is noise and not a slow application, and what
stays below 150 ms nobody calls slow. Ours."""
LEARN = 20
"""Healthy samples below which no baseline is learnt: a p95 of fewer is only the slowest one. Ours."""


class Sample(Struct, frozen=True, kw_only=True):
    """One measurement."""

    mono: float
    """time.monotonic()."""
    at: datetime
    level: Level
    latency_ms: float | None = None
    """None when it was not answered."""


class History:
    """The last samples of one thing, oldest first. Appended to in time's order; not thread-safe."""

    def __init__(self, size: int = KEPT) -> None:
        self._samples: deque[Sample] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, sample: Sample) -> None:
        """Keep a sample; one older than the newest (on the monotonic clock) is refused with ValueError."""
        if self._samples and sample.mono < self._samples[-1].mono:
            raise ValueError("samples come in time's order")
        self._samples.append(sample)

    def extend(self, samples: Iterable[Sample]) -> None:
        """Keep several."""
        for sample in samples:
            self.add(sample)

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self._samples[-1] if self._samples else None

    def window(self, seconds: float, now: float) -> tuple[Sample, ...]:
        """The samples of the last `seconds` seconds before `now`."""
        found: list[Sample] = []
        for sample in reversed(self._samples):
            if sample.mono <= now - seconds:
                break
            if sample.mono <= now:
                found.append(sample)
        return tuple(reversed(found))

    def percentile(self, fraction: float, seconds: float, now: float) -> float | None:
        """Of the latencies in the window, in milliseconds; None when there are none."""
        values = [s.latency_ms for s in self.window(seconds, now) if s.latency_ms is not None]
        return percentile(values, fraction) if values else None

    def availability(self, seconds: float, now: float) -> float | None:
        """The share of known samples in the window that were not failures; None when nothing is known."""
        known = [s for s in self.window(seconds, now) if s.level is not Level.UNKNOWN]
        return sum(s.level is not Level.FAIL for s in known) / len(known) if known else None

    def error_rate(self, seconds: float, now: float) -> tuple[int, int]:
        """(failed, known) in the window."""
        known = [s for s in self.window(seconds, now) if s.level is not Level.UNKNOWN]
        return sum(s.level is Level.FAIL for s in known), len(known)

    def baseline(self, seconds: float, now: float) -> float | None:
        """The usual p95 in milliseconds over the healthy samples of the window; None below LEARN of them."""
        values = [
            s.latency_ms
            for s in self.window(seconds, now)
            if s.level is Level.OK and s.latency_ms is not None
        ]
        return percentile(values, 0.95) if len(values) >= LEARN else None

    def buckets(self, count: int, seconds: float, now: float) -> tuple[float | None, ...]:
        """The window in `count` equal parts, oldest first: the largest latency of each (a spike must not be
        averaged away), None where nothing was measured or answered: a gap stays a gap.
        """
        if count < 1 or seconds <= 0:
            return ()
        parts: list[float | None] = [None] * count
        start = now - seconds
        for sample in self.window(seconds, now):
            if sample.latency_ms is None:
                continue
            index = min(count - 1, int((sample.mono - start) / seconds * count))
            highest = parts[index]
            parts[index] = sample.latency_ms if highest is None else max(highest, sample.latency_ms)
        return tuple(parts)

    def levels(self, count: int, seconds: float, now: float) -> tuple[Level | None, ...]:
        """As `buckets`: the worst level of each part, None where nothing was looked at."""
        if count < 1 or seconds <= 0:
            return ()
        order = (Level.OK, Level.WARN, Level.UNKNOWN, Level.FAIL)
        parts: list[Level | None] = [None] * count
        start = now - seconds
        for sample in self.window(seconds, now):
            index = min(count - 1, int((sample.mono - start) / seconds * count))
            seen = parts[index]
            parts[index] = sample.level if seen is None else max(seen, sample.level, key=order.index)
        return tuple(parts)

    def since(self) -> Sample | None:
        """The oldest of the newest samples that all have the same level: since when it is as it is."""
        oldest: Sample | None = None
        for sample in reversed(self._samples):
            if oldest is not None and sample.level is not oldest.level:
                break
            oldest = sample
        return oldest
