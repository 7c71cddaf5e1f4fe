"""Hearing a job on a host to its end, whatever becomes of the connection meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from muva_console.ops.deploys.deed import output, step, verified, warning
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.links.base import HostLink
from muva_console.ops.operations import Event
from muva_console.ops.rollback.host_job import Heard, begin, hear, word

EVERY = 0.5
"""Seconds between questions. Ours: each is one short command on a connection that is open."""
AWAY = 15 * 60.0
"""Seconds for which a host may be out of reach before it is given up; the job goes on without us."""
_PHASES = {
    "fetch": "fetching",
    "build": "building beside what serves",
    "try": "trying it beside",
    "hold": "built",
    "flip": "putting it in place",
    "restart": "restarting",
    "verify": "watching it",
    "save": "saving PM2's list",
    "return": "putting back what served",
}


class Follower:
    """One job of one host; what was heard of it stays in `heard`."""

    def __init__(self, link: HostLink, environment: str, id: str, *, prefix: str = "") -> None:
        """`prefix`: what tells this host's lines from others'."""
        self._link, self._environment, self._id, self._prefix = link, environment, id, prefix
        self.heard: Heard | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for the word to go on."""
        return self.heard is not None and not self.heard.ended and self.heard.phase == "hold"

    @property
    def outcome(self) -> str:
        """The word of its end; empty before."""
        return self.heard.outcome if self.heard is not None else ""

    async def tell(self, what: str) -> None:
        """Say "go" or "stop" to the job, as often as it takes: it harms nothing said twice. Raises OpsError
        where the host stays out of reach.
        """
        began = time.monotonic()
        while True:
            try:
                await word(self._link, self._environment, self._id, what)
            except LinkError:
                if time.monotonic() - began > AWAY:
                    raise
                await asyncio.sleep(EVERY)
            else:
                return

    async def follow(self, until: Callable[[Heard], bool]) -> AsyncGenerator[Event, None]:
        """Its events until it ended, or `until` is true of it; one that was broken off is put in order by the
        host itself. Raises OpsError where the host stays out of reach, or the job is gone.
        """
        events_at = self.heard.events_at if self.heard is not None else 0
        log_at = self.heard.log_at if self.heard is not None else 0
        lost_since, recovering = 0.0, False
        while True:
            try:
                heard = await hear(
                    self._link, self._environment, self._id, events_at=events_at, log_at=log_at
                )
            except LinkError as error:
                now = time.monotonic()
                if not lost_since:
                    lost_since = now
                    yield warning(f"{self._prefix}{error.what}: the job goes on there; it is asked again")
                if now - lost_since > AWAY:
                    raise OpsError(
                        f"the host has been out of reach for {AWAY / 60:.0f} minutes",
                        where=self._link.host,
                        means="the rollback went on there without us: which release serves is not known",
                        next="muva rollback goes on with it once the host can be reached.",
                    ) from None
                await asyncio.sleep(EVERY)
                continue
            if heard is None:
                raise OpsError("the job of the rollback is gone from the host", where=self._link.host)
            if lost_since:
                lost_since = 0.0
                yield verified(f"{self._prefix}{self._link.host} answers again")
            self.heard = heard
            for one in heard.told:
                told = self._event(one.kind, one.text)
                if told is not None:
                    yield told
            more = heard.events_at > events_at or heard.log_at > log_at
            events_at, log_at = heard.events_at, heard.log_at
            if heard.ended and not more:
                return
            if not heard.ended and until(heard):
                return
            if heard.broken_off and not recovering:
                recovering = True
                yield warning(f"{self._prefix}the job was broken off at {heard.phase or 'its beginning'}")
                await begin(self._link, self._environment, self._id, "recover")
            if not heard.begun:  # laid down by one who was gone before it began; beginning it twice is once
                with suppress(LinkError):
                    await begin(self._link, self._environment, self._id)
            if not more:
                await asyncio.sleep(EVERY)

    def _event(self, kind: str, text: str) -> Event | None:
        if kind == "output":
            return output(f"{self._prefix}{text}")
        if kind == "phase":
            name, _, detail = text.partition(": ")
            return step(f"{self._prefix}{_PHASES.get(name, name)}: {detail}")
        if kind == "seen":
            return verified(f"{self._prefix}{text}")
        if kind == "note":
            return warning(f"{self._prefix}{text}")
        return None  # the end is told by whoever followed
