"""The files of jobs: a folder for each, for its owner alone, beside the journal.

``request`` what was confirmed, ``started`` by which process, ``events`` a line of JSON for each event,
``ended`` with which status, ``output`` what the process printed. Small files are written beside and renamed.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.jobs.model import Ended, JobInfo, JobState, Request, Started
from muva_console.ops.journal import Life
from muva_console.ops.journal.folder import journal_directory, make_folder
from muva_console.ops.journal.liveness import life_of
from muva_console.ops.operations import Event
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

T = TypeVar("T", bound=Struct)

REQUEST, STARTED, EVENTS, ENDED, OUTPUT = "request", "started", "events", "ended", "output"
START_WITHIN = timedelta(seconds=60)
"""A process that has not begun by then never will. Ours."""
KEPT = timedelta(days=30)
"""How long an ended job is kept. Ours: as long as the playbook keeps backups."""

_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


def jobs_folder(workspace: Workspace) -> Path:
    """The folder of this account's jobs; the journal's may be shared, these are not."""
    beside = journal_directory(workspace.config.journal, beside=workspace.base)
    return beside / f"jobs-{os.getuid()}"


def make_job(folder: Path, request: Request) -> Path:
    """A new job's folder, with what was confirmed. Raises OpsError."""
    name = f"{request.at:%Y%m%dT%H%M%S}-{os.urandom(3).hex()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder, 0o700)
        path = folder / name
        path.mkdir(mode=0o700)
        write(path, REQUEST, request)
        os.close(os.open(path / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise OpsError(f"the job cannot be kept here: {error.strerror or error}", where=str(folder)) from None
    return path


def write(path: Path, name: str, value: Struct) -> None:
    """Write one of a job's small files, whole or not at all. Raises OSError."""
    beside = path / f".{name}.{os.getpid()}"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(value))
        file.flush()
        os.fsync(handle)
    beside.replace(path / name)


def read(path: Path, name: str, kind: type[T]) -> T | None:
    """One of a job's small files; None where it is not there or is none."""
    try:
        return msgspec.json.decode((path / name).read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None


class EventFile:
    """The events as they are written: each on its line, whole, in the file before it is told."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._handle = os.open(path / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, event: Event) -> None:
        """Append one. Raises OSError."""
        line = memoryview(msgspec.json.encode(event) + b"\n")
        while line:
            line = line[os.write(self._handle, line) :]

    def close(self) -> None:
        """Bring it to the disk, and close it."""
        with suppress(OSError):
            os.fsync(self._handle)
        os.close(self._handle)


def read_events(path: Path, at: int = 0) -> tuple[list[Event], int]:
    """The events from byte `at` on that are whole, and where to go on."""
    try:
        with (path / EVENTS).open("rb") as file:
            file.seek(at)
            data = file.read()
    except OSError:
        return [], at
    whole = data[: data.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        with suppress(msgspec.DecodeError, msgspec.ValidationError):
            events.append(msgspec.json.decode(line, type=Event))
    return events, at + len(whole)


def info_of(path: Path) -> JobInfo | None:
    """How a job stands; None where there is none."""
    request = read(path, REQUEST, Request)
    if request is None:
        return None
    started, ended = read(path, STARTED, Started), read(path, ENDED, Ended)
    return JobInfo(
        id=path.name,
        title=request.plan.title,
        operation=request.operation,
        environment=request.environment,
        engineer=request.engineer.label,
        at=request.at,
        state=_state(request, started, ended, path),
        pid=started.owner.pid if started is not None else 0,
        ended=ended.at if ended is not None else None,
        status=ended.status if ended is not None else None,
    )


def _state(request: Request, started: Started | None, ended: Ended | None, path: Path) -> JobState:
    if ended is not None:
        return JobState.FAILED if ended.status else JobState.DONE
    if started is None:
        late = utc_now() - request.at > START_WITHIN
        return JobState.INTERRUPTED if late else JobState.STARTING
    match life_of(started.owner):
        case Life.RUNNING:
            return JobState.RUNNING
        case Life.UNKNOWN:
            return JobState.UNKNOWN
        case _:
            # it may have ended between the two looks
            again = read(path, ENDED, Ended)
            return JobState.INTERRUPTED if again is None else _state(request, started, again, path)


def list_jobs(folder: Path) -> tuple[JobInfo, ...]:
    """Every job of this account, newest first; those that ended long ago are forgotten."""
    try:
        names = sorted((one.name for one in folder.iterdir() if _ID.fullmatch(one.name)), reverse=True)
    except OSError:
        return ()
    found = []
    for name in names:
        info = info_of(folder / name)
        if info is None:
            continue
        over = info.state not in (JobState.RUNNING, JobState.STARTING, JobState.UNKNOWN)
        if over and utc_now() - info.at > KEPT:
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            found.append(info)
    return tuple(found)


def find_job(folder: Path, id: str) -> Path:
    """The folder of a job by its id, or by the beginning of it where that is enough. Raises OpsError."""
    try:
        names = [one.name for one in folder.iterdir() if _ID.fullmatch(one.name)]
    except OSError:
        names = []
    fitting = [name for name in names if name == id] or [name for name in names if id and name.startswith(id)]
    if len(fitting) != 1:
        what = "more than one job begins with" if fitting else "there is no job"
        raise OpsError(f"{what} {id[:40]!r}", next="`muva jobs` lists them.")
    return folder / fitting[0]
