"""Where the link to GitHub stands: up or down, how much may still be asked, how long it is left alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.base import CommandLog, CommandRecord, LinkState, LinkStatus, OnState
from muva_console.ops.links.github_counts import Counts, Resting
from muva_console.ops.links.github_errors import moment
from muva_console.ops.links.github_model import Declined, Rate, RateLimited
from muva_console.ops.readings import utc_now


class Standing:
    """What the answers so far say of the link itself; whoever listens is told of each change."""

    def __init__(self, log: CommandLog | None, on_state: OnState | None) -> None:
        self.state = LinkState(name="github", status=LinkStatus.UNUSED, since=utc_now())
        self.rate: Rate | None = None
        self.counts = Counts()
        self._log = log
        self._on_state = on_state
        self._blocked: tuple[float, RateLimited] | None = None
        self._resting: Resting | None = None

    @property
    def resting(self) -> Resting | None:
        """Until when GitHub is left alone, and why; None while it is not."""
        if self._resting is not None and self._resting.until <= utc_now():
            self._resting = None
        return self._resting

    def admit(self) -> None:
        """Raise RateLimited where GitHub said that it does not want to be asked yet."""
        if self._blocked is not None and time.monotonic() < self._blocked[0]:
            told = self._blocked[1]
            raise RateLimited(told.what, until=told.until, where=told.where, means=told.means)

    def rest(self, seconds: float, why: str) -> None:
        """Let it be seen that GitHub is left alone for a while."""
        self._resting = Resting(until=utc_now() + timedelta(seconds=seconds), why=why)
        self.set(self.state.status, self.state.error)

    def note_rate(self, headers: Mapping[str, str]) -> None:
        """What an answer's headers say of the limit."""
        limit, remaining = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
        resets = moment(headers.get("x-ratelimit-reset"))
        if limit.isdecimal() and remaining.isdecimal() and resets is not None:
            self.rate = Rate(limit=int(limit), remaining=int(remaining), resets=resets)

    def judge(self, error: LinkError) -> None:
        """What an error says of the link: a no to what was asked is an answer, and the link is well."""
        if isinstance(error, RateLimited):
            self.counts.limited += 1
            wait = (error.until - utc_now()).total_seconds()
            self._blocked = (time.monotonic() + wait, error)
            self._resting = Resting(until=error.until, why=error.what)
        well = isinstance(error, Declined) and error.status < 500 and error.fault is not Fault.AUTH
        self.set(LinkStatus.UP if well else LinkStatus.DOWN, error)

    def set(self, status: LinkStatus, error: LinkError | None = None) -> None:
        """Stand there; asking again does not make what is known unknown."""
        before = self.state
        if status is LinkStatus.OPENING and before.status in (LinkStatus.UP, LinkStatus.DOWN):
            return
        kept = error if status is LinkStatus.DOWN else None
        since = before.since if before.status is status else utc_now()
        resting = self.resting
        detail = ""
        if resting is not None:
            detail = f"left alone until {resting.until:%H:%M:%S} UTC: {resting.why}"
        elif self.rate is not None:
            detail = f"{self.rate.remaining:,} of {self.rate.limit:,} requests left"
        self.state = LinkState(name=before.name, status=status, since=since, error=kept, detail=detail)
        changed = before.status is not status or kept is not None or resting is not None
        if self._on_state is not None and changed:
            self._on_state(self.state)

    def record(
        self, *, where: str, url: str, method: str, timeout: float, token: bool, outcome: str, took_ms: float
    ) -> None:
        """Keep what was asked in the command log."""
        if self._log is not None:
            bearing = {"Authorization": "Bearer …"} if token else None
            line = curl_line(url, timeout=timeout, method=method, headers=bearing)
            self._log.add(
                CommandRecord(at=utc_now(), where=where, line=line, took_ms=took_ms, outcome=outcome)
            )
