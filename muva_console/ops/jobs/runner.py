"""``python -m muva_console.ops.jobs.runner FOLDER``: the process of one job.

It becomes nobody's child, ignores the end of the terminal (SIGHUP), plans again, refuses where that is not
what was confirmed, and performs through a workspace and a performer of its own; so the journal records it as
any act. SIGTERM gives it up: the statement under way is cancelled, and the journal says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.config.redact import redact
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.jobs.builders import aftermath, build
from muva_console.ops.jobs.model import Ended, Request, Started, is_last
from muva_console.ops.jobs.sameness import difference
from muva_console.ops.jobs.store import ENDED, REQUEST, STARTED, EventFile, read, write
from muva_console.ops.journal.liveness import this_process
from muva_console.ops.operations import Event, EventKind
from muva_console.ops.performer import PLAN_VALID
from muva_console.ops.readings import Exit, utc_now
from muva_console.ops.text import sanitise

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

Tell = Callable[[Event], None]
LEFT_WITHIN = 20.0
"""Seconds for looking what a job that was told to stop has left. Ours."""


def main(arguments: list[str]) -> int:
    """Start the process's own child and end; the child does the work. Returns the exit status."""
    path = Path(arguments[1])
    request = read(path, REQUEST, Request)
    if request is None:
        print("there is nothing to do in", path)  # noqa: T201 - into the job's own output
        return Exit.USAGE
    if os.fork():
        # the session's leader ends: what goes on is no leader, so no terminal can become its own again
        return Exit.OK
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    write(path, STARTED, Started(owner=this_process(), at=utc_now()))
    status: int = Exit.BAD
    try:
        status = asyncio.run(work(path, request))
    finally:
        write(path, ENDED, Ended(status=int(status), at=utc_now()))
    os._exit(int(status))


async def work(path: Path, request: Request) -> int:
    """Do what was confirmed; every event is in the job's file, the last one DONE or FAILED. Returns the exit
    status.
    """
    file = EventFile(path)
    last: Event | None = None

    def tell(event: Event) -> None:
        nonlocal last
        last = event
        with suppress(OSError):  # a disk that is full must not end an act half-way; the journal has its end
            file.add(event)

    performing = asyncio.create_task(_perform(request, tell), name="job")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, performing.cancel)
    try:
        await performing
    except asyncio.CancelledError:
        if last is None or not is_last(last):
            tell(
                _failed("told to stop, and given up before its end; what was sent already may have happened")
            )
    except OpsError as error:
        if last is None or not is_last(last):
            tell(_failed("\n".join(error.lines())))
    except Exception as error:  # a defect is told where the job is looked at
        if last is None or not is_last(last):
            tell(_failed(f"defect: {type(error).__name__}: {error}"))
    finally:
        file.close()
    return Exit.OK if last is not None and last.kind is EventKind.DONE else Exit.BAD


async def _perform(request: Request, tell: Tell) -> None:
    from muva_console.config.load import load
    from muva_console.ops.workspace import Workspace

    age = (utc_now() - request.at).total_seconds()
    if not 0 <= age <= PLAN_VALID:
        raise Refused(f"the plan was confirmed {age:.0f} s ago; it is valid for {PLAN_VALID:.0f} s")
    loaded = load(Path(request.config))
    if loaded.digest != request.digest:
        raise Refused("the configuration was changed since the plan was confirmed", next="plan it again")
    workspace = Workspace(loaded, read_only=request.read_only)
    workspace.engineer = request.engineer
    try:
        operation = build(workspace, request.operation, request.environment, request.arguments)
        plan = await workspace.performer.prepare(operation)
        other = difference(request.plan, plan)
        if other:
            raise Refused(f"not done, for the plan is another than the one confirmed: {other}")
        performed = workspace.performer.perform(operation, plan, request.confirmation)
        try:
            async with aclosing(performed):
                async for event in performed:
                    tell(event)
        except asyncio.CancelledError:
            await _tell_left(workspace, request, tell)
            raise
    finally:
        await workspace.close()


async def _tell_left(workspace: Workspace, request: Request, tell: Tell) -> None:
    """What is true after it was told to stop; bounded, and never in the way of the end."""
    try:
        async with asyncio.timeout(LEFT_WITHIN):
            left = await aftermath(workspace, request.operation, request.environment, request.arguments)
    except (OpsError, TimeoutError) as error:
        left = (f"what it left cannot be told: {error or 'no answer in time'}",)
    for line in left:
        tell(Event(kind=EventKind.WARNING, text=redact(sanitise(line)), at=utc_now()))


def _failed(text: str) -> Event:
    return Event(kind=EventKind.FAILED, text=redact(sanitise(text)), at=utc_now())


if __name__ == "__main__":
    sys.exit(main(sys.argv))
