"""One way to act: an operation plans, is confirmed by tier, performs as a stream of events.

An `Operation` never decides whether it may run; the `Performer` (performer.py) does: read-only mode,
confirmation and the journal are in that one place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from msgspec import Struct


class Tier(StrEnum):
    """How an act is confirmed."""

    NONE = "none"
    """Harmless: done at once."""
    CONFIRM = "confirm"
    """A question, focused on Cancel."""
    TYPE_NAME = "type-name"
    """The environment's name is typed."""


class PlannedCommand(Struct, frozen=True):
    """A command or request that an operation will make."""

    where: str
    """The host, or "here"."""
    line: str
    """As a person would type it; quoted."""
    why: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """What an operation is about to do, before it does it."""

    operation: str
    """Stable name, e.g. ``process-restart``."""
    title: str
    environment: str
    target: str
    """The thing acted on, e.g. ``muva-production on vps``."""
    tier: Tier
    commands: tuple[PlannedCommand, ...]
    risks: tuple[str, ...] = ()
    undo: str = ""
    """How it is undone; empty when it cannot be, which the risks then say."""
    production: bool = False


class EventKind(StrEnum):
    """What an event tells."""

    STEP = "step"
    OUTPUT = "output"
    WARNING = "warning"
    VERIFIED = "verified"
    FAILED = "failed"
    DONE = "done"


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened while an operation was performed. The last is DONE or FAILED."""

    kind: EventKind
    text: str
    at: datetime


class Operation(Protocol):
    """A named act that changes something."""

    @property
    def name(self) -> str:
        """Stable name, as in `Plan.operation`."""
        ...

    async def plan(self) -> Plan:
        """Look (read-only) and say what would be done. Raises OpsError when it cannot be."""
        ...

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Do what was planned. The target is read again first; ends with DONE or FAILED."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """An operation that has more to keep of what it did than its events say."""

    def kept(self) -> Mapping[str, object]:
        """Plain data for the end of the act in the journal, whatever became of it; asked at its end."""
        ...
