"""When a link that failed may be tried again: later each time, never never."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

BASE = 1.0
"""Seconds before the second attempt. Ours."""
CAP = 60.0
"""Seconds between attempts at most; the attempts never end. Ours, the same as a feed's."""


class Backoff:
    """Delays that double from `BASE` to `CAP` with jitter. Not a timer: whoever wants to try asks first.

    The jitter (half to all of the nominal delay) keeps fifty links that lost one jump host from
    coming back in the same instant.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._chance = clock, chance
        self._not_before = 0.0
        self.failures = 0
        """Failures in a row."""

    def failed(self, *, base: float = BASE, cap: float = CAP) -> float:
        """Count a failure and return the seconds until the next attempt."""
        self.failures += 1
        nominal = min(cap, base * 2.0 ** min(self.failures - 1, 32))
        delay = nominal * (0.5 + self._chance() / 2)
        self._not_before = self._clock() + delay
        return delay

    def remaining(self) -> float:
        """Seconds until the next attempt may begin; 0 when it may begin now."""
        return max(0.0, self._not_before - self._clock())

    def wait_for(self, seconds: float) -> None:
        """Allow no attempt for at least `seconds` more, without counting a failure."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def skip(self) -> None:
        """Allow the next attempt at once; the count of failures stays."""
        self._not_before = 0.0

    def reset(self) -> None:
        """All is well again."""
        self.failures = 0
        self._not_before = 0.0
