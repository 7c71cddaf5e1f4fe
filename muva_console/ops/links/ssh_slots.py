"""How many sessions a connection may hold at once: sshd refuses what is over its MaxSessions."""

from __future__ import annotations

import asyncio
import time

MAX_SESSIONS = 10
"""sshd's default MaxSessions; more are not asked for."""
REGROW = 60.0
"""Seconds without a refusal after which one session more is tried again. Ours."""


class Slots:
    """Gives out a connection's sessions. Learns a smaller limit from refusals, and forgets it slowly.

    Streams stay open for hours, so they never take the last slot: a command can always be run.
    """

    def __init__(self) -> None:
        self._capacity = MAX_SESSIONS
        self._streams = 0
        self._learnt = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self.in_use = 0

    @property
    def capacity(self) -> int:
        """Sessions that may be open at once, as far as is known."""
        return self._capacity

    async def acquire(self, *, stream: bool) -> None:
        """Wait for a slot. The caller sets the time-out."""
        while not self._fits(stream):
            freed = asyncio.get_running_loop().create_future()
            self._waiting.append(freed)
            try:
                await freed
            finally:
                self._waiting.remove(freed)
        self.in_use += 1
        self._streams += stream

    def release(self, *, stream: bool) -> None:
        """Give a slot back."""
        self.in_use -= 1
        self._streams -= stream
        if self._capacity < MAX_SESSIONS and time.monotonic() - self._learnt > REGROW:
            self._capacity += 1
            self._learnt = time.monotonic()
        self._notify()

    def refused(self, *, stream: bool) -> bool:
        """The server opened no session for a slot: give it back and ask for less from now on.

        Returns False when nothing else was open, so that waiting for others to end would be in vain.
        """
        self.in_use -= 1
        self._streams -= stream
        self._capacity = max(1, self.in_use)
        self._learnt = time.monotonic()
        self._notify()
        return self.in_use > 0

    def _fits(self, stream: bool) -> bool:
        if self.in_use >= self._capacity:
            return False
        return not stream or self._streams < max(1, self._capacity - 1)

    def _notify(self) -> None:
        for freed in self._waiting:  # all of them: the first may be a stream that does not fit
            if not freed.done():
                freed.set_result(None)
