"""The words of jobs: what is asked for, how one stands, and its events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Owner
from muva_console.ops.operations import Event, EventKind, Plan
from muva_console.ops.performer import Confirmation


class Request(Struct, frozen=True, kw_only=True):
    """All that the job's process is told: what to do, and what was confirmed."""

    operation: str
    """A name of `builders.BUILDERS`."""
    environment: str
    arguments: dict[str, Any]
    """Plain data, for the builder."""
    plan: Plan
    """As it was confirmed: what is planned in the job must be the same."""
    confirmation: Confirmation
    engineer: Engineer
    config: str
    """The configuration's file, absolute."""
    digest: str
    """Of the configuration, as it was when the plan was made."""
    read_only: bool
    at: datetime
    """When it was confirmed."""


class JobState(StrEnum):
    """Where a job stands."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Its process is gone without having told an end; what it left is to be looked at."""
    UNKNOWN = "unknown"
    """Its process was on another machine or in another container."""


class Started(Struct, frozen=True, kw_only=True):
    """What the process writes when it begins."""

    owner: Owner
    at: datetime


class Ended(Struct, frozen=True, kw_only=True):
    """What the process writes when it ends."""

    status: int
    """Its exit status: 0 done, else failed."""
    at: datetime


class JobInfo(Struct, frozen=True, kw_only=True):
    """One job as a list shows it."""

    id: str
    title: str
    operation: str
    environment: str
    engineer: str
    at: datetime
    state: JobState
    pid: int = 0
    ended: datetime | None = None
    status: int | None = None


LAST = frozenset({EventKind.DONE, EventKind.FAILED})


def is_last(event: Event) -> bool:
    """Whether it is the last of a job."""
    return event.kind in LAST
