"""Starting a job, following it from anywhere, and stopping it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.jobs.model import JobInfo, JobState, Request, Started, is_last
from muva_console.ops.jobs.store import (
    OUTPUT,
    STARTED,
    find_job,
    info_of,
    jobs_folder,
    list_jobs,
    make_job,
    read,
    read_events,
)
from muva_console.ops.journal import Life
from muva_console.ops.journal.liveness import life_of
from muva_console.ops.operations import Event, EventKind, Plan
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

START_TIMEOUT = 30.0
"""Seconds until the process must have begun. Ours: an interpreter and its imports on a slow machine."""
LOOK_EVERY = 0.15
"""Seconds between looks at a job's events. Ours."""
RUNNER = "muva_console.ops.jobs.runner"


class Job:
    """One job, by its folder. Any number of processes may look at it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """As lists show it."""
        return self.path.name

    @property
    def info(self) -> JobInfo:
        """How it stands now. Raises OpsError where it is gone."""
        info = info_of(self.path)
        if info is None:
            raise OpsError(f"the job {self.id} is gone", where=str(self.path.parent))
        return info

    @classmethod
    async def start(
        cls,
        workspace: Workspace,
        operation: str,
        environment: str,
        arguments: Mapping[str, Any],
        plan: Plan,
        confirmation: Confirmation,
    ) -> Job:
        """Start a process that performs what was confirmed; returns when it has begun.

        `operation` and `arguments` as `builders` knows them; `plan` is the one that was shown. The process
        plans again and refuses where that is another plan; whether it may act its own performer decides.
        Raises Refused in read-only mode, OpsError when it does not begin.
        """
        if workspace.read_only:
            raise Refused(
                f"read-only: {plan.title} was not done",
                next="start muva without --read-only (and without [console] read_only) to act",
            )
        request = Request(
            operation=operation,
            environment=environment,
            arguments=dict(arguments),
            plan=plan,
            confirmation=confirmation,
            engineer=workspace.engineer,
            config=str(workspace.path),
            digest=workspace.loaded.digest,
            read_only=workspace.read_only,
            at=utc_now(),
        )
        path = await asyncio.to_thread(make_job, jobs_folder(workspace), request)
        job = cls(path)
        await asyncio.to_thread(_spawn, path)
        await job._begun()
        return job

    async def _begun(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while self.info.state is JobState.STARTING:
            if time.monotonic() > deadline:
                output = _tail(self.path / OUTPUT)
                raise OpsError(
                    f"the job did not begin within {START_TIMEOUT:g} s{f': {output}' if output else ''}",
                    where=str(self.path),
                    next="Nothing was done unless `muva jobs` shows it running after all.",
                )
            await asyncio.sleep(LOOK_EVERY / 3)

    async def attach(self, offset: int = 0) -> AsyncIterator[Event]:
        """Its events from number `offset` on (0 is the first), as they come; ends after DONE or FAILED.

        Where its process is gone without having told an end, the last is a FAILED event that says so; it
        is not in the file. Leaving the iteration leaves the job alone.
        """
        at, number = 0, 0
        while True:
            gone = self.info.state in (JobState.INTERRUPTED, JobState.DONE, JobState.FAILED)
            events, at = await asyncio.to_thread(read_events, self.path, at)
            for event in events:
                if number >= offset:
                    yield event
                number += 1
                if is_last(event):
                    return
            if gone:  # looked at before the events were read: there are no more
                yield self._broken_off()
                return
            if not events:
                await asyncio.sleep(LOOK_EVERY)

    def _broken_off(self) -> Event:
        info = self.info
        output = _tail(self.path / OUTPUT)
        what = f"the job's process (pid {info.pid}) is gone without having told an end"
        more = f"; its last words: {output}" if output else ""
        return Event(
            kind=EventKind.FAILED,
            text=f"{what}{more}. What it left: `muva jobs show {self.id}`",
            at=utc_now(),
        )

    def stop(self) -> None:
        """Ask it to give up (SIGTERM): it cancels what is under way, and records that. Raises OpsError where
        it does not run here.
        """
        started = read(self.path, STARTED, Started)
        if started is None or life_of(started.owner) is not Life.RUNNING or self.info.status is not None:
            raise OpsError(f"the job {self.id} does not run here: it is {self.info.state.value}")
        try:
            os.kill(started.owner.pid, signal.SIGTERM)
        except OSError as error:
            raise OpsError(f"the job {self.id} cannot be reached: {error.strerror}") from None


def jobs_of(workspace: Workspace) -> tuple[JobInfo, ...]:
    """The jobs of this account, newest first."""
    return list_jobs(jobs_folder(workspace))


def job_of(workspace: Workspace, id: str) -> Job:
    """A job by its id or the beginning of it. Raises OpsError."""
    return Job(find_job(jobs_folder(workspace), id))


def _spawn(path: Path) -> None:
    """A process in a session of its own whose parent ends at once: no terminal and no shell knows it.
    Raises OpsError.
    """
    handle = os.open(path / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        done = subprocess.run(
            # -P: what lies in the folder that one happens to be in is not imported
            [sys.executable, "-P", "-m", RUNNER, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            timeout=START_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OpsError(f"the job's process cannot be started: {error}", where=sys.executable) from None
    finally:
        os.close(handle)
    if done.returncode:
        raise OpsError(f"the job's process did not start: {_tail(path / OUTPUT)}", where=str(path))


def _tail(path: Path) -> str:
    try:
        lines = path.read_bytes()[-4096:].strip().splitlines()
    except OSError:
        return ""
    return sanitise_line(lines[-1], cap=300) if lines else ""
