"""An act under way as the screens know it: its events, looked at or not, until its end and a while after.

It is done by this console's performer, or by a job: a process of its own, which goes on whatever becomes of
the terminal and can be found again by any console of the same account.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Event, EventKind, Operation, Plan
from muva_console.ops.performer import Confirmation

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.jobs.job import Job
    from muva_console.ops.workspace import Workspace

KEPT = 20
"""Acts of this console that can be looked at again. Ours."""


RECENT = timedelta(days=1)
"""How long an interrupted job is told of. Ours."""

Source = Callable[["Workspace", "Deed"], AsyncIterator[Event]]
"""Does the act in the ops loop, and tells its events."""


def performed(operation: Operation, confirmation: Confirmation) -> Source:
    """By this console's performer."""

    def make(workspace: Workspace, deed: Deed) -> AsyncIterator[Event]:
        return workspace.performer.perform(operation, deed.plan, confirmation)

    return make


def in_a_job(operation: str, arguments: Mapping[str, Any], confirmation: Confirmation) -> Source:
    """By a process of its own (see `ops.jobs`)."""

    async def make(workspace: Workspace, deed: Deed) -> AsyncIterator[Event]:
        from muva_console.ops.jobs.job import Job

        plan = deed.plan
        job = await Job.start(workspace, operation, plan.environment, arguments, plan, confirmation)
        deed.job = job.id
        async for event in _followed(workspace, job):
            yield event

    return make


def _attached(job: Job) -> Source:
    return lambda workspace, deed: _followed(workspace, job)


async def _followed(workspace: Workspace, job: Job) -> AsyncIterator[Event]:
    """A job's events; of one that was interrupted what is true now, before the word that ends it."""
    from muva_console.ops.jobs.builders import aftermath
    from muva_console.ops.jobs.model import JobState, Request
    from muva_console.ops.jobs.store import REQUEST, read

    async for event in job.attach():
        if event.kind is EventKind.FAILED and job.info.state is JobState.INTERRUPTED:
            request = read(job.path, REQUEST, Request)
            if request is not None:
                try:
                    left = await aftermath(
                        workspace, request.operation, request.environment, request.arguments
                    )
                except OpsError as error:
                    left = (f"what it left cannot be told: {error}",)
                for line in left:
                    yield Event(kind=EventKind.WARNING, text=line, at=event.at)
        yield event


async def found_jobs(app: MuvaApp) -> None:
    """Take up the jobs of this account that are under way, and those interrupted lately. Raises OpsError."""
    workspace, known = app.workspace, {deed.job for deed in app.deeds}

    def look() -> list[tuple[Job, Plan, float]]:
        from muva_console.ops.jobs.job import Job, jobs_of
        from muva_console.ops.jobs.model import JobState, Request
        from muva_console.ops.jobs.store import REQUEST, jobs_folder, read

        found = []
        for info in jobs_of(workspace):
            old = app.now() - info.at
            lost = info.state is JobState.INTERRUPTED and old < RECENT
            if info.id in known or not (lost or info.state in (JobState.STARTING, JobState.RUNNING)):
                continue
            path = jobs_folder(workspace) / info.id
            request = read(path, REQUEST, Request)
            if request is not None:
                found.append((Job(path), request.plan, old.total_seconds()))
        return found

    for job, plan, old in await asyncio.to_thread(look):
        deed = Deed(plan, _attached(job), job=job.id)
        deed.begin(app, ago=old)


class Deed:
    """One act. It goes on whether or not a dialog shows it; `app.deeds` has it for those who come back."""

    def __init__(self, plan: Plan, source: Source, *, job: str = "") -> None:
        """`job`: the id of the job, where it is one that is under way already."""
        self.plan = plan
        self.job = job
        """The id of its job; empty while it has none."""
        self._source = source
        self.events: list[Event] = []
        self.refused: OpsError | None = None
        self.watchers: list[Callable[[], None]] = []
        """Called, in the screens' loop, when something happened."""
        self.begun = False
        self.looked_at = False
        """Somebody has seen how it ended."""
        self._began = time.monotonic()
        self._ended: float | None = None
        self._over = asyncio.Event()

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self._ended is None

    @property
    def took(self) -> float:
        """Seconds since it began, or until it ended."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def done(self) -> Event | None:
        """The event that ended it when it was done; None while it is under way, and when it failed."""
        last = self.events[-1] if self.events else None
        return last if last is not None and last.kind is EventKind.DONE else None

    async def outcome(self) -> Event | None:
        """Wait for the end, in sight or not; `done`."""
        await self._over.wait()
        return self.done

    def begin(self, app: MuvaApp, *, ago: float = 0.0) -> None:
        """Begin it, beside whatever is looked at; or follow what began `ago` seconds before."""
        self.begun, self._began = True, time.monotonic() - ago
        app.deeds.append(self)
        ended = [deed for deed in app.deeds if not deed.under_way]
        for old in ended[: max(0, len(ended) - KEPT)]:
            app.deeds.remove(old)
        app.work_on(self.plan.title, lambda: self._perform(app), group="acts")

    async def _perform(self, app: MuvaApp) -> None:
        workspace = app.workspace
        try:
            async for event in app.engine.iterate(lambda: self._source(workspace, self)):
                self.events.append(event)
                self._tell()
        except OpsError as error:
            self.refused = error
        finally:
            self._ended = time.monotonic()
            self._over.set()
            seen = bool(self.watchers)
            app.acted()
            self._tell()
            if not seen:
                self._tell_outcome(app)

    def _tell(self) -> None:
        for watcher in tuple(self.watchers):
            watcher()

    def _tell_outcome(self, app: MuvaApp) -> None:
        last = self.events[-1] if self.events else None
        text = last.text if last is not None else str(self.refused or "ended without a word")
        good = self.done is not None
        app.tell(text, title=self.plan.title, severity="information" if good else "error", timeout=12)
