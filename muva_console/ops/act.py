"""One act under way: recorded before it begins, run in a task of its own, recorded when it ends.

Only the performer makes these. The task outlives whoever looks at the events, so that the end is written
down whatever becomes of the screen.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import datetime

import msgspec
from msgspec import Struct

from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import (
    Draft,
    Journal,
    JournalError,
    Kind,
    Life,
    OpenAct,
    Outcome,
    Redact,
    new_act,
)
from muva_console.ops.journal.clean import clean_text
from muva_console.ops.operations import Event, EventKind, Keeping, Operation, Plan
from muva_console.ops.readings import utc_now

EVENTS_AHEAD = 1000
"""Events that may wait for a slow viewer before the operation waits for it."""
CLEANUP_TIMEOUT = 10.0
"""Seconds that an operation may take to tidy up after its last event or after having been cancelled."""
LAST_OUTPUT = 20
"""Lines of output that the journal keeps of an act, the last ones."""
TOLD = 50
"""Warnings and verified facts that the journal keeps of an act, the first ones."""
EVENT_CAP = 8 * 1024
"""Characters shown of one event."""
KEPT_CAP = 400
"""Characters that the journal keeps of one such line."""

_TERMINAL = {EventKind.DONE, EventKind.FAILED}


class Acting(Struct, frozen=True, kw_only=True):
    """What is being done now."""

    act: str
    operation: str
    title: str
    environment: str
    target: str
    since: datetime


class Act:
    """The life of one act: `begin`, `start`, `events`; or `abandon`."""

    def __init__(
        self, operation: Operation, plan: Plan, journal: Journal, engineer: Engineer, redact: Redact
    ) -> None:
        self._operation, self._plan = operation, plan
        self._journal, self._engineer, self._redact = journal, engineer, redact
        self.id = new_act()
        self.acting = Acting(
            act=self.id,
            operation=plan.operation,
            title=clean_text(plan.title, redact, cap=200, newlines=False) or plan.operation,
            environment=plan.environment,
            target=plan.target,
            since=utc_now(),
        )
        self._waiting: deque[Event] = deque()
        self._more, self._room = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._entered = self._abandoned = False
        self._began = 0.0
        self._counts: Counter[str] = Counter()
        self._warnings: list[str] = []
        self._verified: list[str] = []
        self._output: deque[str] = deque(maxlen=LAST_OUTPUT)

    async def begin(self) -> None:
        """Write the begin. Raises Refused on production when that fails; elsewhere it becomes a warning."""
        plan = self._plan
        try:
            begun = await self._journal.begin_act(
                self._draft(Kind.ACT_BEGUN, plan.title, {"plan": msgspec.to_builtins(plan)}),
                target=plan.target,
                engineer=self._engineer,
            )
        except JournalError as error:
            if plan.production:
                raise Refused(
                    f"{self.acting.title}: not done, because the journal cannot record it: {error.what}",
                    where=error.where,
                    means="an operation on production does not start unrecorded",
                    next=error.next,
                ) from error
            self._say(EventKind.WARNING, f"this act is not being recorded: {' '.join(error.lines())}")
            return
        for other in begun.others:
            self._say(EventKind.WARNING, other_act(other))

    def start(self, ended: Callable[[], object]) -> None:
        """Run the operation in a task; `ended` is called when all is over."""
        self._began = time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"act {self._plan.operation}")

        def over(_: asyncio.Task[None]) -> None:
            ended()
            self._more.set()

        self._task.add_done_callback(over)

    def abandon(self) -> asyncio.Task[None] | None:
        """Cancel the operation; its task, which still records the end. None before it was started."""
        if self._task is not None and not self._task.done() and not self._abandoned:
            self._abandoned = True
            if self._entered:  # a task cancelled before its first step would record nothing
                self._task.cancel()
        return self._task

    async def events(self) -> AsyncGenerator[Event, None]:
        """The events, the last one DONE or FAILED. Leaving early abandons the act."""
        task = self._task
        assert task is not None, "start() comes first"
        try:
            while True:
                while self._waiting:
                    event = self._waiting.popleft()
                    self._room.set()
                    yield event
                    if event.kind in _TERMINAL:
                        return
                if task.done():
                    yield self._event(EventKind.FAILED, "the act was broken off; its outcome is unknown")
                    return
                self._more.clear()
                await self._more.wait()
        finally:
            self.abandon()
            await _see_through(task)

    async def _run(self) -> None:
        self._entered = True
        outcome = Outcome.FAILED
        try:
            if self._abandoned:
                raise asyncio.CancelledError  # noqa: TRY301  # before the first step, see abandon()
            last = await self._operate()
            if last.kind is EventKind.DONE:
                outcome = Outcome.DONE
        except asyncio.CancelledError:
            outcome = Outcome.ABANDONED
            last = self._event(
                EventKind.FAILED, "abandoned before its end; what was sent already may have happened"
            )
        except OpsError as error:
            last = self._event(EventKind.FAILED, "\n".join(error.lines()))
        except Exception as error:  # a defect in an operation is a failed act, told and recorded
            last = self._event(EventKind.FAILED, f"defect: {type(error).__name__}: {error}")
        recording = asyncio.get_running_loop().create_task(self._record(outcome, last))
        try:
            await _see_through(recording)
        finally:
            self._waiting.append(last)
            self._more.set()

    async def _operate(self) -> Event:
        events = self._operation.perform(self._plan)
        last: Event | None = None
        try:
            async for told in events:
                event = self._event(told.kind, told.text, told.at)
                if event.kind in _TERMINAL:
                    last = event
                    break
                await self._put(event)
        finally:
            await self._tidy(events)
        return last or self._event(
            EventKind.FAILED, "defect: it ended without saying whether it was done; the outcome is unknown"
        )

    async def _tidy(self, events: AsyncIterator[Event]) -> None:
        """Let the operation's own clean-up run to its end, bounded; what fails there is told."""
        close = getattr(events, "aclose", None)
        if close is None:
            return
        try:
            async with asyncio.timeout(CLEANUP_TIMEOUT):
                await close()
        except TimeoutError:
            self._say(EventKind.WARNING, f"its clean-up did not end within {CLEANUP_TIMEOUT:g} s")
        except Exception as error:
            self._say(EventKind.WARNING, f"its clean-up failed: {type(error).__name__}: {error}")

    async def _record(self, outcome: Outcome, last: Event) -> None:
        data: dict[str, object] = {
            "outcome": outcome.value,
            "took_s": round(time.monotonic() - self._began, 3),
            "events": dict(self._counts),
            "warnings": self._warnings,
            "verified": self._verified,
            "last_output": list(self._output),
        }
        if isinstance(self._operation, Keeping):
            data = {**self._operation.kept(), **data}
        try:
            ended = await self._journal.end_act(
                self._draft(Kind.ACT_ENDED, last.text, data), engineer=self._engineer
            )
        except JournalError as error:
            self._say(
                EventKind.WARNING,
                f"the end of this act is recorded nowhere, note it yourself: {outcome.value}, "
                f"{utc_now():%Y-%m-%d %H:%M:%S}Z. {' '.join(error.lines())}",
            )
            return
        if ended.error is not None:
            self._say(
                EventKind.WARNING,
                "the end of this act could not be written to the journal; it waits beside it and is added "
                f"as soon as that works: {' '.join(ended.error.lines())}",
            )

    def _draft(self, kind: str, text: str, data: dict[str, object]) -> Draft:
        plan = self._plan
        return Draft(
            kind=kind,
            subject=f"{plan.operation} {plan.target}".strip(),
            text=text,
            environment=plan.environment,
            data=data,
            act=self.id,
        )

    async def _put(self, event: Event) -> None:
        while len(self._waiting) >= EVENTS_AHEAD:
            self._room.clear()
            await self._room.wait()
        self._remember(event)

    def _say(self, kind: EventKind, text: str) -> None:
        self._remember(self._event(kind, text))

    def _remember(self, event: Event) -> None:
        """Hand an event to the viewer and keep what the journal wants of it."""
        self._counts[event.kind.value] += 1
        match event.kind:
            case EventKind.OUTPUT:
                self._output.append(event.text[:KEPT_CAP])
            case EventKind.WARNING if len(self._warnings) < TOLD:
                self._warnings.append(event.text[:KEPT_CAP])
            case EventKind.VERIFIED if len(self._verified) < TOLD:
                self._verified.append(event.text[:KEPT_CAP])
            case _:
                pass
        self._waiting.append(event)
        self._more.set()

    def _event(self, kind: EventKind, text: str, at: datetime | None = None) -> Event:
        return Event(kind=kind, text=clean_text(text, self._redact, cap=EVENT_CAP), at=at or utc_now())


def other_act(act: OpenAct) -> str:
    """What to say about somebody's open act on the same target."""
    words = {
        Life.RUNNING: "another act is under way on this target",
        Life.INTERRUPTED: "an earlier act on this target was interrupted",
        Life.UNKNOWN: "another act may be under way on this target",
        Life.SPOOLED: "an earlier act on this target is not in the journal yet",
    }
    return f"{words[act.life]}: {act.summary}"


async def _see_through(task: asyncio.Task[None]) -> None:
    """Wait for a task that must not be broken off, even while this one is cancelled; bounded by the
    time-outs within it. The cancellation is raised afterwards.
    """
    cancelled = False
    deadline = time.monotonic() + 3 * CLEANUP_TIMEOUT
    while not task.done() and (left := deadline - time.monotonic()) > 0:
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            cancelled = True
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error
    if cancelled:
        raise asyncio.CancelledError
