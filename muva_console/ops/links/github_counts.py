"""How much GitHub was asked, and when it is left alone: what a screen shows and a bench measures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

WINDOW = 60.0
"""Seconds that `Counts.last_minute` looks back: the secondary limit counts points a minute."""
WRITE_POINTS = 5
"""Points of a POST, PATCH, PUT or DELETE; a GET has 1, and 900 a minute are allowed
(docs.github.com, "Calculating points for the secondary rate limit").
"""


class Resting(Struct, frozen=True, kw_only=True):
    """GitHub is not asked for a while."""

    until: datetime
    why: str


class Minute(Struct, frozen=True, kw_only=True):
    """What was asked within the last minute."""

    charged: int
    uncharged: int
    points: int


class Counts:
    """Requests since the link was made. Counted as they were answered, or failed on their way."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.charged = 0
        """Requests that count against the hour's limit."""
        self.uncharged = 0
        """Answers 304 to a request with a token: nothing new, and nothing charged."""
        self.elsewhere = 0
        """Requests to the host of logs and artifacts, which has no such limit."""
        self.writes = 0
        """Requests other than GET, among the charged."""
        self.repeated = 0
        """Reads that were sent again because GitHub failed."""
        self.limited = 0
        """Requests that GitHub refused for a limit."""
        self._clock = clock
        self._recent: deque[tuple[float, bool, int]] = deque(maxlen=8192)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.charged + self.uncharged + self.elsewhere

    def add(self, *, charged: bool, write: bool = False) -> None:
        """Count a request to the API."""
        if charged:
            self.charged += 1
        else:
            self.uncharged += 1
        self.writes += write
        self._recent.append((self._clock(), charged, WRITE_POINTS if write else 1))

    def last_minute(self) -> Minute:
        """What was asked of the API within the last `WINDOW` seconds."""
        since = self._clock() - WINDOW
        recent = [one for one in list(self._recent) if one[0] >= since]
        charged = sum(one[1] for one in recent)
        return Minute(charged=charged, uncharged=len(recent) - charged, points=sum(one[2] for one in recent))
